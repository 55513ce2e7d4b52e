#pragma once

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace captiond::kernels {

// What stands around the matrix products of the media embedders (reference model.md 3.4 and 4).
// Everything is device memory, 16-byte aligned; widths are multiples of 8, at most kNormWidthMax
// (norm.h). Each function enqueues and returns; cudaErrorInvalidValue for a bad shape. Rounding to
// bf16 is the reference forward's: of the input and after each step.

// y[f, :] = rms(bf16(samples[f, :])), no weight: the input of the audio projection.
[[nodiscard]] cudaError_t norm_audio_frames(const float* samples, __nv_bfloat16* y, int frames,
                                            int width, float eps, cudaStream_t stream) noexcept;

struct LayerNormWeights {
  const __nv_bfloat16* weight = nullptr;  // [width]
  const __nv_bfloat16* bias = nullptr;    // [width]
};

// y[p, :] = LayerNorm(bf16(pixels[p, :] / 255)), eps 1e-5: the input of patch_dense.
[[nodiscard]] cudaError_t norm_pixels(const std::uint8_t* pixels, const LayerNormWeights& norm,
                                      __nv_bfloat16* y, int patches, int width,
                                      cudaStream_t stream) noexcept;

// From patch_dense to the input of the projection:
//   u = LayerNorm(x + x_bias; patch_norm);  u = u + (positions[column, 0] + positions[row, 1])
//   y = rms(LayerNorm(u; position_norm)), no weight
struct PatchPositions {
  const __nv_bfloat16* x = nullptr;          // [patches, width]; may be y
  const __nv_bfloat16* x_bias = nullptr;     // [width]; null: x has it already
  LayerNormWeights patch_norm;               // eps 1e-5, as of position_norm
  const __nv_bfloat16* positions = nullptr;  // [table rows, 2 (x, y), width]
  const int* coordinates = nullptr;          // [patches, 2]: column and row, inside of the table
  LayerNormWeights position_norm;
  __nv_bfloat16* y = nullptr;  // [patches, width]
  int width = 0;
  float eps = 0.0F;  // of rms
};
[[nodiscard]] cudaError_t add_patch_positions(const PatchPositions& work, int patches,
                                              cudaStream_t stream) noexcept;

}  // namespace captiond::kernels
