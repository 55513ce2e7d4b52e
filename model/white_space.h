#pragma once

#include <cstddef>
#include <string_view>

namespace captiond {

// Unicode's White_Space property, as `\s` of Rust's regular expressions has it.
bool is_white_space(char32_t code_point);

// Where the white space that ends at `end` begins; `end` if there is none. `text` is valid UTF-8.
std::size_t white_space_before(std::string_view text, std::size_t end);

// Where the white space that begins at `begin` ends; `begin` if there is none.
std::size_t white_space_after(std::string_view text, std::size_t begin);

}  // namespace captiond
