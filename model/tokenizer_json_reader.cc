#include "model/tokenizer_json_reader.h"

#include <utility>

#include "model/checkpoint_error.h"
#include "model/json_object.h"

namespace captiond {
namespace {

using nlohmann::json;

// Far above the 5 levels of a real file; a limit because documents are freed recursively.
constexpr std::size_t kDepthMax = 64;

}  // namespace

void TokenizerJsonReader::read(std::string_view text) { json::sax_parse(text, this); }

void TokenizerJsonReader::refuse(const std::string& sentence) const {
  throw CheckpointError(file_.string() + ": " + sentence);
}

void TokenizerJsonReader::refuse_merge(const std::string& what) const {
  const std::size_t index = (merge_parts.size() - pair_parts_) / 2;
  refuse("merge " + std::to_string(index) + " of model.merges " + what + ".");
}

bool TokenizerJsonReader::at_model_key(std::string_view name) const {
  return place_ == Place::kDocument && open_.size() == 2 && key_ == name && document.is_object() &&
         document.contains("model") && open_[1] == &document["model"];
}

json& TokenizerJsonReader::add(json value) {
  if (open_.empty()) return document = std::move(value);
  json& parent = *open_.back();
  if (parent.is_array()) return parent.emplace_back(std::move(value));
  const auto [entry, inserted] = parent.emplace(key_, std::move(value));
  if (!inserted)
    refuse("the key " + shown_text(key_) + " must stand once in its object, found it twice.");
  return *entry;
}

void TokenizerJsonReader::add_scalar(json value) {
  switch (place_) {
    case Place::kDocument:
      add(std::move(value));
      return;
    case Place::kVocabulary:
      refuse("the id of " + shown_text(token_) + " in model.vocab must be a whole number from 0, " +
             "found " + shown(value) + ".");
    case Place::kMerges:
    case Place::kMergePair:
      refuse_merge("must be \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"], found " + shown(value));
  }
}

bool TokenizerJsonReader::null() {
  add_scalar(nullptr);
  return true;
}

bool TokenizerJsonReader::boolean(bool value) {
  add_scalar(value);
  return true;
}

bool TokenizerJsonReader::number_integer(std::int64_t value) {
  add_scalar(value);
  return true;
}

bool TokenizerJsonReader::number_unsigned(std::uint64_t value) {
  constexpr std::uint64_t kIdMax = INT32_MAX;
  if (place_ == Place::kVocabulary && value <= kIdMax) {
    tokens.push(token_);
    ids.push_back(static_cast<std::int64_t>(value));
  } else {
    add_scalar(value);
  }
  return true;
}

bool TokenizerJsonReader::number_float(double value, const std::string&) {
  add_scalar(value);
  return true;
}

bool TokenizerJsonReader::string(std::string& value) {
  if (place_ == Place::kMerges) {
    add_merge_text(value);
  } else if (place_ == Place::kMergePair) {
    merge_parts.push(value);
    ++pair_parts_;
  } else {
    add_scalar(value);
  }
  return true;
}

void TokenizerJsonReader::add_merge_text(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    refuse_merge("must be two tokens with one space between them, found " + shown_text(text));
  }
  if (merge_form_ == MergeForm::kPair) {
    refuse_merge("must be in the form of those before it, [\"LEFT\", \"RIGHT\"], found " +
                 shown_text(text));
  }
  merge_form_ = MergeForm::kText;
  merge_parts.push(text.substr(0, space));
  merge_parts.push(text.substr(space + 1));
}

bool TokenizerJsonReader::binary(json::binary_t&) {
  refuse("it must be JSON text, found a binary value.");
}

bool TokenizerJsonReader::start_object(std::size_t) {
  if (at_model_key("vocab")) {
    add(json::object());
    place_ = Place::kVocabulary;
    return true;
  }
  if (place_ != Place::kDocument) {
    add_scalar(json::object());
  }
  if (open_.size() == kDepthMax) refuse("it must be nested at most 64 deep, found more.");
  open_.push_back(&add(json::object()));
  return true;
}

bool TokenizerJsonReader::key(std::string& name) {
  (place_ == Place::kVocabulary ? token_ : key_) = name;
  return true;
}

bool TokenizerJsonReader::end_object() {
  if (place_ == Place::kVocabulary) {
    place_ = Place::kDocument;
  } else {
    open_.pop_back();
  }
  return true;
}

bool TokenizerJsonReader::start_array(std::size_t) {
  if (at_model_key("merges")) {
    add(json::array());
    place_ = Place::kMerges;
    return true;
  }
  if (place_ == Place::kMerges) {
    if (merge_form_ == MergeForm::kText) {
      refuse_merge("must be in the form of those before it, \"LEFT RIGHT\", found an array");
    }
    merge_form_ = MergeForm::kPair;
    place_ = Place::kMergePair;
    return true;
  }
  if (place_ != Place::kDocument) {
    add_scalar(json::array());
  }
  if (open_.size() == kDepthMax) refuse("it must be nested at most 64 deep, found more.");
  open_.push_back(&add(json::array()));
  return true;
}

bool TokenizerJsonReader::end_array() {
  if (place_ == Place::kMergePair) {
    if (pair_parts_ != 2) {
      refuse_merge("must have 2 tokens, found " + std::to_string(pair_parts_));
    }
    pair_parts_ = 0;
    place_ = Place::kMerges;
  } else if (place_ == Place::kMerges) {
    place_ = Place::kDocument;
  } else {
    open_.pop_back();
  }
  return true;
}

bool TokenizerJsonReader::parse_error(std::size_t position, const std::string& token,
                                      const json::exception&) {
  refuse("it must be JSON, found an error at byte " + std::to_string(position) + " after " +
         shown_text(token) + "; the file is damaged or incomplete, fetch it again.");
}

}  // namespace captiond
