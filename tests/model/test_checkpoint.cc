#define BOOST_TEST_MODULE checkpoint
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/checkpoint.h"
#include "model/checkpoint_tensors.h"
#include "tests/model/published_config.h"
#include "tests/model/refusal.h"
#include "tests/model/safetensors_bytes.h"
#include "tests/model/small_checkpoint.h"
#include "tests/support/temporary_folder.h"

using captiond::Checkpoint;
using captiond::Dtype;
using captiond::TensorView;
using captiond::test::check_refusal;
using captiond::test::padded;
using captiond::test::published_config;
using captiond::test::safetensors_bytes;
using captiond::test::SmallCheckpoint;
using captiond::test::TemporaryFolder;
using nlohmann::json;

namespace {

// Every tensor of `source` is found under its name with its shape and bytes.
void check_equal(const Checkpoint& checkpoint, const SmallCheckpoint& source) {
  std::size_t bytes = 0;
  for (const SmallCheckpoint::Tensor& tensor : source.tensors) {
    BOOST_TEST_CONTEXT(tensor.name) {
      const TensorView& view = checkpoint.tensor(tensor.name);
      BOOST_TEST(view.name == tensor.name);
      BOOST_TEST(view.shape == tensor.shape, boost::test_tools::per_element());
      BOOST_TEST((view.dtype == Dtype::kFloat32) == (tensor.dtype == "F32"));
      BOOST_TEST_REQUIRE(view.bytes == tensor.data.size());
      BOOST_TEST(std::memcmp(view.data, tensor.data.data(), view.bytes) == 0);
      bytes += view.bytes;
    }
  }
  BOOST_TEST(checkpoint.weight_bytes() == bytes);
}

// Writes `source`, lets `spoil` change the folder, and wants a refusal that starts with `file`
// (below the folder; empty: the folder itself).
void check_refused(const SmallCheckpoint& source, const std::string& file,
                   const std::vector<std::string>& parts,
                   const std::function<void(const TemporaryFolder&)>& spoil = {}) {
  const TemporaryFolder folder;
  source.write(folder);
  if (spoil) spoil(folder);
  const std::string start = (file.empty() ? folder.path() : folder.path() / file).string();
  check_refusal([&] { Checkpoint::open(folder.path()); }, start + ": ", parts);
}

void check_sharded_refused(const std::string& file, const std::vector<std::string>& parts,
                           const std::function<void(const TemporaryFolder&, json)>& spoil) {
  const TemporaryFolder folder;
  spoil(folder, SmallCheckpoint().write_sharded(folder, 3));
  const std::string start = (file.empty() ? folder.path() : folder.path() / file).string();
  check_refusal([&] { Checkpoint::open(folder.path()); }, start + ": ", parts);
}

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kWeights = "model.safetensors";

}  // namespace

BOOST_AUTO_TEST_CASE(a_folder_in_one_file_opens_with_every_tensor_in_its_place) {
  for (const Dtype dtype : {Dtype::kBfloat16, Dtype::kFloat32}) {
    const TemporaryFolder folder;
    const SmallCheckpoint source(dtype);
    source.write(folder);
    const auto checkpoint = Checkpoint::open(folder.path());
    check_equal(*checkpoint, source);
    BOOST_TEST(checkpoint->folder() == folder.path());
    BOOST_TEST(checkpoint->config().text.layer_types.size() == 4U);
    BOOST_TEST(checkpoint->generation_config().eos_token_ids.size() == 3U);
    // 2 sliding layers of 14, 2 full ones of 13, embedding, norm, 10 for vision, 1 for audio.
    BOOST_TEST(source.tensors.size() == 67U);
    BOOST_TEST(checkpoint->tensor("model.language_model.layers.1.self_attn.q_proj.weight").shape ==
                   (std::vector<std::int64_t>{40, 16}),
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_the_published_size_opens_without_being_read) {
  const TemporaryFolder folder;
  const json config = published_config();
  json header;
  std::size_t end = 0;
  for (const auto& tensor :
       captiond::expected_tensors(captiond::parse_model_config(config.dump(), "config.json"))) {
    std::size_t bytes = 2;
    for (const std::int64_t dimension : tensor.shape) bytes *= static_cast<std::size_t>(dimension);
    header[tensor.name] = {
        {"dtype", "BF16"}, {"shape", tensor.shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  folder.write("config.json", config.dump());
  const std::string start = safetensors_bytes(padded(header.dump()), "");
  // One hole of 24 GB, which takes no room on the disk.
  std::filesystem::resize_file(folder.write(kWeights, start), start.size() + end);
  const auto checkpoint = Checkpoint::open(folder.path());
  BOOST_TEST(checkpoint->weight_bytes() == 23'919'460'448U);
  const TensorView& last = checkpoint->tensor("model.embed_audio.embedding_projection.weight");
  BOOST_TEST(static_cast<int>(last.data[last.bytes - 1]) == 0);
}

BOOST_AUTO_TEST_CASE(shards_open_as_one_file_does) {
  for (const std::size_t shards : {1, 2, 5}) {
    const TemporaryFolder folder;
    const SmallCheckpoint source;
    source.write_sharded(folder, shards);
    check_equal(*Checkpoint::open(folder.path()), source);
  }
}

BOOST_AUTO_TEST_CASE(an_index_may_list_one_file_of_the_usual_name) {
  const TemporaryFolder folder;
  const SmallCheckpoint source;
  json index = source.write_sharded(folder, 1);
  std::filesystem::rename(folder.path() / "model-1.safetensors", folder.path() / kWeights);
  for (json& shard : index["weight_map"]) shard = kWeights;
  folder.write(kIndex, index.dump());
  check_equal(*Checkpoint::open(folder.path()), source);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_outlives_its_folder) {
  auto folder = std::make_unique<TemporaryFolder>();
  const SmallCheckpoint source;
  source.write(*folder);
  const auto checkpoint = Checkpoint::open(folder->path());
  folder.reset();
  check_equal(*checkpoint, source);
}

BOOST_AUTO_TEST_CASE(files_may_be_links_as_in_a_download_cache) {
  const TemporaryFolder blobs;
  const TemporaryFolder folder;
  const SmallCheckpoint source;
  source.write(blobs);
  for (const char* name : {"config.json", "generation_config.json", kWeights}) {
    std::filesystem::create_symlink(blobs.path() / name, folder.path() / name);
  }
  check_equal(*Checkpoint::open(folder.path()), source);
}

BOOST_AUTO_TEST_CASE(the_newer_spelling_of_the_vision_tensors_is_found_under_the_published_one) {
  const TemporaryFolder folder;
  const SmallCheckpoint source;
  SmallCheckpoint newer = source;
  std::size_t renamed = 0;
  for (auto& tensor : newer.tensors) {
    const std::string embedder = "model.vision_embedder.";
    const std::string projection = "model.embed_vision.embedding_projection.weight";
    if (tensor.name.starts_with(embedder)) {
      tensor.name = "model.embed_vision." + tensor.name.substr(embedder.size());
      ++renamed;
    } else if (tensor.name == projection) {
      tensor.name = "model.embed_vision.multimodal_embedder.embedding_projection.weight";
      ++renamed;
    }
  }
  BOOST_TEST(renamed == 10U);
  newer.write(folder);
  check_equal(*Checkpoint::open(folder.path()), source);
}

BOOST_AUTO_TEST_CASE(a_stored_head_is_ignored_because_it_is_tied) {
  const TemporaryFolder folder;
  const SmallCheckpoint source;
  SmallCheckpoint with_head = source;
  with_head.add("lm_head.weight", {50, 16});
  with_head.write(folder);
  check_equal(*Checkpoint::open(folder.path()), source);
}

BOOST_AUTO_TEST_CASE(a_folder_without_a_generation_config_uses_the_config) {
  const TemporaryFolder folder;
  SmallCheckpoint().write(folder);
  std::filesystem::remove(folder.path() / "generation_config.json");
  const auto checkpoint = Checkpoint::open(folder.path());
  BOOST_TEST(
      checkpoint->generation_config().eos_token_ids == (std::vector<captiond::TokenId>{1, 6}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_checkpoint_without_a_modality_lacks_its_tensors) {
  SmallCheckpoint source;
  source.config["vision_config"] = nullptr;
  check_refused(source, kWeights,
                {"\"model.vision_embedder.patch_ln1.weight\"", "config.json", "vision_config"});
  source.config.erase("audio_config");
  source.change_text("vocab_size", 50);
  BOOST_TEST(source.tensors.size() == 56U);
  const TemporaryFolder folder;
  source.write(folder);
  const auto checkpoint = Checkpoint::open(folder.path());
  check_equal(*checkpoint, source);
  BOOST_TEST(!checkpoint->config().vision.has_value());
  BOOST_TEST(!checkpoint->config().audio.has_value());
  source.add("model.embed_audio.embedding_projection.weight", {16, 640});
  check_refused(source, kWeights,
                {"\"model.embed_audio.embedding_projection.weight\"", "audio_config"});
}

BOOST_AUTO_TEST_CASE(without_k_eq_v_full_layers_have_a_value_projection) {
  SmallCheckpoint source;
  source.change_text("attention_k_eq_v", false);
  BOOST_TEST(source.tensor("model.language_model.layers.1.self_attn.v_proj.weight").shape ==
                 (std::vector<std::int64_t>{20, 16}),
             boost::test_tools::per_element());
  const TemporaryFolder folder;
  source.write(folder);
  check_equal(*Checkpoint::open(folder.path()), source);
  source.config["text_config"]["attention_k_eq_v"] = true;
  check_refused(source, kWeights, {"layers.1.self_attn", "[10, 16]", "[20, 16]"});
}

BOOST_AUTO_TEST_CASE(missing_and_unknown_tensors_are_refused) {
  for (std::size_t i = 0; i < 67; ++i) {
    SmallCheckpoint source;
    const std::string name = source.tensors[i].name;
    source.tensors.erase(source.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    check_refused(source, kWeights, {"\"" + name + "\"", "must be there", "66 of the 67"});
    source.add(name + "s", {2});
    check_refused(source, kWeights, {"\"" + name + "s\"", "config.json calls for"});
  }
  for (const char* name : {"lm_head.bias", "model.lm_head.weight", "", "__metadata",
                           "model.language_model.layers.4.layer_scalar",
                           "model.language_model.layers.1.self_attn.v_proj.weight"}) {
    SmallCheckpoint source;
    source.add(name, {1});
    check_refused(source, kWeights, {"\"" + std::string(name) + "\"", "config.json calls for"});
  }
}

BOOST_AUTO_TEST_CASE(a_tensor_in_both_spellings_is_refused) {
  SmallCheckpoint source;
  source.add("model.embed_vision.pos_norm.bias", {12});
  check_refused(
      source, kWeights,
      {"\"model.vision_embedder.pos_norm.bias\"", "once", "\"model.embed_vision.pos_norm.bias\""});
}

BOOST_AUTO_TEST_CASE(wrong_shapes_and_dtypes_are_refused) {
  const std::string name = "model.language_model.layers.0.mlp.down_proj.weight";
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{24, 16}, {384}, {16, 24, 1}, {1, 16, 24}}) {
    SmallCheckpoint source;
    source.tensor(name).shape = shape;
    check_refused(source, kWeights, {"\"" + name + "\"", "shape [16, 24]", "found ["});
  }
  SmallCheckpoint scalar;
  scalar.tensor("model.language_model.layers.0.layer_scalar").shape = {};
  check_refused(scalar, kWeights, {"layers.0.layer_scalar", "shape [1]", "found []"});

  SmallCheckpoint narrow;
  narrow.config["dtype"] = "float32";
  check_refused(narrow, kWeights, {"must have dtype F32", "config.json says", "found BF16"});

  SmallCheckpoint mixed;
  mixed.tensor(name).dtype = "F32";
  mixed.tensor(name).data += mixed.tensor(name).data;
  check_refused(mixed, kWeights, {"\"" + name + "\"", "dtype BF16", "found F32"});
  mixed.config.erase("dtype");
  check_refused(mixed, kWeights, {"\"" + name + "\"", "dtype BF16", "first tensor", "found F32"});

  SmallCheckpoint half;
  half.tensor(name).dtype = "F16";
  check_refused(half, kWeights, {name + ".dtype", "\"BF16\" or \"F32\"", "\"F16\""});
}

BOOST_AUTO_TEST_CASE(a_config_that_does_not_say_the_dtype_takes_that_of_the_tensors) {
  for (const Dtype dtype : {Dtype::kBfloat16, Dtype::kFloat32}) {
    SmallCheckpoint source(dtype);
    source.config.erase("dtype");
    const TemporaryFolder folder;
    source.write(folder);
    check_equal(*Checkpoint::open(folder.path()), source);
  }
}

BOOST_AUTO_TEST_CASE(missing_files_are_refused) {
  const SmallCheckpoint source;
  check_refused(source, "config.json", {"No such file"}, [](const TemporaryFolder& folder) {
    std::filesystem::remove(folder.path() / "config.json");
  });
  check_refused(
      source, "", {"model.safetensors", "model.safetensors.index.json", "neither"},
      [](const TemporaryFolder& folder) { std::filesystem::remove(folder.path() / kWeights); });
  const TemporaryFolder folder;
  const std::string missing = (folder.path() / "none").string();
  check_refusal([&] { Checkpoint::open(missing); }, missing + ": ",
                {"checkpoint folder", "No such file"});
  const std::string file = folder.write("file", "{}").string();
  check_refusal([&] { Checkpoint::open(file); }, file + ": ", {"checkpoint folder", "file"});
  check_refusal([&] { Checkpoint::open(""); }, ": ", {"checkpoint folder"});
}

BOOST_AUTO_TEST_CASE(files_that_are_no_files_are_refused_without_waiting) {
  for (const char* name : {"config.json", "generation_config.json", kWeights, kIndex}) {
    BOOST_TEST_CONTEXT(name) {
      const auto replaced = [&](const std::string& part,
                                const std::function<void(const std::filesystem::path&)>& make) {
        check_refused(SmallCheckpoint(), name, {part}, [&](const TemporaryFolder& folder) {
          if (std::string(name) == kIndex) std::filesystem::remove(folder.path() / kWeights);
          std::filesystem::remove(folder.path() / name);
          make(folder.path() / name);
        });
      };
      replaced("a folder", [](const auto& path) { std::filesystem::create_directory(path); });
      replaced("a FIFO",
               [](const auto& path) { BOOST_TEST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0); });
      replaced("a device",
               [](const auto& path) { std::filesystem::create_symlink("/dev/zero", path); });
      replaced("No such file",
               [](const auto& path) { std::filesystem::create_symlink("nowhere", path); });
    }
  }
}

BOOST_AUTO_TEST_CASE(spoilt_files_are_refused_by_name) {
  const SmallCheckpoint source;
  const auto with = [](const char* name, const std::string& bytes) {
    return [=](const TemporaryFolder& folder) { folder.write(name, bytes); };
  };
  check_refused(source, "config.json", {"expected JSON"}, with("config.json", ""));
  check_refused(source, "config.json", {"expected JSON"}, with("config.json", "model: x\n"));
  check_refused(source, "config.json", {"at most 16777216 bytes"},
                with("config.json", std::string((16U << 20) + 1, ' ')));
  check_refused(source, "generation_config.json", {"expected JSON"},
                with("generation_config.json", "{"));
  check_refused(source, "generation_config.json", {"temperature", "-1"},
                with("generation_config.json", R"({"temperature": -1})"));
  check_refused(source, kWeights, {"found 0 bytes"}, with(kWeights, ""));
  const std::string whole = source.file();
  check_refused(source, kWeights, {"truncated"}, with(kWeights, whole.substr(0, 100)));
  check_refused(source, kWeights, {"truncated"}, with(kWeights, whole.substr(0, whole.size() - 1)));
  check_refused(source, kWeights, {"fill"}, with(kWeights, whole + " "));
  check_refused(source, kWeights, {"header length"}, with(kWeights, "{\"json\": \"not tensors\"}"));
}

BOOST_AUTO_TEST_CASE(indexes_that_do_not_match_their_shards_are_refused) {
  check_sharded_refused("", {"found both", "remove"},
                        [](const TemporaryFolder& folder, const json&) {
                          folder.write(kWeights, SmallCheckpoint().file());
                        });
  check_sharded_refused(kIndex, {"\"model-2.safetensors\"", "no such file"},
                        [](const TemporaryFolder& folder, const json&) {
                          std::filesystem::remove(folder.path() / "model-2.safetensors");
                        });
  const auto rewritten = [](const std::function<void(json&)>& change) {
    return [=](const TemporaryFolder& folder, json index) {
      change(index);
      folder.write(kIndex, index.dump());
    };
  };
  const std::string scalar = "model.language_model.layers.0.layer_scalar";
  check_sharded_refused(kIndex, {"\"lm_head.weight\"", "must be in \"model-1.safetensors\""},
                        rewritten([](json& index) {
                          index["weight_map"]["lm_head.weight"] = "model-1.safetensors";
                        }));
  check_sharded_refused("model-1.safetensors", {"\"" + scalar + "\"", "not listed", kIndex},
                        rewritten([&](json& index) { index["weight_map"].erase(scalar); }));
  check_sharded_refused(
      "model-1.safetensors", {"\"" + scalar + "\"", "listed for \"model-3.safetensors\""},
      rewritten([&](json& index) { index["weight_map"][scalar] = "model-3.safetensors"; }));
  for (const std::string& shard : std::vector<std::string>{"../model-1.safetensors", "/etc/passwd",
                                                           "", ".", "..", std::string("a\0b", 3)}) {
    check_sharded_refused(kIndex, {"weight_map." + scalar, "a file in the same folder"},
                          rewritten([&](json& index) { index["weight_map"][scalar] = shard; }));
  }
  check_sharded_refused(kIndex, {"weight_map." + scalar, "a string", "7"},
                        rewritten([&](json& index) { index["weight_map"][scalar] = 7; }));
  check_sharded_refused(kIndex, {"weight_map", "an object"},
                        rewritten([](json& index) { index["weight_map"] = json::array(); }));
  check_sharded_refused(kIndex, {"weight_map", "an object", "no such key"},
                        rewritten([](json& index) { index.erase("weight_map"); }));
  check_sharded_refused("", {"embed_tokens", "0 of the 67"},
                        rewritten([](json& index) { index["weight_map"] = json::object(); }));
  check_sharded_refused("model-2.safetensors", {"truncated"},
                        [](const TemporaryFolder& folder, const json&) {
                          std::filesystem::resize_file(folder.path() / "model-2.safetensors", 999);
                        });
}

BOOST_AUTO_TEST_CASE(a_tensor_in_two_shards_is_refused) {
  check_sharded_refused(
      "model-2.safetensors", {"embed_tokens", "listed for \"model-1.safetensors\""},
      [](const TemporaryFolder& folder, const json&) {
        SmallCheckpoint source;
        const std::size_t count = source.tensors.size();
        source.tensors.insert(source.tensors.begin() + static_cast<std::ptrdiff_t>(count / 3),
                              source.tensors.front());
        folder.write("model-2.safetensors", source.file(count / 3, 2 * count / 3 + 1));
      });
}
