#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "model/dtype.h"
#include "model/regular_file.h"

namespace captiond {

// One tensor of a safetensors file: row-major, little-endian.
struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::kBfloat16;
  std::vector<std::int64_t> shape;  // no dimension is negative; empty: a scalar
  std::size_t offset = 0;           // of the first byte, from the start of the file
  std::size_t bytes = 0;            // product of shape * bytes_per_element(dtype)
};

// Checks the header of a safetensors file against its length and gives its tensors in the order of
// their data. `content` is the whole file; only the header is read. Names are distinct, the data of
// the tensors follow each other without a hole from the end of the header to the end of the file,
// and each is aligned to its element. Throws CheckpointError; `file` is used in messages only.
// Source: the format section of the safetensors README.
std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> content,
                                                const std::filesystem::path& file);

// A safetensors file, mapped read-only. Immutable, move-only. Throws CheckpointError.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& file);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  // `entry` is one of entries(). Valid as long as this object.
  const std::byte* data(const SafetensorsEntry& entry) const {
    return content_.bytes().data() + entry.offset;
  }

 private:
  std::filesystem::path path_;
  MappedBytes content_;
  std::vector<SafetensorsEntry> entries_;
};

}  // namespace captiond
