#include "model/reference_norm.h"

#include <ATen/ATen.h>

namespace captiond {

at::Tensor normalised(const at::Tensor& x, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  return wide * wide.pow(2).mean(-1, true).add_(eps).pow_(-0.5);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return normalised(x, eps).mul_(weight).to(x.scalar_type());
}

}  // namespace captiond
