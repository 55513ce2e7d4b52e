#pragma once

#include <cstddef>

namespace captiond {

// Element types that a checkpoint may hold and the engine computes with.
enum class Dtype { kFloat32, kBfloat16 };

constexpr std::size_t bytes_per_element(Dtype dtype) { return dtype == Dtype::kFloat32 ? 4 : 2; }

}  // namespace captiond
