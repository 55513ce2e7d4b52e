#include "model/reference_weights.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "model/check.h"

namespace captiond {
namespace {

using at::Tensor;

// oneDNN lays a matrix out for products of about this many rows; what is good for a prompt is good
// for one row as well, but not the other way round.
constexpr std::int64_t kPackedRows = 256;

Tensor packed(const Tensor& weight) {
  using Reorder = Tensor(const Tensor&, std::optional<c10::SymInt>);
  static const auto reorder = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                                  .typed<Reorder>();
  return reorder.call(weight, c10::SymInt(kPackedRows));
}

Tensor packed_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  using Linear =
      Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
             c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  static const auto linear = c10::Dispatcher::singleton()
                                 .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                 .typed<Linear>();
  return linear.call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

}  // namespace

struct Projection::Matrix {
  std::vector<Tensor> parts;  // side by side in the result
  bool packed = false;
};

Projection::Projection(const std::vector<Tensor>& parts, const c10::TensorOptions& options) {
  if (parts.front().dtype() == options.dtype()) {
    Matrix matrix;
    for (const Tensor& part : parts) matrix.parts.push_back(part.to(options));
    matrix_ = std::make_unique<const Matrix>(std::move(matrix));
    return;
  }
  std::int64_t rows = 0;
  for (const Tensor& part : parts) rows += part.size(0);
  Tensor whole = at::empty({rows, parts.front().size(1)}, options);
  std::int64_t row = 0;
  for (const Tensor& part : parts) {
    whole.narrow(0, row, part.size(0)).copy_(part);
    row += part.size(0);
  }
  const bool pack = whole.is_cpu() && whole.scalar_type() == at::kFloat && at::hasMKLDNN();
  if (pack) whole = packed(whole);
  matrix_ = std::make_unique<const Matrix>(Matrix{.parts = {whole}, .packed = pack});
}

Projection::~Projection() = default;
Projection::Projection(Projection&&) noexcept = default;
Projection& Projection::operator=(Projection&&) noexcept = default;

Tensor Projection::apply(const Tensor& x) const {
  const std::vector<Tensor>& parts = matrix_->parts;
  if (matrix_->packed) return packed_linear(x, parts.front(), std::nullopt);
  if (parts.size() == 1) return at::linear(x, parts.front());
  std::vector<Tensor> results;
  for (const Tensor& part : parts) results.push_back(at::linear(x, part));
  return at::cat(results, -1);
}

Tensor Projection::apply(const Tensor& x, const Tensor& bias) const {
  const std::vector<Tensor>& parts = matrix_->parts;
  check(parts.size() == 1, "only a matrix of one part has a bias");
  return matrix_->packed ? packed_linear(x, parts.front(), bias)
                         : at::linear(x, parts.front(), bias);
}

WeightReader::WeightReader(const Checkpoint& checkpoint, const c10::TensorOptions& options)
    : checkpoint_(checkpoint), options_(std::make_unique<const c10::TensorOptions>(options)) {}

WeightReader::~WeightReader() = default;

Tensor WeightReader::mapped(const std::string& name) const {
  const TensorView& view = checkpoint_.tensor(name);
  // ATen has no read-only tensors.
  return at::from_blob(const_cast<std::byte*>(view.data), view.shape,
                       view.dtype == Dtype::kFloat32 ? at::kFloat : at::kBFloat16);
}

Tensor WeightReader::take(const std::string& name) const { return mapped(name).to(*options_); }

Tensor WeightReader::take_float32(const std::string& name) const {
  return take(name).to(at::kFloat);
}

Projection WeightReader::projection(const std::vector<std::string>& names) const {
  std::vector<Tensor> parts;
  for (const std::string& name : names) parts.push_back(mapped(name));
  return {parts, *options_};
}

}  // namespace captiond
