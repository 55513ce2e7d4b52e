#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/checkpoint_tensors.h"
#include "model/dtype.h"
#include "tests/support/temporary_folder.h"

namespace captiond::test {

// A small well-formed checkpoint, held as its parts so that a test can spoil one of them before it
// is written. Four layers, the last one full with K = V, vision and audio.
struct SmallCheckpoint {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::string dtype;  // as the header spells it
    std::string data;
  };

  nlohmann::json config;
  nlohmann::json generation_config;
  std::vector<Tensor> tensors;  // in the order of their data

  explicit SmallCheckpoint(Dtype dtype = Dtype::kBfloat16);

  // Changes the text config and makes the tensors anew.
  void change_text(const std::string& key, const nlohmann::json& value);
  Tensor& tensor(const std::string& name);
  void add(const std::string& name, std::vector<std::int64_t> shape);

  // One safetensors file of the tensors `first` to `last` (not included).
  std::string file(std::size_t first, std::size_t last) const;
  std::string file() const { return file(0, tensors.size()); }

  // config.json, generation_config.json and model.safetensors.
  void write(const TemporaryFolder& folder) const;
  // The same with the tensors in `shards` files and an index, which is returned as well.
  nlohmann::json write_sharded(const TemporaryFolder& folder, std::size_t shards) const;

 private:
  void make_tensors();
};

}  // namespace captiond::test
