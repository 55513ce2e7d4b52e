#include "elements/language.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace captiond {
namespace {

using Entry = std::pair<std::string_view, std::string_view>;

// Living languages of ISO 639-1 with their usual English names, sorted by code.
constexpr auto kLanguages = std::to_array<Entry>({
    {"af", "Afrikaans"},   {"am", "Amharic"},    {"ar", "Arabic"},    {"as", "Assamese"},
    {"az", "Azerbaijani"}, {"be", "Belarusian"}, {"bg", "Bulgarian"}, {"bn", "Bengali"},
    {"bs", "Bosnian"},     {"ca", "Catalan"},    {"cs", "Czech"},     {"cy", "Welsh"},
    {"da", "Danish"},      {"de", "German"},     {"el", "Greek"},     {"en", "English"},
    {"es", "Spanish"},     {"et", "Estonian"},   {"eu", "Basque"},    {"fa", "Persian"},
    {"fi", "Finnish"},     {"fr", "French"},     {"ga", "Irish"},     {"gl", "Galician"},
    {"gu", "Gujarati"},    {"ha", "Hausa"},      {"he", "Hebrew"},    {"hi", "Hindi"},
    {"hr", "Croatian"},    {"hu", "Hungarian"},  {"hy", "Armenian"},  {"id", "Indonesian"},
    {"ig", "Igbo"},        {"is", "Icelandic"},  {"it", "Italian"},   {"ja", "Japanese"},
    {"jv", "Javanese"},    {"ka", "Georgian"},   {"kk", "Kazakh"},    {"km", "Khmer"},
    {"kn", "Kannada"},     {"ko", "Korean"},     {"ky", "Kyrgyz"},    {"lb", "Luxembourgish"},
    {"lo", "Lao"},         {"lt", "Lithuanian"}, {"lv", "Latvian"},   {"mk", "Macedonian"},
    {"ml", "Malayalam"},   {"mn", "Mongolian"},  {"mr", "Marathi"},   {"ms", "Malay"},
    {"mt", "Maltese"},     {"my", "Burmese"},    {"ne", "Nepali"},    {"nl", "Dutch"},
    {"no", "Norwegian"},   {"or", "Odia"},       {"pa", "Punjabi"},   {"pl", "Polish"},
    {"ps", "Pashto"},      {"pt", "Portuguese"}, {"ro", "Romanian"},  {"ru", "Russian"},
    {"sd", "Sindhi"},      {"si", "Sinhala"},    {"sk", "Slovak"},    {"sl", "Slovenian"},
    {"so", "Somali"},      {"sq", "Albanian"},   {"sr", "Serbian"},   {"su", "Sundanese"},
    {"sv", "Swedish"},     {"sw", "Swahili"},    {"ta", "Tamil"},     {"te", "Telugu"},
    {"tg", "Tajik"},       {"th", "Thai"},       {"tl", "Tagalog"},   {"tr", "Turkish"},
    {"uk", "Ukrainian"},   {"ur", "Urdu"},       {"uz", "Uzbek"},     {"vi", "Vietnamese"},
    {"xh", "Xhosa"},       {"yo", "Yoruba"},     {"zh", "Chinese"},   {"zu", "Zulu"},
});

const Entry* find_language(std::string_view code) noexcept {
  const auto found =
      std::lower_bound(kLanguages.begin(), kLanguages.end(), code,
                       [](const Entry& e, std::string_view c) { return e.first < c; });
  return found != kLanguages.end() && found->first == code ? &*found : nullptr;
}

}  // namespace

std::string_view language_name(std::string_view code) {
  const Entry* entry = find_language(code);
  if (entry == nullptr) {
    throw std::invalid_argument("'" + std::string(code) +
                                "' is no language that is known here: give its two-letter "
                                "ISO 639-1 code, for example 'en' or 'de'.");
  }
  return entry->second;
}

bool is_language(std::string_view code) noexcept { return find_language(code) != nullptr; }

}  // namespace captiond
