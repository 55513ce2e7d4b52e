// Bytes as a safetensors file: refused with a CheckpointError, or every promise of
// parse_safetensors() holds.

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/check.h"
#include "model/checkpoint_error.h"
#include "model/safetensors_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using captiond::check;
  std::vector<captiond::SafetensorsEntry> entries;
  try {
    entries = captiond::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
  } catch (const captiond::CheckpointError& error) {
    const std::string text = error.what();
    check(text.starts_with("fuzz.safetensors: ") && text.ends_with("."), "an error is a sentence");
    check(text.find('\n') == std::string::npos && text.size() < 2000, "an error is one short line");
    return 0;
  }
  std::set<std::string> names;
  std::size_t end = 0;
  for (const captiond::SafetensorsEntry& entry : entries) {
    check(names.insert(entry.name).second, "names are distinct");
    check(end == 0 || entry.offset == end, "data follow each other");
    check(entry.offset <= size && entry.bytes <= size - entry.offset, "data lie in the file");
    const std::size_t element = captiond::bytes_per_element(entry.dtype);
    check(entry.offset % element == 0, "data are aligned");
    std::size_t bytes = element;
    for (const std::int64_t dimension : entry.shape) {
      check(dimension >= 0, "dimensions are not negative");
      bytes *= static_cast<std::size_t>(dimension);
    }
    check(bytes == entry.bytes, "the shape counts the bytes");
    end = entry.offset + entry.bytes;
  }
  check(entries.empty() || end == size, "data reach to the end");
  return 0;
}
