#include "model/speech_prompt.h"

namespace captiond {

std::string transcription_prompt(std::string_view language) {
  std::string prompt = "Transcribe the following speech segment in ";
  if (language.empty()) {
    prompt += "its original language.";
  } else {
    prompt.append(language).append(" into ").append(language).append(" text.");
  }
  return prompt +
         "\n\n"
         "Follow these specific instructions for formatting the answer:\n"
         "*   Only output the transcription, with no newlines.\n"
         "*   When transcribing numbers, write the digits, i.e. write 1.7 and not one point seven, "
         "and write 3 instead of three.";
}

std::string translation_prompt(std::string_view source_language, std::string_view target_language) {
  const std::string source(source_language);
  const std::string target(target_language);
  return "Transcribe the following speech segment in " + source + ", then translate it into " +
         target +
         ".\n"
         "When formatting the answer, first output the transcription in " +
         source + ", then one newline, then output the string '" + target +
         ": ', then the translation in " + target + ".";
}

}  // namespace captiond
