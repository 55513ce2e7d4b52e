#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "captiond/v1/event.pb.h"

namespace captiond {

// How `captiond transcribe` writes captions: one final transcript, translation or description of a
// picture a line, object or cue.
enum class CaptionFormat { kText, kJson, kVtt, kSrt };

// What comes together in one file or on standard output.
enum class CaptionContent {
  kSpeech,  // the transcripts, or the translations into one language
  kScenes,  // the descriptions of pictures
  kMixed,   // several of these
};

// The captions of one file as text: begin(), caption() of each in order, end().
//
//   text  a line each: the words alone of kSpeech, else "00:00:05.000 scene  A red bus."
//   json  an object a line: {"file": …, "kind": "transcript", "translation" or "scene", then the
//         fields of that message of captiond.v1}
//   vtt   WebVTT: a cue each; of kMixed, a cue holds a transcript and its translations below it in
//         <lang>, and a scene stands in brackets at the top of the picture
//   srt   SubRip: the same without marks
class CaptionFormatter {
 public:
  // `file` is named in JSON. A scene is shown for `scene_interval`.
  CaptionFormatter(CaptionFormat format, CaptionContent content, std::string file,
                   std::chrono::nanoseconds scene_interval);

  // What stands before the first caption.
  std::string begin() const;

  // What is to be written now: the caption with its line ends. Not what the format does not show
  // (bodies of other kinds; in all but json partials and captions without words). In kMixed scenes
  // wait, in lines for a transcript that begins later or for a minute of film, because the pictures
  // of a file are ahead of its speech; cues all wait.
  std::string caption(const v1::Event& body);

  // What still waits, cues in the order of their times.
  std::string end();

  // What stands before a line of text: "00:00:00.600 en     ", nothing in kSpeech.
  std::string label(const v1::Event& body) const;

 private:
  struct Cue {
    std::chrono::nanoseconds start{};
    std::chrono::nanoseconds end{};
    bool scene = false;
    std::map<std::string, std::string> lines;  // as written, by language; "": not translated
  };

  // A scene's line.
  struct Waiting {
    std::chrono::nanoseconds at{};
    std::string text;
  };

  std::string json(const v1::Event& body) const;
  std::string line(const v1::Event& body) const;
  std::string in_order(const v1::Event& body, std::string line);
  std::string take_waiting(std::chrono::nanoseconds until);
  Cue cue(const v1::Event& body) const;
  void hold(const v1::Event& body);
  std::string write(const Cue& cue);

  const CaptionFormat format_;
  const CaptionContent content_;
  const std::string file_;
  const std::chrono::nanoseconds scene_interval_;
  std::size_t cues_ = 0;
  std::deque<Waiting> waiting_;          // of kMixed alone, as what follows
  std::map<std::uint64_t, Cue> spoken_;  // by segment
  std::vector<Cue> scenes_;
};

// "01:02:03.456", hours always there; `mark` stands before the milliseconds.
std::string clock_text(std::chrono::nanoseconds time, char mark);

}  // namespace captiond
