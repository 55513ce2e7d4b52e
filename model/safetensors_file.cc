#include "model/safetensors_file.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/checkpoint_error.h"
#include "model/json_object.h"

namespace captiond {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // as the reference implementation has it

constexpr IntegerRange kOffsets{0, std::numeric_limits<std::int64_t>::max()};

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& sentence) {
  throw CheckpointError(file.string() + ": " + sentence + ".");
}

std::string tensor_called(std::string_view name) { return "tensor " + shown_text(name); }

std::string_view header_of(std::span<const std::byte> content, const std::filesystem::path& file) {
  if (content.size() < kLengthBytes) {
    refuse(file, "expected a safetensors file, which starts with 8 bytes of header length, found " +
                     std::to_string(content.size()) + " bytes in all");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(content[i]) << (8 * i);
  }
  if (length > content.size() - kLengthBytes || length > kLongestHeader) {
    refuse(file, "the header length must be at most " +
                     std::to_string(
                         std::min<std::uint64_t>(content.size() - kLengthBytes, kLongestHeader)) +
                     " bytes in a file of " + std::to_string(content.size()) + " bytes, found " +
                     std::to_string(length) + "; the file is truncated or no safetensors file");
  }
  return {reinterpret_cast<const char*>(content.data()) + kLengthBytes,
          static_cast<std::size_t>(length)};
}

Dtype dtype_of(const JsonObject& tensor) {
  const std::string name = tensor.string("dtype");
  if (name == "BF16") return Dtype::kBfloat16;
  if (name == "F32") return Dtype::kFloat32;
  tensor.refuse("dtype", "\"BF16\" or \"F32\"");
}

// Bytes of a tensor; refused if they are more than a size_t counts.
std::size_t bytes_of(const SafetensorsEntry& entry, const JsonObject& tensor) {
  std::int64_t bytes = static_cast<std::int64_t>(bytes_per_element(entry.dtype));
  for (const std::int64_t dimension : entry.shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
      tensor.refuse("shape", "an array whose product counts the elements of a tensor");
    }
  }
  return static_cast<std::size_t>(bytes);
}

// The entry of one tensor, its offset relative to the end of the header yet.
SafetensorsEntry parse_entry(const JsonObject& header, const std::string& name) {
  const JsonObject tensor = header.object(name);
  for (const std::string& key : tensor.keys()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      tensor.refuse(key, "absent: a tensor has dtype, shape and data_offsets");
    }
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = dtype_of(tensor);
  entry.shape = tensor.integers("shape", kOffsets);
  entry.bytes = bytes_of(entry, tensor);
  const std::vector<std::int64_t> offsets = tensor.integers("data_offsets", kOffsets);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    tensor.refuse("data_offsets", "two offsets, the first not beyond the second");
  }
  entry.offset = static_cast<std::size_t>(offsets[0]);
  if (static_cast<std::size_t>(offsets[1] - offsets[0]) != entry.bytes) {
    tensor.refuse("data_offsets",
                  std::to_string(entry.bytes) + " bytes apart, as dtype and shape say");
  }
  return entry;
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> content,
                                                const std::filesystem::path& file) {
  const std::string_view text = header_of(content, file);
  if (!text.starts_with('{')) {
    refuse(file, "the header must start with '{', found " + shown_text(text.substr(0, 1)));
  }
  const JsonObject header = JsonObject::parse(text, file);
  if (header.has("__metadata__")) {
    const JsonObject metadata = header.object("__metadata__");
    for (const std::string& key : metadata.keys()) metadata.string(key);
  }
  std::vector<SafetensorsEntry> entries;
  for (const std::string& name : header.keys()) {
    if (name != "__metadata__") entries.push_back(parse_entry(header, name));
  }
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              // A tensor without elements stands before the one that starts at its place.
              return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
            });
  const std::size_t data_start = kLengthBytes + text.size();
  const std::size_t data_bytes = content.size() - data_start;
  std::size_t end = 0;
  for (SafetensorsEntry& entry : entries) {
    if (entry.offset != end) {
      refuse(file, tensor_called(entry.name) + " must start at offset " + std::to_string(end) +
                       ", where the data before it end, found " + std::to_string(entry.offset) +
                       (entry.offset < end ? ": tensors overlap" : ": there is a hole"));
    }
    if (entry.bytes > data_bytes - end) {
      refuse(file, tensor_called(entry.name) + " must end within the " +
                       std::to_string(data_bytes) + " bytes of data, found its end at " +
                       std::to_string(end + entry.bytes) + ": the file is truncated");
    }
    end += entry.bytes;
    entry.offset += data_start;
    if (entry.offset % bytes_per_element(entry.dtype) != 0) {
      refuse(file, tensor_called(entry.name) + " must start at a multiple of " +
                       std::to_string(bytes_per_element(entry.dtype)) +
                       " bytes in the file, found " + std::to_string(entry.offset) +
                       "; save it again with safetensors 0.3 or newer");
    }
  }
  if (end != data_bytes) {
    refuse(file, "the tensors must fill the " + std::to_string(data_bytes) +
                     " bytes after the header, found " + std::to_string(end));
  }
  return entries;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file)
    : path_(file),
      content_(RegularFile(file).map()),
      entries_(parse_safetensors(content_.bytes(), file)) {}

}  // namespace captiond
