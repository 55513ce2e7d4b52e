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

// The same in bf16, and of each of the first `groups` warps, which alone take sums, the squares of
// what it wrote: squares [rows, slots]. For up to four rows.
struct SquaresTail {
  static constexpr bool kPaired = false;
  LinearTail<ToBf16> linear;
  float* squares;
  int slots;
  int groups;
  float left = 0.0F, right = 0.0F;  // of the rows n and n + 1 of x

  __device__ void take(int turn, int low, int high, int n, const float4& sum) {
    linear.take(turn, low, high, n, sum);
    if (low >= 0) add(sum.x, sum.y);
    if (high >= 0) add(sum.z, sum.w);
  }
  __device__ void finish(char*, const StreamInput&) {
    const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
    if (warp >= groups) return;
#pragma unroll
    for (int apart = 4; apart < 32; apart *= 2) {
      left += __shfl_xor_sync(~0U, left, apart);
      right += __shfl_xor_sync(~0U, right, apart);
    }
    const int row = lane * 2, slot = static_cast<int>(blockIdx.x) * groups + warp;
    if (row < linear.rows) squares[row * slots + slot] = left;
    if (row + 1 < linear.rows) squares[(row + 1) * slots + slot] = right;
  }

 private:
  __device__ void add(float of_left, float of_right) {
    const float two[2] = {__bfloat162float(linear.convert(of_left)),
                          __bfloat162float(linear.convert(of_right))};
    left += two[0] * two[0];
    right += two[1] * two[1];
  }
};

}  // namespace captiond::kernels
