#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/engine.h"

namespace captiond {

// What a scripted engine is asked: the content of a context and the options of the generation.
struct ScriptedQuestion {
  std::size_t patches = 0;  // of audio in the context
  std::size_t picture_patches = 0;
  std::string prompt;  // the ids of the context as text with special tokens, media left out, up to
                       // and with the last <channel|>
  std::string layout;  // all text, with [6] where a picture of 6 patches is, [video 6] a frame
  std::string begun;   // the text after prompt: how the answer begins already
  std::string draft;
  std::size_t max_tokens = 0;
};

// The whole answer, `begun` included: the engine leaves out as many of its tokens as are begun
// already. May throw: the exception goes to the generation's callback.
using Script = std::function<std::string(const ScriptedQuestion&)>;

// An Engine without weights, whose answers come from a script. Safe from any thread.
class ScriptedEngine : public Engine {
 public:
  enum class Answers {
    kAtOnce,     // inside generate(), on the caller's thread
    kWhenTold,   // by answer_next()
    kOnAThread,  // by a thread of the engine's, as the real one does
  };

  // `words` are the words that are one token each, see word_tokenizer.h.
  static std::shared_ptr<ScriptedEngine> make(std::string_view words, Script script,
                                              Answers answers);

  // Takes away hearing or sight; before the first context.
  virtual void remove_audio() = 0;
  virtual void remove_vision() = 0;

  // kWhenTold: answers the oldest open question; false if there is none.
  virtual bool answer_next() = 0;
  // kWhenTold: tells the oldest open question that it was cancelled, as an engine that stops.
  virtual bool cancel_next() = 0;
  virtual std::size_t open_questions() const = 0;

  virtual std::vector<ScriptedQuestion> questions() const = 0;  // all so far, in order
  virtual std::size_t contexts_alive() const = 0;
  // Rows of audio appended so far, over all contexts: what a real engine would have prefilled.
  virtual std::size_t audio_rows() const = 0;
};

}  // namespace captiond
