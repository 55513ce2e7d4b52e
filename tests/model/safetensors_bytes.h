#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace captiond::test {

// A safetensors file of `header` as it stands, its true length before it, and `data` after it.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes.push_back(
        static_cast<char>((static_cast<std::uint64_t>(header.size()) >> (8 * i)) & 255));
  }
  return bytes.append(header).append(data);
}

// `header` filled up with spaces so that the data start at a multiple of 8, as writers do it.
inline std::string padded(std::string header) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

}  // namespace captiond::test
