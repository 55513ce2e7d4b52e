#pragma once

#include <cstddef>
#include <span>

#include "model/dtype.h"

namespace captiond {

// Elements on their way from a mapped checkpoint to the GPU, where they become bfloat16 (float32
// ones are rounded to the nearest, ties to even, as transformers rounds them).
struct UploadPart {
  const std::byte* from = nullptr;  // borrowed during the upload; aligned to one element
  Dtype dtype = Dtype::kBfloat16;   // of `from`
  std::byte* to = nullptr;          // device
  std::size_t elements = 0;
};

// Copies all parts: several threads read the file into pinned buffers of their own, and each buffer
// travels while the next is filled. Returns when everything is there. Throws std::runtime_error.
void upload(std::span<const UploadPart> parts);

}  // namespace captiond
