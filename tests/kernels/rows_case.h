#pragma once

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "model/kernels/many_rows.h"
#include "model/kernels/row_packing.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/matrix_case.h"

namespace captiond::kernels {

// Multiprocessors of the device that sums are made for.
inline constexpr int kBlocks = 132;

// Rows of x on the device as the products of `format` take them.
struct RowsCase {
  MatrixFormat format;
  int in;
  std::vector<__nv_bfloat16> source;
  DeviceArray<__nv_bfloat16> plain;
  DeviceArray<char> values;
  DeviceArray<float> scales;
  TensorMaps maps;

  RowsCase(MatrixFormat rows_format, int rows, int width, std::vector<__nv_bfloat16> given)
      : format(rows_format), in(width), source(std::move(given)), plain(source) {
    if (format != MatrixFormat::kFp8) return;
    const auto count = static_cast<std::size_t>(rows);
    values = DeviceArray<char>(count * ((static_cast<std::size_t>(in) + 15) / 16 * 16));
    scales = DeviceArray<float>(count);
    require(pack_rows(plain.data(), in, rows, {values.data(), scales.data()}, nullptr));
    require(cudaDeviceSynchronize());
  }
  RowsCase(MatrixFormat rows_format, int rows, int width)
      : RowsCase(rows_format, rows, width,
                 uniform_bf16(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width), 7,
                              1.0F)) {}

  ManyRows many(int rows, int blocks = kBlocks) const {
    if (format != MatrixFormat::kFp8)
      return {.x = plain.data(), .rows = rows, .blocks = blocks, .maps = &maps};
    return {
        .x = values.data(), .scales = scales.data(), .rows = rows, .blocks = blocks, .maps = &maps};
  }
  // The e4m3 products of this hardware keep some 13 bits of their sums: up to 1.0 * 2⁻¹² of
  // Σ |x| |w| was seen in a chain along 15,360. A lost K-block would still be far off.
  std::vector<Bounded> exact(const MatrixCase& w, int rows, double chain = 32) const {
    const MatrixFormat taken = format == MatrixFormat::kFp8 ? format : MatrixFormat::kBf16;
    auto result = exact_product(w, packed_worth(taken, source, in), rows);
    if (format == MatrixFormat::kFp8)
      for (Bounded& element : result) element.limit *= chain;
    return result;
  }
};

// The nearest width from `in` on that the format takes.
inline int width_in(MatrixFormat format, int in) {
  return format == MatrixFormat::kInt4 ? (in + 31) / 32 * 32 : in;
}

inline std::vector<Bounded> first(const std::vector<Bounded>& all, int rows, int width) {
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(rows) * width};
}

inline std::size_t elements(int rows, int width) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
}

// What gate and up become, of their exact sums [rows, 2 * inner]: with transformers' rounding
// points, where a sum at the border of two bf16 values may go either way: half a unit in the last
// place of gate, up, the gelu and the product each, and 5 % more.
inline std::vector<Bounded> gate_up_of(const std::vector<Bounded>& both, int inner) {
  const auto gelu_tanh = [](double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  };
  const auto width = static_cast<std::size_t>(inner);
  std::vector<Bounded> products;
  for (std::size_t i = 0; i < both.size() / 2; ++i) {
    const Bounded gate = both[i / width * 2 * width + i % width];
    const Bounded up = both[(i / width * 2 + 1) * width + i % width];
    const double value = gelu_tanh(gate.value) * up.value;
    const double gate_error = kHalfUlp * std::fabs(gate.value) + gate.limit;
    const double up_error = kHalfUlp * std::fabs(up.value) + up.limit;
    products.push_back({value, 1.05 * (1.13 * gate_error * (std::fabs(up.value) + up_error) +
                                       up_error * std::fabs(gelu_tanh(gate.value)) +
                                       2 * kHalfUlp * std::fabs(value))});
  }
  return products;
}

}  // namespace captiond::kernels
