#include "tests/model/parity_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "model/safetensors_file.h"

namespace captiond::test {
namespace {

using Tensors = std::map<std::string, std::vector<float>>;

Tensors read_tensors(const std::filesystem::path& file) {
  const SafetensorsFile content(file);
  Tensors tensors;
  for (const SafetensorsEntry& entry : content.entries()) {
    std::vector<float>& values = tensors[entry.name];
    values.resize(entry.bytes / sizeof(float));
    std::memcpy(values.data(), content.data(entry), entry.bytes);
  }
  return tensors;
}

VisionPatches picture(const nlohmann::json& part, const std::vector<float>& pixels, bool video) {
  VisionPatches patches;
  patches.rows = part.at("rows");
  patches.columns = part.at("columns");
  patches.video_frame = video;
  for (const float value : pixels) patches.pixels.push_back(static_cast<std::uint8_t>(value));
  return patches;
}

ParityCase read_case(const nlohmann::json& json, const Tensors& tensors) {
  ParityCase out;
  out.name = json.at("name");
  out.ids = json.at("ids").get<std::vector<TokenId>>();
  out.greedy = json.at("greedy").get<std::vector<TokenId>>();
  out.bfloat16_gap = json.at("bfloat16_gap");
  out.logits = tensors.at(out.name + ".logits");
  out.logits_full_causal = tensors.at(out.name + ".logits_full_causal");
  out.logits_bfloat16 = tensors.at(out.name + ".logits_bfloat16");
  for (const nlohmann::json& part : json.at("parts")) {
    const auto tensor = [&](const std::string& kind) {
      return tensors.at(out.name + "." + kind + "." +
                        std::to_string(part.at(kind).get<std::size_t>()));
    };
    if (part.contains("ids")) {
      out.parts.emplace_back(part.at("ids").get<std::vector<TokenId>>());
    } else if (part.contains("audio")) {
      out.parts.emplace_back(AudioPatches{.samples = tensor("audio")});
    } else {
      const bool video = part.contains("video");
      out.parts.emplace_back(picture(part, tensor(video ? "video" : "image"), video));
    }
  }
  return out;
}

}  // namespace

std::vector<std::filesystem::path> parity_checkpoints() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(CAPTIOND_PARITY_CHECKPOINTS)) {
    folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  if (folders.empty()) throw std::runtime_error("no checkpoints to compare with");
  return folders;
}

std::vector<ParityCase> parity_cases(const std::filesystem::path& checkpoint) {
  std::ifstream file(checkpoint / "cases.json");
  const nlohmann::json json = nlohmann::json::parse(file);
  const Tensors tensors = read_tensors(checkpoint / "cases.safetensors");
  std::vector<ParityCase> cases;
  for (const nlohmann::json& entry : json.at("cases")) cases.push_back(read_case(entry, tensors));
  return cases;
}

ParityCase parity_case(const std::filesystem::path& checkpoint, const std::string& name) {
  for (ParityCase& candidate : parity_cases(checkpoint)) {
    if (candidate.name == name) return std::move(candidate);
  }
  throw std::runtime_error(checkpoint.string() + " has no case " + name);
}

void append_all(Context& context, const ParityCase& prompt) {
  for (const ParityCase::Part& part : prompt.parts) {
    std::visit([&](const auto& rows) { context.append(rows); }, part);
  }
}

LogitsSink LogitsRecord::sink() {
  return [this](std::size_t position, std::span<const float> logits) {
    positions.push_back(position);
    values.insert(values.end(), logits.begin(), logits.end());
  };
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::nan("");
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - double{b[i]});
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(largest)) return largest;
  }
  return largest;
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double scale = 0.0;
  for (const float value : b) scale = std::max(scale, std::abs(double{value}));
  return largest_difference(a, b) / scale;
}

}  // namespace captiond::test
