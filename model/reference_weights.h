#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/engine.h"

namespace at {
class Tensor;
}
namespace c10 {
struct TensorOptions;
}

namespace captiond {

// y = x · Wᵀ + bias, x [rows, in], W [out, in] as the checkpoint has it.
//
// W is used where the file is mapped if it has the engine's dtype. What has to be converted is
// converted once, on the CPU into the layout that oneDNN's product reads: on 2 cores of an EPYC
// with AVX-512, 23.5 M float32 weights took 2.6 ms for one row and 3.2 ms for eight, MKL 6.1
// and 19.
class Projection {
 public:
  // The rows of all `parts` one below the other; each [*, in].
  Projection(const std::vector<at::Tensor>& parts, const c10::TensorOptions& options);
  ~Projection();
  Projection(Projection&&) noexcept;
  Projection& operator=(Projection&&) noexcept;

  at::Tensor apply(const at::Tensor& x) const;
  at::Tensor apply(const at::Tensor& x, const at::Tensor& bias) const;

 private:
  struct Matrix;
  std::unique_ptr<const Matrix> matrix_;
};

// Takes tensors from the checkpoint, which must outlive what it hands out, in the dtype and on the
// device of the engine. Nothing may write to them.
class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, const c10::TensorOptions& options);
  ~WeightReader();
  WeightReader(const WeightReader&) = delete;
  WeightReader& operator=(const WeightReader&) = delete;

  const Checkpoint& checkpoint() const { return checkpoint_; }

  // As it is mapped, on the CPU.
  at::Tensor mapped(const std::string& name) const;
  // Borrows the mapped file when nothing has to be converted.
  at::Tensor take(const std::string& name) const;
  // Rounded to the engine's dtype all the same, as transformers rounds every weight.
  at::Tensor take_float32(const std::string& name) const;
  Projection projection(const std::vector<std::string>& names) const;

 private:
  const Checkpoint& checkpoint_;
  const std::unique_ptr<const c10::TensorOptions> options_;
};

}  // namespace captiond
