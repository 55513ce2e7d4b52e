#pragma once

#include <cstddef>

#include <cuda_bf16.h>

#include "model/kernels/weight_stream.cuh"

namespace captiond::kernels {

// What becomes of the sums of a product: y [rows, out], converted.
struct ToBf16 {
  __nv_bfloat16* y;
  __device__ __nv_bfloat16 operator()(float sum) const { return __float2bfloat16(sum); }
};

template <class Convert>
struct LinearTail {
  static constexpr bool kPaired = false;
  Convert convert;
  int out;
  int rows;

  __device__ void take(int, int low, int high, int n, const float4& sum) {
    put(low, n, sum.x);
    put(low, n + 1, sum.y);
    put(high, n, sum.z);
    put(high, n + 1, sum.w);
  }
  __device__ void finish(char*, const StreamInput&) {}

 private:
  __device__ void put(int row, int n, float sum) {
    if (row >= 0 && n < rows) convert.y[static_cast<std::size_t>(n) * out + row] = convert(sum);
  }
};

}  // namespace captiond::kernels
