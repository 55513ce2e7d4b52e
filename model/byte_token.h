#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace captiond {

// The byte that a token such as "<0x0A>" stands for when decoded; nullopt for other tokens. Takes
// what the ByteFallback decoder of Hugging Face `tokenizers` takes: also small letters, and a plus
// sign with one digit.
std::optional<std::uint8_t> byte_of_token(std::string_view token);

// The token that stands for `byte` when text is encoded, "<0x0A>".
std::string token_of_byte(std::uint8_t byte);

}  // namespace captiond
