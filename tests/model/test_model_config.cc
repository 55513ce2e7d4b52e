#define BOOST_TEST_MODULE model_config
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/checkpoint_tensors.h"
#include "model/model_config.h"
#include "tests/model/published_config.h"
#include "tests/model/refusal.h"

using captiond::AttentionConfig;
using captiond::Dtype;
using captiond::GenerationConfig;
using captiond::LayerType;
using captiond::ModelConfig;
using captiond::parse_generation_config;
using captiond::parse_model_config;
using captiond::TextConfig;
using captiond::TokenId;
using captiond::test::check_refusal;
using captiond::test::published_config;
using nlohmann::json;

namespace {

ModelConfig parsed(const json& config) { return parse_model_config(config.dump(), "config.json"); }

ModelConfig parsed_text(const std::string& key, const json& value) {
  json config = published_config();
  config["text_config"][key] = value;
  return parsed(config);
}

// One change to the published config, by JSON pointer, and what the refusal must name.
struct BadConfig {
  std::string pointer;
  json value;
  std::vector<std::string> parts;
};

void check_refused(const std::vector<BadConfig>& table) {
  for (const BadConfig& bad : table) {
    BOOST_TEST_CONTEXT(bad.pointer << " = " << bad.value) {
      json config = published_config();
      config[json::json_pointer(bad.pointer)] = bad.value;
      check_refusal([&] { parsed(config); }, "config.json: ", bad.parts);
    }
  }
}

// The published config in the form that transformers 5.17 writes after loading it.
json resaved_config() {
  json config = published_config();
  json& text = config["text_config"];
  text.erase("global_head_dim");
  text.erase("num_global_key_value_heads");
  for (int layer = 5; layer < 48; layer += 6) {
    const std::string key = (layer < 10 ? "0" : "") + std::to_string(layer);
    text["per_layer_config"][key] = {{"head_dim", 512}, {"num_key_value_heads", 1}};
  }
  return config;
}

void check_same_attention(const AttentionConfig& a, const AttentionConfig& b) {
  BOOST_TEST(a.head_dim == b.head_dim);
  BOOST_TEST(a.kv_heads == b.kv_heads);
  BOOST_TEST(a.value_is_key == b.value_is_key);
  BOOST_TEST(a.rope.theta == b.rope.theta);
  BOOST_TEST(a.rope.factor == b.rope.factor);
  BOOST_TEST(a.rope.rotary_pairs == b.rope.rotary_pairs);
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_published_config_is_read_as_it_stands) {
  const ModelConfig config = parsed(published_config());
  const TextConfig& text = config.text;
  BOOST_TEST((config.dtype == Dtype::kBfloat16));
  BOOST_TEST(text.vocab_size == 262144);
  BOOST_TEST(text.hidden_size == 3840);
  BOOST_TEST(text.intermediate_size == 15360);
  BOOST_TEST(text.heads == 16);
  BOOST_TEST(text.sliding_window == 1024);
  BOOST_TEST(text.max_position_embeddings == 262144);
  BOOST_TEST(text.rms_norm_eps == 1e-6);
  BOOST_TEST(text.final_logit_softcapping.value() == 30.0);
  BOOST_TEST(text.vision_blocks_bidirectional);
  BOOST_TEST(text.pad_token_id == 0);
  BOOST_TEST(text.layer_types.size() == 48U);
  for (std::size_t i = 0; i < 48; ++i) {
    BOOST_TEST((text.layer_types[i] == (i % 6 == 5 ? LayerType::kFull : LayerType::kSliding)));
  }
  check_same_attention(text.sliding, {256, 8, false, {10'000.0, 1.0, 128}});
  check_same_attention(text.full, {512, 1, true, {1'000'000.0, 1.0, 64}});
  BOOST_TEST(config.vision.value().patch_size == 48);
  BOOST_TEST(config.vision->mm_embed_dim == 3840);
  BOOST_TEST(config.vision->mm_posemb_size == 1120);
  BOOST_TEST(config.vision->default_soft_tokens == 280);
  BOOST_TEST(config.audio.value().samples_per_token == 640);
  BOOST_TEST(config.eos_token_ids == (std::vector<TokenId>{1, 106}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(special_ids_come_from_the_file) {
  json source = published_config();
  source["image_token_id"] = 11;
  source["audio_token_id"] = 12;
  source["video_token_id"] = 13;
  source["boi_token_id"] = 14;
  source["eoi_token_id"] = 15;
  source["boa_token_id"] = 16;
  source["eoa_token_index"] = 17;
  const ModelConfig config = parsed(source);
  BOOST_TEST(config.image_token_id == 11);
  BOOST_TEST(config.audio_token_id == 12);
  BOOST_TEST(config.video_token_id == 13);
  BOOST_TEST(config.boi_token_id == 14);
  BOOST_TEST(config.eoi_token_id == 15);
  BOOST_TEST(config.boa_token_id == 16);
  BOOST_TEST(config.eoa_token_id == 17);
}

BOOST_AUTO_TEST_CASE(the_12b_config_calls_for_677_tensors_of_23919460448_bytes) {
  std::int64_t bytes = 0;
  const auto tensors = captiond::expected_tensors(parsed(published_config()));
  for (const auto& tensor : tensors) {
    std::int64_t elements = 1;
    for (const std::int64_t dimension : tensor.shape) elements *= dimension;
    bytes += 2 * elements;
  }
  BOOST_TEST(tensors.size() == 677U);
  BOOST_TEST(bytes == 23'919'460'448);
}

BOOST_AUTO_TEST_CASE(the_form_that_transformers_writes_means_the_same) {
  const ModelConfig ours = parsed(published_config());
  const ModelConfig theirs = parsed(resaved_config());
  check_same_attention(ours.text.sliding, theirs.text.sliding);
  check_same_attention(ours.text.full, theirs.text.full);
  json both = resaved_config();
  both["text_config"]["global_head_dim"] = 512;
  both["text_config"]["num_global_key_value_heads"] = 1;
  check_same_attention(ours.text.full, parsed(both).text.full);
}

BOOST_AUTO_TEST_CASE(an_empty_per_layer_config_gives_all_layers_the_same_heads) {
  json config = resaved_config();
  config["text_config"]["per_layer_config"] = json::object();
  const TextConfig text = parsed(config).text;
  BOOST_TEST(text.full.head_dim == 256);
  BOOST_TEST(text.full.kv_heads == 8);
  BOOST_TEST(text.full.rope.rotary_pairs == 32);
}

BOOST_AUTO_TEST_CASE(without_k_eq_v_full_layers_have_the_ordinary_key_value_heads) {
  const TextConfig text = parsed_text("attention_k_eq_v", false).text;
  BOOST_TEST(!text.full.value_is_key);
  BOOST_TEST(text.full.kv_heads == 8);
  BOOST_TEST(text.full.head_dim == 512);
  // An explicit per_layer_config counts as it stands, as it does in transformers.
  json config = resaved_config();
  config["text_config"]["attention_k_eq_v"] = false;
  BOOST_TEST(parsed(config).text.full.kv_heads == 1);
  BOOST_TEST(!parsed(config).text.full.value_is_key);
}

BOOST_AUTO_TEST_CASE(absent_keys_mean_what_they_mean_to_transformers) {
  json config = published_config();
  for (const char* key :
       {"global_head_dim", "num_global_key_value_heads", "attention_k_eq_v", "rope_parameters",
        "rms_norm_eps", "final_logit_softcapping", "use_bidirectional_attention", "pad_token_id"}) {
    config["text_config"].erase(key);
  }
  for (const char* key : {"dtype", "image_token_id", "eoa_token_index", "eos_token_id"}) {
    config.erase(key);
  }
  const ModelConfig parsed_config = parsed(config);
  check_same_attention(parsed_config.text.sliding, {256, 8, false, {10'000.0, 1.0, 128}});
  check_same_attention(parsed_config.text.full, {512, 8, false, {1'000'000.0, 1.0, 64}});
  BOOST_TEST(!parsed_config.text.final_logit_softcapping.has_value());
  BOOST_TEST(parsed_config.text.vision_blocks_bidirectional);
  BOOST_TEST(!parsed_config.dtype.has_value());
  BOOST_TEST(parsed_config.image_token_id == 258880);
  BOOST_TEST(parsed_config.eoa_token_id == 258883);
  BOOST_TEST(parsed_config.eos_token_ids == (std::vector<TokenId>{1}),
             boost::test_tools::per_element());
  BOOST_TEST(!parsed_text("use_bidirectional_attention", nullptr).text.vision_blocks_bidirectional);
}

BOOST_AUTO_TEST_CASE(proportional_ropes_rotate_the_asked_part_of_the_pairs) {
  const auto full_pairs = [](double part, std::int64_t head_dim) {
    json config = published_config();
    config["text_config"]["global_head_dim"] = head_dim;
    config["text_config"]["rope_parameters"]["full_attention"]["partial_rotary_factor"] = part;
    return parsed(config).text.full.rope.rotary_pairs;
  };
  BOOST_TEST(full_pairs(0.25, 512) == 64);
  BOOST_TEST(full_pairs(1.0, 512) == 256);
  BOOST_TEST(full_pairs(0.0, 512) == 0);
  BOOST_TEST(full_pairs(0.25, 20) == 2);  // int(5.0 // 2)
  BOOST_TEST(full_pairs(0.3, 26) == 3);   // int(7.8 // 2)
  json config = published_config();
  config["text_config"]["rope_parameters"]["full_attention"] = {
      {"rope_type", "proportional"}, {"rope_theta", 5e5}, {"factor", 8.0}};
  const auto rope = parsed(config).text.full.rope;
  BOOST_TEST(rope.rotary_pairs == 256);
  BOOST_TEST(rope.factor == 8.0);
  BOOST_TEST(rope.theta == 5e5);
}

BOOST_AUTO_TEST_CASE(a_modality_may_be_null_or_missing) {
  json config = published_config();
  config["vision_config"] = nullptr;
  config.erase("audio_config");
  const ModelConfig text_only = parsed(config);
  BOOST_TEST(!text_only.vision.has_value());
  BOOST_TEST(!text_only.audio.has_value());
  BOOST_TEST(captiond::expected_tensors(text_only).size() == 666U);
  BOOST_TEST(captiond::expected_tensors(parsed(published_config())).size() == 677U);
}

BOOST_AUTO_TEST_CASE(ids_of_a_modality_that_is_not_there_may_lie_beyond_the_vocabulary) {
  json config = published_config();
  config["text_config"]["vocab_size"] = 300;
  config["eos_token_id"] = 1;
  check_refusal([&] { parsed(config); }, "config.json: ", {"image_token_id", "0 to 299", "258880"});
  config["vision_config"] = nullptr;
  check_refusal([&] { parsed(config); }, "config.json: ", {"audio_token_id", "0 to 299", "258881"});
  config["audio_config"] = nullptr;
  config["boa_token_id"] = nullptr;
  const ModelConfig text_only = parsed(config);
  BOOST_TEST(text_only.image_token_id == 258880);
  BOOST_TEST(text_only.boa_token_id == -1);
}

BOOST_AUTO_TEST_CASE(what_the_engine_does_not_implement_is_refused) {
  check_refused({
      {"/model_type", "gemma4", {"model_type", "\"gemma4_unified\"", "\"gemma4\""}},
      {"/model_type", nullptr, {"model_type", "null"}},
      {"/tie_word_embeddings", false, {"tie_word_embeddings", "true", "false"}},
      {"/quantization_config", {{"quant_method", "x"}}, {"quantization_config", "absent or null"}},
      {"/dtype", "float16", {"dtype", "\"bfloat16\" or \"float32\"", "\"float16\""}},
      {"/torch_dtype", 16, {"torch_dtype", "a string", "16"}},
      {"/torch_dtype", "float32", {"torch_dtype", "the same as dtype", "\"float32\""}},
      {"/text_config/model_type", "gemma4_text", {"text_config.model_type", "gemma4_text"}},
      {"/text_config/tie_word_embeddings", false, {"text_config.tie_word_embeddings"}},
      {"/text_config/use_bidirectional_attention",
       "all",
       {"text_config.use_bidirectional_attention", "\"vision\" or null", "\"all\""}},
      {"/text_config/num_kv_shared_layers", 4, {"text_config.num_kv_shared_layers", "0", "4"}},
      {"/text_config/enable_moe_block", true, {"text_config.enable_moe_block", "false", "true"}},
      {"/text_config/hidden_size_per_layer_input",
       256,
       {"text_config.hidden_size_per_layer_input", "0", "256"}},
      {"/text_config/hidden_activation",
       "silu",
       {"text_config.hidden_activation", "\"gelu_pytorch_tanh\"", "\"silu\""}},
      {"/text_config/attention_bias", true, {"text_config.attention_bias", "false", "true"}},
      {"/text_config/use_double_wide_mlp", true, {"text_config.use_double_wide_mlp"}},
      {"/text_config/attn_logit_softcapping", 50.0, {"text_config.attn_logit_softcapping", "50.0"}},
      {"/text_config/quantization_config", json::object(), {"text_config.quantization_config"}},
      {"/text_config/rope_scaling", {{"type", "linear"}}, {"text_config.rope_scaling"}},
      {"/text_config/rope_parameters/full_attention/rope_type",
       "yarn",
       {"rope_parameters.full_attention.rope_type", "\"default\" or \"proportional\"", "\"yarn\""}},
      {"/text_config/rope_parameters/sliding_attention/factor",
       2.0,
       {"rope_parameters.sliding_attention.factor", "1.0", "2.0"}},
      {"/text_config/rope_parameters/sliding_attention/partial_rotary_factor",
       0.5,
       {"rope_parameters.sliding_attention.partial_rotary_factor", "0.5"}},
      {"/vision_config/patch_size", 14, {"vision_config.patch_size", "48", "14"}},
      {"/vision_config/pooling_kernel_size", 2, {"vision_config.patch_size", "48", "2"}},
      {"/audio_config/audio_embed_dim", 320, {"audio_config.audio_embed_dim", "640", "320"}},
      {"/audio_config/hidden_size", 641, {"audio_config.hidden_size", "640", "641"}},
      {"/audio_config/audio_samples_per_token", 1, {"audio_config.audio_samples_per_token"}},
      {"/audio_config/output_proj_dims", 1536, {"audio_config.output_proj_dims", "1536"}},
  });
}

BOOST_AUTO_TEST_CASE(sizes_that_count_nothing_are_refused) {
  const std::vector<std::string> sizes{
      "vocab_size",        "hidden_size",         "intermediate_size",
      "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
      "head_dim",          "sliding_window",      "max_position_embeddings"};
  const std::vector<json> bad_sizes{0,
                                    -1,
                                    2147483648,
                                    18446744073709551615ULL,
                                    1.5,
                                    1.0,
                                    "7",
                                    true,
                                    nullptr,
                                    json::array({1}),
                                    json::object(),
                                    std::numeric_limits<std::int64_t>::min()};
  for (const std::string& key : sizes) {
    for (const json& value : bad_sizes) {
      check_refused({{"/text_config/" + key, value, {"text_config." + key, "must be an integer"}}});
    }
    json config = published_config();
    config["text_config"].erase(key);
    check_refusal([&] { parsed(config); },
                  "config.json: ", {"text_config." + key, "found no such key"});
  }
}

BOOST_AUTO_TEST_CASE(values_of_a_wrong_type_or_range_are_refused) {
  check_refused({
      {"/text_config/global_head_dim", 0, {"text_config.global_head_dim", "found 0"}},
      {"/text_config/num_global_key_value_heads",
       -1,
       {"text_config.num_global_key_value_heads", "found -1"}},
      {"/text_config/attention_k_eq_v", 1, {"text_config.attention_k_eq_v", "true or false"}},
      {"/text_config/rms_norm_eps", 0, {"text_config.rms_norm_eps", "above 0"}},
      {"/text_config/rms_norm_eps", -1e-6, {"text_config.rms_norm_eps", "above 0"}},
      {"/text_config/rms_norm_eps", "1e-6", {"text_config.rms_norm_eps", "a number"}},
      {"/text_config/final_logit_softcapping",
       0.0,
       {"text_config.final_logit_softcapping", "above 0"}},
      {"/text_config/rope_parameters", 10000, {"text_config.rope_parameters", "an object"}},
      {"/text_config/rope_parameters/full_attention",
       nullptr,
       {"rope_parameters.full_attention", "an object", "null"}},
      {"/text_config/rope_parameters/full_attention/rope_theta",
       0,
       {"rope_parameters.full_attention.rope_theta", "above 0"}},
      {"/text_config/rope_parameters/full_attention/rope_theta",
       nullptr,
       {"rope_parameters.full_attention.rope_theta", "a number", "null"}},
      {"/text_config/rope_parameters/full_attention/factor",
       -1,
       {"rope_parameters.full_attention.factor", "above 0"}},
      {"/text_config/rope_parameters/full_attention/partial_rotary_factor",
       1.01,
       {"rope_parameters.full_attention.partial_rotary_factor", "from 0 to 1", "1.01"}},
      {"/text_config/rope_parameters/full_attention/partial_rotary_factor",
       -0.01,
       {"rope_parameters.full_attention.partial_rotary_factor", "from 0 to 1"}},
      {"/text_config", nullptr, {"text_config", "an object", "null"}},
      {"/text_config", json::array(), {"text_config", "an object"}},
      {"/vision_config", 3, {"vision_config", "an object", "3"}},
      {"/audio_config", "x", {"audio_config", "an object", "\"x\""}},
      {"/vision_config/patch_size", 9223372036854775807, {"vision_config.patch_size"}},
      {"/vision_config/mm_embed_dim", 0, {"vision_config.mm_embed_dim"}},
      {"/vision_config/mm_posemb_size", -5, {"vision_config.mm_posemb_size", "-5"}},
      {"/vision_config/num_soft_tokens", 281, {"vision_config.num_soft_tokens", "280", "281"}},
      {"/vision_config/rms_norm_eps", -1, {"vision_config.rms_norm_eps"}},
      {"/audio_config/rms_norm_eps", 0, {"audio_config.rms_norm_eps"}},
      {"/eos_token_id", {1, 262144}, {"eos_token_id", "262143", "[1, 262144]"}},
      {"/eos_token_id", "1", {"eos_token_id"}},
      {"/image_token_id", 262144, {"image_token_id", "262143", "262144"}},
      {"/image_token_id", -1, {"image_token_id", "-1"}},
      {"/boa_token_id", nullptr, {"boa_token_id", "262143", "null"}},
      {"/text_config/pad_token_id", 262144, {"text_config.pad_token_id", "262143"}},
  });
}

BOOST_AUTO_TEST_CASE(values_that_contradict_each_other_are_refused) {
  json too_few = published_config()["text_config"]["layer_types"];
  too_few.erase(0);
  json last_sliding = published_config()["text_config"]["layer_types"];
  last_sliding[47] = "sliding_attention";
  json other_type = published_config()["text_config"]["layer_types"];
  other_type[3] = "chunked_attention";
  check_refused({
      {"/text_config/layer_types",
       too_few,
       {"text_config.layer_types", "num_hidden_layers = 48", "an array of 47 values"}},
      {"/text_config/layer_types",
       last_sliding,
       {"text_config.layer_types", "ends with \"full_attention\""}},
      {"/text_config/layer_types",
       other_type,
       {"text_config.layer_types[3]", "\"sliding_attention\" or", "\"chunked_attention\""}},
      {"/text_config/layer_types", {1, 2}, {"text_config.layer_types", "array of strings"}},
      {"/text_config/layer_types", nullptr, {"text_config.layer_types", "array of strings"}},
      {"/text_config/num_hidden_layers", 2000, {"num_hidden_layers", "1024", "2000"}},
      {"/text_config/num_attention_heads",
       12,
       {"num_attention_heads", "multiple", "8 key-value heads", "sliding_attention", "12"}},
      {"/text_config/num_global_key_value_heads",
       3,
       {"num_attention_heads", "3 key-value heads", "full_attention", "16"}},
      {"/text_config/head_dim", 255, {"text_config.head_dim", "sliding", "even", "255"}},
      {"/text_config/global_head_dim", 511, {"text_config.head_dim", "full", "even", "511"}},
      {"/vision_config/output_proj_dims", 1920, {"output_proj_dims", "mm_embed_dim", "1920"}},
      {"/vision_config/model_patch_size", 32, {"vision_config.model_patch_size", "48", "32"}},
      {"/image_token_id", 258884, {"video_token_id", "image_token_id", "258884"}},
      {"/boa_token_id", 255999, {"boa_token_id", "boi_token_id", "255999"}},
  });
}

BOOST_AUTO_TEST_CASE(a_per_layer_config_that_cannot_be_followed_is_refused) {
  struct Case {
    std::string key;
    json value;
    std::vector<std::string> parts;
  };
  const json full{{"head_dim", 512}, {"num_key_value_heads", 1}};
  const std::vector<Case> table{
      {"48", full, {"from 0 to 47", "\"48\""}},
      {"-1", full, {"from 0 to 47", "\"-1\""}},
      {"five", full, {"from 0 to 47", "\"five\""}},
      {"", full, {"from 0 to 47", "\"\""}},
      {"99999999999999999999", full, {"from 0 to 47"}},
      {"5", full, {"each once", "\"5\""}},  // "05" stands there already
      {"03", full, {"all layers of one type", "layer 3"}},
      {"11", {{"head_dim", 256}}, {"all layers of one type", "layer 11"}},
      {"11", {{"head_dim", 0}}, {"per_layer_config.11.head_dim", "found 0"}},
      {"11", {{"intermediate_size", 1}}, {"per_layer_config.11.intermediate_size", "absent"}},
      {"11", 7, {"per_layer_config.11", "an object", "7"}},
  };
  for (const Case& bad : table) {
    BOOST_TEST_CONTEXT(bad.key << " = " << bad.value) {
      json config = resaved_config();
      config["text_config"]["per_layer_config"][bad.key] = bad.value;
      check_refusal([&] { parsed(config); }, "config.json: text_config.per_layer_config",
                    bad.parts);
    }
  }
  json config = resaved_config();
  config["text_config"]["global_head_dim"] = 256;
  check_refusal([&] { parsed(config); }, "config.json: text_config.global_head_dim",
                {"512", "found 256"});
  config = resaved_config();
  config["text_config"]["num_global_key_value_heads"] = 2;
  check_refusal([&] { parsed(config); }, "config.json: text_config.num_global_key_value_heads",
                {"1", "found 2"});
}

BOOST_AUTO_TEST_CASE(text_that_is_no_json_object_is_refused_with_its_place) {
  const auto refused = [](const std::string& text, const std::vector<std::string>& parts) {
    BOOST_TEST_CONTEXT(text.substr(0, 40)) {
      check_refusal([&] { parse_model_config(text, "config.json"); }, "config.json: ", parts);
    }
  };
  refused("", {"expected JSON", "line 1, column 1"});
  refused("{\n  \"model_type\": \"gemma4_unified\",\n}", {"line 3, column 1"});
  refused("{\"a\": 1} x", {"line 1, column 10"});
  refused("{\"a\": NaN}", {"expected JSON"});
  refused("{\"a\": 1e999}", {"fit a double"});
  refused("{\"a\": \"\xff\"}", {"expected JSON"});
  refused(std::string("{\"a\": \0}", 8), {"a zero byte at line 1, column 7"});
  refused("[]", {"expected a JSON object", "found []"});
  refused("null", {"expected a JSON object", "null"});
  refused("{\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}", {"\"c\"", "twice"});
  refused("{\"a\": " + std::string(1'000'000, '['), {"at most 16 levels"});
  refused(std::string(1'000'000, '{'), {"expected JSON"});
  std::string many = "{\"a\": [0";
  for (int i = 0; i < 1'000'000; ++i) many += ",0";
  refused(many + "]}", {"at most 1000000 values"});
}

BOOST_AUTO_TEST_CASE(long_and_odd_values_are_cut_and_escaped_in_messages) {
  json config = published_config();
  config["model_type"] = std::string(100'000, 'x');
  const std::string text =
      check_refusal([&] { parsed(config); }, "config.json: model_type", {"xxx…\""});
  BOOST_TEST(text.size() < 300U);
  config["model_type"] = "line\nbreak \x1b[31m \xc3\xa4";
  check_refusal([&] { parsed(config); }, "config.json: model_type",
                {"\"line\\nbreak \\u001b[31m \\u00e4\""});
  config["model_type"] = json::array({json::array({1}), 2});
  check_refusal([&] { parsed(config); }, "config.json: model_type", {"an array of 2 values"});
}

BOOST_AUTO_TEST_CASE(the_published_generation_config_is_read_as_it_stands) {
  const ModelConfig model = parsed(published_config());
  const GenerationConfig config = parse_generation_config(
      R"({"bos_token_id": 2, "do_sample": true, "eos_token_id": [1, 106, 50], "pad_token_id": 0,
          "suppress_tokens": [258883, 258882], "temperature": 1.0, "top_k": 64, "top_p": 0.95,
          "transformers_version": "5.10.0.dev0"})",
      "generation_config.json", model);
  BOOST_TEST(config.eos_token_ids == (std::vector<TokenId>{1, 106, 50}),
             boost::test_tools::per_element());
  BOOST_TEST(config.suppressed_token_ids == (std::vector<TokenId>{258883, 258882}),
             boost::test_tools::per_element());
  BOOST_TEST(config.do_sample);
  BOOST_TEST(config.temperature == 1.0);
  BOOST_TEST(config.top_k == 64);
  BOOST_TEST(config.top_p == 0.95);
}

BOOST_AUTO_TEST_CASE(an_empty_generation_config_takes_the_eos_ids_of_the_model_config) {
  const ModelConfig model = parsed(published_config());
  const GenerationConfig config = parse_generation_config("{}", "generation_config.json", model);
  BOOST_TEST(config.eos_token_ids == (std::vector<TokenId>{1, 106}),
             boost::test_tools::per_element());
  BOOST_TEST(config.suppressed_token_ids.empty());
  BOOST_TEST(!config.do_sample);
  BOOST_TEST(config.temperature == 1.0);
  BOOST_TEST(config.top_k == 50);
  BOOST_TEST(config.top_p == 1.0);
}

BOOST_AUTO_TEST_CASE(generation_configs_that_cannot_be_followed_are_refused) {
  const ModelConfig model = parsed(published_config());
  const std::vector<BadConfig> table{
      {"/eos_token_id", 262144, {"eos_token_id", "0 to 262143", "262144"}},
      {"/eos_token_id", {1, -1}, {"eos_token_id", "[1, -1]"}},
      {"/suppress_tokens", {262144}, {"suppress_tokens", "262143"}},
      {"/bos_token_id", 262144, {"bos_token_id"}},
      {"/pad_token_id", -1, {"pad_token_id"}},
      {"/temperature", -1.0, {"temperature", "above 0", "-1.0"}},
      {"/temperature", 0, {"temperature", "above 0"}},
      {"/temperature", "hot", {"temperature", "a number", "\"hot\""}},
      {"/top_k", -1, {"top_k", "from 0", "-1"}},
      {"/top_k", 2.5, {"top_k", "an integer", "2.5"}},
      {"/top_p", 0.0, {"top_p", "above 0", "0.0"}},
      {"/top_p", 1.5, {"top_p", "at most 1", "1.5"}},
      {"/do_sample", "yes", {"do_sample", "true or false"}},
      {"/num_beams", 4, {"num_beams", "1", "4"}},
      {"/repetition_penalty", 1.1, {"repetition_penalty", "1.0", "1.1"}},
      {"/no_repeat_ngram_size", 3, {"no_repeat_ngram_size", "0", "3"}},
      {"/min_p", 0.1, {"min_p", "0.1"}},
      {"/bad_words_ids", {{1}}, {"bad_words_ids", "absent or null"}},
      {"/forced_eos_token_id", 1, {"forced_eos_token_id"}},
  };
  for (const BadConfig& bad : table) {
    BOOST_TEST_CONTEXT(bad.pointer << " = " << bad.value) {
      json config = json::object();
      config[json::json_pointer(bad.pointer)] = bad.value;
      check_refusal([&] { parse_generation_config(config.dump(), "g.json", model); },
                    "g.json: ", bad.parts);
    }
  }
  check_refusal([&] { parse_generation_config("[1]", "g.json", model); }, "g.json: ", {"object"});
  json tiny = published_config();
  tiny["text_config"]["vocab_size"] = 3;
  tiny["eos_token_id"] = 1;
  tiny["vision_config"] = tiny["audio_config"] = nullptr;
  check_refusal(
      [&] {
        parse_generation_config(R"({"suppress_tokens": [0, 1, 2, 1]})", "g.json", parsed(tiny));
      },
      "g.json: ", {"suppress_tokens", "leaves at least one"});
}
