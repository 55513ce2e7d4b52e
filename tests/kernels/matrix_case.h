#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cuda_bf16.h>

#include "model/kernels/matrix.h"
#include "model/kernels/matrix_products.h"
#include "tests/kernels/device_array.h"

namespace captiond::kernels {

inline constexpr MatrixFormat kFormats[] = {MatrixFormat::kBf16, MatrixFormat::kFp8,
                                            MatrixFormat::kInt8, MatrixFormat::kInt4};

// Runs body(begin, end) over parts of [0, count) on all cores.
void in_parallel(std::size_t count, const std::function<void(std::size_t, std::size_t)>& body);

// Uniform in ±`size`, rounded to bf16; the same for the same seed and place.
std::vector<__nv_bfloat16> uniform_bf16(std::size_t count, std::uint64_t seed, float size);

// A random matrix on the device in one of the formats, packed there, and what its values are worth.
struct MatrixCase {
  Matrix matrix;
  std::vector<__nv_bfloat16> source;  // [out, in] before packing
  std::vector<float> worth;           // [out, in] value * scale

  MatrixCase(MatrixFormat format, int out, int in, std::uint64_t seed = 1);
  // The same with given values.
  MatrixCase(MatrixFormat format, int out, int in, std::vector<__nv_bfloat16> values);
  // Rounds `worth` to bf16, as the products of more than the few rows do in kInt4, and beyond the
  // tiles in kInt8.
  void unpack();
  std::string name() const;

 private:
  DeviceArray<char> values_;
  DeviceArray<char> scales_;
};

// A value with the bound of its error.
struct Bounded {
  double value = 0;
  double limit = 0;
};

// What `values` [*, in] are worth once packed: value * scale.
std::vector<float> packed_worth(MatrixFormat format, const std::vector<__nv_bfloat16>& values,
                                int in);

// What the rows `x` [*, in] are worth to a product with a matrix of `format`: up to kSplitRowsMax
// rows are split for packed weights, as split_input.cuh says; all others are taken as they are.
std::vector<float> input_worth(MatrixFormat format, const std::vector<__nv_bfloat16>& x, int in,
                               int rows);

// x · Wᵀ [rows, out] in float64. The limit is what float32 sums may be off: 2⁻¹⁷ of Σ |x| |w|.
// Chains of up to 120 mma, each of which may truncate at 2⁻²³ of its largest term, and seven
// additions of warps stay below it; a product that is lost or counted twice does not.
std::vector<Bounded> exact_product(const MatrixCase& w, const std::vector<float>& x, int rows);
std::vector<Bounded> exact_product(const MatrixCase& w, const std::vector<__nv_bfloat16>& x,
                                   int rows);

// Reports the first elements that are off (or NaN) and whether all are within their limits.
bool within(const std::vector<double>& got, const std::vector<Bounded>& want,
            const std::string& what);

// One half unit in the last place of bf16 more: `got` was rounded to bf16.
std::vector<Bounded> rounded_to_bf16(std::vector<Bounded> exact);

template <typename T>
std::vector<double> widened(const std::vector<T>& values) {
  std::vector<double> result;
  result.reserve(values.size());
  for (const T& value : values) result.push_back(static_cast<double>(static_cast<float>(value)));
  return result;
}

// Products with a workspace for up to `rows_max` rows of `matrix`.
struct ProductCase {
  MatrixProducts products;
  DeviceArray<char> memory;
  ProductWorkspace workspace;

  ProductCase(const Matrix& matrix, bool gate_up, int rows_max);

  std::vector<__nv_bfloat16> linear(const Matrix& w, const std::vector<__nv_bfloat16>& x, int rows);
  std::vector<float> linear_float(const Matrix& w, const std::vector<__nv_bfloat16>& x, int rows);
  std::vector<__nv_bfloat16> gate_up(const Matrix& w, const std::vector<__nv_bfloat16>& x,
                                     int rows);
};

}  // namespace captiond::kernels
