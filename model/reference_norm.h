#pragma once

namespace at {
class Tensor;
}

namespace captiond {

// x / sqrt(mean(x²) + eps) over the last axis, computed and returned in float32.
at::Tensor normalised(const at::Tensor& x, double eps);

// normalised(x) * weight, rounded once to the dtype of x. `weight` is float32. Source: reference
// model.md section 2.1.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace captiond
