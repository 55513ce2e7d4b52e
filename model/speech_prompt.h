#pragma once

#include <string>
#include <string_view>

namespace captiond {

// What the model is asked for before it hears speech; wording of the model card, kept exact.
// Languages are English names such as "German". Source: reference model.md 7.4.

// An empty `language` means unknown: the speech is written in its own.
std::string transcription_prompt(std::string_view language);
std::string translation_prompt(std::string_view source_language, std::string_view target_language);

}  // namespace captiond
