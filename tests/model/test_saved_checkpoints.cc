#define BOOST_TEST_MODULE saved_checkpoints
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/checkpoint.h"
#include "model/regular_file.h"

// Folders that transformers saved, made by make_saved_checkpoints.py at CAPTIOND_SAVED_CHECKPOINTS.

using captiond::AttentionConfig;
using captiond::Checkpoint;
using captiond::Dtype;
using captiond::LayerType;
using captiond::RegularFile;
using captiond::TensorView;
using nlohmann::json;

namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;

void check_tensors(const Checkpoint& checkpoint, const json& expected, const std::string& data) {
  std::size_t bytes = 0;
  for (const json& tensor : expected) {
    const auto name = tensor["name"].get<std::string>();
    BOOST_TEST_CONTEXT(name) {
      const TensorView& view = checkpoint.tensor(name);
      BOOST_TEST(view.shape == tensor["shape"].get<std::vector<std::int64_t>>(),
                 boost::test_tools::per_element());
      BOOST_TEST((view.dtype == Dtype::kFloat32) == (tensor["dtype"] == "float32"));
      const auto offset = tensor["offset"].get<std::size_t>();
      BOOST_TEST_REQUIRE(view.bytes <= data.size() - offset);
      BOOST_TEST(std::memcmp(view.data, data.data() + offset, view.bytes) == 0);
      bytes += view.bytes;
    }
  }
  BOOST_TEST(bytes == data.size());
  BOOST_TEST(checkpoint.weight_bytes() == data.size());
}

void check_layers(const Checkpoint& checkpoint, const json& expected) {
  const captiond::TextConfig& text = checkpoint.config().text;
  BOOST_TEST_REQUIRE(text.layer_types.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool full = text.layer_types[i] == LayerType::kFull;
    BOOST_TEST(full == (expected[i]["type"] == "full_attention"));
    const AttentionConfig& attention = text.attention(text.layer_types[i]);
    BOOST_TEST(attention.head_dim == expected[i]["head_dim"].get<std::int64_t>());
    BOOST_TEST(attention.kv_heads == expected[i]["kv_heads"].get<std::int64_t>());
    BOOST_TEST(attention.value_is_key == expected[i]["value_is_key"].get<bool>());
  }
}

void check_rope(const AttentionConfig& attention, const std::vector<double>& expected) {
  BOOST_TEST_REQUIRE(static_cast<std::int64_t>(expected.size()) == attention.head_dim / 2);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& rope = attention.rope;
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(attention.head_dim);
    const double frequency = static_cast<std::int64_t>(i) < rope.rotary_pairs
                                 ? std::pow(rope.theta, exponent) / rope.factor
                                 : 0.0;
    // torch computes them in float32: 2^-24 a rounding, a few of them.
    BOOST_TEST(std::abs(frequency - expected[i]) <= 1e-6 * frequency);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_transformers_saves_is_read_as_it_has_it_in_memory) {
  std::set<std::string> seen;
  for (const auto& entry : std::filesystem::directory_iterator(CAPTIOND_SAVED_CHECKPOINTS)) {
    const std::filesystem::path folder = entry.path();
    seen.insert(folder.filename());
    BOOST_TEST_CONTEXT(folder.filename()) {
      const json expected = json::parse(RegularFile(folder / "expected.json").read(kMostBytes));
      const auto checkpoint = Checkpoint::open(folder);
      check_tensors(*checkpoint, expected["tensors"],
                    RegularFile(folder / "expected.bin").read(kMostBytes));
      check_layers(*checkpoint, expected["layers"]);
      const captiond::ModelConfig& config = checkpoint->config();
      for (const auto& [type, frequencies] : expected["inv_freq"].items()) {
        check_rope(type == "full_attention" ? config.text.full : config.text.sliding,
                   frequencies.get<std::vector<double>>());
      }
      BOOST_TEST(config.vision.has_value() == expected["vision"].get<bool>());
      BOOST_TEST(config.audio.has_value() == expected["audio"].get<bool>());
    }
  }
  BOOST_TEST(seen.size() == 16U);
}
