#include "tests/model/small_checkpoint.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "model/model_config.h"
#include "tests/model/published_config.h"
#include "tests/model/safetensors_bytes.h"

namespace captiond::test {

SmallCheckpoint::SmallCheckpoint(Dtype dtype) : config(published_config()) {
  config["dtype"] = dtype == Dtype::kFloat32 ? "float32" : "bfloat16";
  config["eos_token_id"] = {1, 6};
  int id = 40;
  for (const char* key : {"image_token_id", "video_token_id", "boi_token_id", "eoi_token_id",
                          "audio_token_id", "boa_token_id", "eoa_token_index"}) {
    config[key] = id++;
  }
  nlohmann::json& text = config["text_config"];
  text["vocab_size"] = 50;
  text["hidden_size"] = 16;
  text["intermediate_size"] = 24;
  text["num_hidden_layers"] = 4;
  text["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention",
                         "full_attention"};
  text["num_attention_heads"] = 4;
  text["num_key_value_heads"] = 2;
  text["head_dim"] = 6;
  text["global_head_dim"] = 10;
  text["sliding_window"] = 8;
  text["max_position_embeddings"] = 128;
  config["vision_config"]["mm_embed_dim"] = 12;
  config["vision_config"]["output_proj_dims"] = 12;
  config["vision_config"]["mm_posemb_size"] = 9;
  generation_config = {{"eos_token_id", {1, 6, 7}}, {"suppress_tokens", {43, 46}}};
  make_tensors();
}

void SmallCheckpoint::change_text(const std::string& key, const nlohmann::json& value) {
  config["text_config"][key] = value;
  make_tensors();
}

void SmallCheckpoint::make_tensors() {
  tensors.clear();
  for (const ExpectedTensor& expected :
       expected_tensors(parse_model_config(config.dump(), "config.json"))) {
    add(expected.name, expected.shape);
  }
}

SmallCheckpoint::Tensor& SmallCheckpoint::tensor(const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  if (found == tensors.end()) throw std::invalid_argument("no tensor " + name);
  return *found;
}

void SmallCheckpoint::add(const std::string& name, std::vector<std::int64_t> shape) {
  const bool wide = config["dtype"] == "float32";
  std::size_t bytes = wide ? 4 : 2;
  for (const std::int64_t dimension : shape) bytes *= static_cast<std::size_t>(dimension);
  // Other bytes in every tensor, so that one cannot pass for another.
  std::string data(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    data[i] = static_cast<char>((i * 7 + tensors.size() * 31 + i / 256) & 0xff);
  }
  tensors.push_back({name, std::move(shape), wide ? "F32" : "BF16", std::move(data)});
}

std::string SmallCheckpoint::file(std::size_t first, std::size_t last) const {
  nlohmann::json header{{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (std::size_t i = first; i < last; ++i) {
    const Tensor& tensor = tensors[i];
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data += tensor.data;
  }
  return safetensors_bytes(padded(header.dump()), data);
}

void SmallCheckpoint::write(const TemporaryFolder& folder) const {
  folder.write("config.json", config.dump(2));
  folder.write("generation_config.json", generation_config.dump(2));
  folder.write("model.safetensors", file());
}

nlohmann::json SmallCheckpoint::write_sharded(const TemporaryFolder& folder,
                                              std::size_t shards) const {
  folder.write("config.json", config.dump(2));
  folder.write("generation_config.json", generation_config.dump(2));
  nlohmann::json index{{"metadata", {{"total_size", 0}}}, {"weight_map", nlohmann::json::object()}};
  for (std::size_t shard = 0; shard < shards; ++shard) {
    const std::size_t first = tensors.size() * shard / shards;
    const std::size_t last = tensors.size() * (shard + 1) / shards;
    const std::string name = "model-" + std::to_string(shard + 1) + ".safetensors";
    folder.write(name, file(first, last));
    for (std::size_t i = first; i < last; ++i) index["weight_map"][tensors[i].name] = name;
  }
  folder.write("model.safetensors.index.json", index.dump(2));
  return index;
}

}  // namespace captiond::test
