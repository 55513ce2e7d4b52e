#include "model/checkpoint.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "model/check.h"
#include "model/checkpoint_error.h"
#include "model/checkpoint_tensors.h"
#include "model/json_object.h"
#include "model/regular_file.h"
#include "model/safetensors_file.h"

namespace captiond {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestJson = std::size_t{16} << 20;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size() && i < 8; ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() > 8 ? ", …]" : "]");
}

const char* dtype_text(Dtype dtype) { return dtype == Dtype::kFloat32 ? "F32" : "BF16"; }

bool is_there(const fs::path& path) {
  // A dangling link counts as there, so that opening it says what is wrong.
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

[[noreturn]] void refuse(const fs::path& file, const std::string& sentence) {
  throw CheckpointError(file.string() + ": " + sentence + ".");
}

ModelConfig read_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  return parse_model_config(RegularFile(file).read(kLongestJson), file);
}

GenerationConfig read_generation_config(const fs::path& folder, const ModelConfig& config) {
  const fs::path file = folder / "generation_config.json";
  // An absent file is allowed and means the same as an empty object.
  const std::string text = is_there(file) ? RegularFile(file).read(kLongestJson) : "{}";
  return parse_generation_config(text, file, config);
}

// Tensor name to shard name, from model.safetensors.index.json.
using WeightMap = std::map<std::string, std::string, std::less<>>;

WeightMap read_index(const fs::path& file) {
  // metadata.total_size is not looked at: writers disagree on whether tied tensors count.
  const JsonObject root = JsonObject::parse(RegularFile(file).read(kLongestJson), file);
  const JsonObject weights = root.object("weight_map");
  WeightMap map;
  for (const std::string& name : weights.keys()) {
    const std::string shard = weights.string(name);
    if (shard.empty() || shard == "." || shard == ".." ||
        shard.find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
      weights.refuse(name, "the name of a file in the same folder");
    }
    map.emplace(name, shard);
  }
  return map;
}

// Both ways hold: each tensor of the index is in its shard, and a shard has no other tensors.
void check_against_index(const std::vector<SafetensorsFile>& shards, const WeightMap& index,
                         const fs::path& index_file) {
  std::set<std::string_view> found;
  for (const SafetensorsFile& shard : shards) {
    for (const SafetensorsEntry& entry : shard.entries()) {
      const auto listed = index.find(entry.name);
      if (listed == index.end() || listed->second != shard.path().filename()) {
        refuse(shard.path(),
               "tensor " + shown_text(entry.name) + " must be listed for this file by " +
                   index_file.filename().string() + ", found " +
                   (listed == index.end() ? "that it is not listed"
                                          : "it listed for " + shown_text(listed->second)));
      }
      found.insert(entry.name);
    }
  }
  for (const auto& [name, shard] : index) {
    if (!found.contains(name)) {
      refuse(index_file, "tensor " + shown_text(name) + " must be in " + shown_text(shard) +
                             ", found no such tensor there");
    }
  }
}

std::vector<SafetensorsFile> open_files(const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  const fs::path index_file = folder / "model.safetensors.index.json";
  std::vector<SafetensorsFile> files;
  if (!is_there(index_file) && !is_there(single)) {
    refuse(folder, "expected model.safetensors or model.safetensors.index.json, found neither");
  }
  if (!is_there(index_file)) {
    files.emplace_back(single);
    return files;
  }
  const WeightMap index = read_index(index_file);
  std::vector<std::string> names;
  for (const auto& [tensor, shard] : index) names.push_back(shard);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (is_there(single) && !std::binary_search(names.begin(), names.end(), single.filename())) {
    refuse(folder,
           "expected model.safetensors or the files of model.safetensors.index.json, found both; "
           "remove what does not belong here");
  }
  for (const std::string& name : names) {
    const fs::path file = folder / name;
    if (!is_there(file)) {
      refuse(index_file,
             "shard " + shown_text(name) + " must be in the same folder, found no such file");
    }
    files.emplace_back(file);
  }
  check_against_index(files, index, index_file);
  return files;
}

class FolderCheckpoint final : public Checkpoint {
 public:
  explicit FolderCheckpoint(const fs::path& folder)
      : folder_(folder),
        config_(read_config(folder)),
        generation_config_(read_generation_config(folder, config_)),
        files_(open_files(folder)) {
    match_tensors();
  }

  const fs::path& folder() const override { return folder_; }
  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  std::size_t weight_bytes() const override { return weight_bytes_; }

  const TensorView& tensor(std::string_view name) const override {
    const auto found = tensors_.find(std::string(name));
    check(found != tensors_.end(), "a tensor is asked for that the config does not call for");
    return found->second;
  }

 private:
  void match_tensors();
  void add(const SafetensorsFile& file, const SafetensorsEntry& entry,
           const ExpectedTensor& expected);
  void check_dtype(const SafetensorsFile& file, const SafetensorsEntry& entry);
  // Why the tensor `name` (as published) is not called for, where that can be said.
  std::string absent_modality(const std::string& name) const;

  fs::path folder_;
  ModelConfig config_;
  GenerationConfig generation_config_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, TensorView> tensors_;  // by published name
  std::size_t weight_bytes_ = 0;
};

std::string FolderCheckpoint::absent_modality(const std::string& name) const {
  const bool sees =
      name.starts_with("model.vision_embedder.") || name.starts_with("model.embed_vision.");
  if (sees && !config_.vision) return "; config.json has no vision_config";
  if (name.starts_with("model.embed_audio.") && !config_.audio) {
    return "; config.json has no audio_config";
  }
  return "";
}

void FolderCheckpoint::match_tensors() {
  std::vector<ExpectedTensor> expected = expected_tensors(config_);
  std::unordered_map<std::string_view, const ExpectedTensor*> by_name;
  for (const ExpectedTensor& tensor : expected) by_name.emplace(tensor.name, &tensor);
  for (const SafetensorsFile& file : files_) {
    for (const SafetensorsEntry& entry : file.entries()) {
      if (entry.name == "lm_head.weight") continue;  // tied: the embedding is the head
      const std::string name = published_name(entry.name);
      const auto wanted = by_name.find(name);
      if (wanted == by_name.end()) {
        refuse(file.path(), "expected only tensors that config.json calls for, found tensor " +
                                shown_text(entry.name) + absent_modality(name));
      }
      add(file, entry, *wanted->second);
    }
  }
  const auto missing = [&](const ExpectedTensor& tensor) {
    return !tensors_.contains(tensor.name);
  };
  const auto first = std::find_if(expected.begin(), expected.end(), missing);
  if (first != expected.end()) {
    refuse(files_.size() == 1 ? files_.front().path() : folder_,
           "tensor " + shown_text(first->name) + " of shape " + shape_text(first->shape) +
               " must be there, found " + std::to_string(tensors_.size()) + " of the " +
               std::to_string(expected.size()) + " tensors that config.json calls for");
  }
}

void FolderCheckpoint::add(const SafetensorsFile& file, const SafetensorsEntry& entry,
                           const ExpectedTensor& expected) {
  if (entry.shape != expected.shape) {
    refuse(file.path(), "tensor " + shown_text(entry.name) + " must have shape " +
                            shape_text(expected.shape) + " as config.json says, found " +
                            shape_text(entry.shape));
  }
  check_dtype(file, entry);
  TensorView view{expected.name, entry.dtype, entry.shape, file.data(entry), entry.bytes};
  if (!tensors_.emplace(expected.name, std::move(view)).second) {
    refuse(file.path(), "tensor " + shown_text(expected.name) +
                            " must be there once, found it again as " + shown_text(entry.name));
  }
  weight_bytes_ += entry.bytes;
}

void FolderCheckpoint::check_dtype(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  // All tensors have one dtype: the config's, else that of the first tensor.
  const std::string source = config_.dtype ? "config.json says" : "the first tensor has";
  const Dtype dtype = config_.dtype      ? *config_.dtype
                      : tensors_.empty() ? entry.dtype
                                         : tensors_.begin()->second.dtype;
  if (entry.dtype != dtype) {
    refuse(file.path(), "tensor " + shown_text(entry.name) + " must have dtype " +
                            dtype_text(dtype) + " as " + source + ", found " +
                            dtype_text(entry.dtype));
  }
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    refuse(folder, "expected a Hugging Face checkpoint folder, found " +
                       (error ? "that looking at it failed: " + error.message()
                              : std::string("something else")));
  }
  return std::make_shared<FolderCheckpoint>(folder);
}

}  // namespace captiond
