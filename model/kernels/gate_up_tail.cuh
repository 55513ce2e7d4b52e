#pragma once

#include <cstddef>

#include <cuda_bf16.h>

#include "model/kernels/gelu_product.cuh"
#include "model/kernels/weight_stream.cuh"

namespace captiond::kernels {

// What becomes of the sums of gate and up: h [rows, inner], gelu(gate) * up.
struct GateUpTail {
  static constexpr bool kPaired = true;
  __nv_bfloat16* h;
  int inner;
  int rows;

  __device__ void take(int, int low, int, int n, const float4& sum) {
    if (low < 0) return;
    put(low, n, sum.x, sum.z);
    put(low, n + 1, sum.y, sum.w);
  }
  __device__ void finish(char*, const StreamInput&) {}

 private:
  __device__ void put(int index, int n, float gate, float up) {
    if (n < rows)
      h[static_cast<std::size_t>(n) * inner + index] =
          gelu_product(__float2bfloat16(gate), __float2bfloat16(up));
  }
};

}  // namespace captiond::kernels
