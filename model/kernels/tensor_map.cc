#include "model/kernels/tensor_map.h"

#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "model/kernels/cuda_error.h"

namespace captiond::kernels {
namespace {

CUtensorMapSwizzle swizzle_of(unsigned box_bytes) {
  return box_bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B;
}

}  // namespace

TensorMaps::TensorMaps() {
  // Not linked: libcuda belongs to the driver and is absent where the program is built.
  constexpr unsigned kSince = 12000;  // CUDA version of the function's first form
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check_cuda(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSince,
                                              cudaEnableDefault, &result),
             "Asking the driver for cuTensorMapEncodeTiled");
  if (result != cudaDriverEntryPointSuccess || function == nullptr)
    throw std::runtime_error(
        "The CUDA driver has no cuTensorMapEncodeTiled, which came with CUDA 12.0: install a newer "
        "driver, or use the device cpu.");
  encode_ = reinterpret_cast<Encode*>(function);
}

CUtensorMap TensorMaps::of(const void* data, std::size_t row_bytes, int rows, int box_rows,
                           unsigned box_bytes) const {
  const cuuint64_t sizes[] = {row_bytes, static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {row_bytes};
  const cuuint32_t box[] = {box_bytes, static_cast<cuuint32_t>(box_rows)};
  return encoded(data, rows, sizes, strides, box, swizzle_of(box_bytes));
}

CUtensorMap TensorMaps::of_plain(const void* data, std::size_t row_bytes, int rows, int box_rows,
                                 unsigned box_bytes) const {
  const cuuint64_t sizes[] = {row_bytes, static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {row_bytes};
  const cuuint32_t box[] = {box_bytes, static_cast<cuuint32_t>(box_rows)};
  return encoded(data, rows, sizes, strides, box, CU_TENSOR_MAP_SWIZZLE_NONE);
}

CUtensorMap TensorMaps::of_pairs(const void* data, std::size_t row_bytes, int pairs, int eights,
                                 unsigned box_bytes) const {
  const auto half = static_cast<cuuint64_t>(pairs);
  const cuuint64_t sizes[] = {row_bytes, 8, 2, half / 8};
  const cuuint64_t strides[] = {row_bytes, half * row_bytes, 8 * row_bytes};
  const cuuint32_t box[] = {box_bytes, 8, 2, static_cast<cuuint32_t>(eights)};
  return encoded(data, 2 * pairs, sizes, strides, box, swizzle_of(box_bytes));
}

CUtensorMap TensorMaps::encoded(const void* data, int rows, std::span<const cuuint64_t> sizes,
                                std::span<const cuuint64_t> strides,
                                std::span<const cuuint32_t> box, CUtensorMapSwizzle swizzle) const {
  constexpr cuuint32_t kSteps[] = {1, 1, 1, 1};
  CUtensorMap map{};
  const CUresult status =
      encode_(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, static_cast<cuuint32_t>(sizes.size()),
              const_cast<void*>(data), sizes.data(), strides.data(), box.data(), kSteps,
              CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
              CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw std::invalid_argument("The driver cannot describe a matrix of " + std::to_string(rows) +
                                " rows of " + std::to_string(sizes[0]) + " bytes (status " +
                                std::to_string(static_cast<int>(status)) +
                                "): rows must be multiples of 16 bytes on a 16-byte boundary.");
  return map;
}

}  // namespace captiond::kernels
