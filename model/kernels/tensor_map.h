#pragma once

#include <cstddef>
#include <span>

#include <cuda.h>

namespace captiond::kernels {

// Describes matrices to the copy engine that fetches boxes of them into shared memory. For the
// current device; the driver's function is looked up once. Not thread-safe.
class TensorMaps {
 public:
  // Throws std::runtime_error when the driver has no such function.
  TensorMaps();

  // A matrix of `rows` rows of `row_bytes` (a multiple of 16) at `data` (16-byte aligned), fetched
  // in boxes of `box_rows` (at most 256) times `box_bytes`, 128 whose 16-byte pieces are permuted
  // by the line number modulo 8, or 64 whose pieces are permuted by half the line number modulo 4.
  // What lies outside the matrix reads as zero. Throws std::invalid_argument for a matrix that the
  // driver refuses.
  CUtensorMap of(const void* data, std::size_t row_bytes, int rows, int box_rows,
                 unsigned box_bytes = kBoxBytes) const;
  // The same with boxes of `box_bytes` (a multiple of 16, at most 256) a line whose pieces stay
  // where they are.
  CUtensorMap of_plain(const void* data, std::size_t row_bytes, int rows, int box_rows,
                       unsigned box_bytes) const;
  // A matrix of 2 * `pairs` rows (`pairs` a multiple of 8), whose row i belongs to row pairs + i:
  // in boxes of `eights` times eight rows of the first half and the eight that belong to them.
  CUtensorMap of_pairs(const void* data, std::size_t row_bytes, int pairs, int eights,
                       unsigned box_bytes = kBoxBytes) const;

 private:
  static constexpr unsigned kBoxBytes = 128;
  using Encode = CUresult(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                          const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                          CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                          CUtensorMapFloatOOBfill);
  CUtensorMap encoded(const void* data, int rows, std::span<const cuuint64_t> sizes,
                      std::span<const cuuint64_t> strides, std::span<const cuuint32_t> box,
                      CUtensorMapSwizzle swizzle) const;
  Encode* encode_ = nullptr;
};

}  // namespace captiond::kernels
