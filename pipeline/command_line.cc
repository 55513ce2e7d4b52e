#include "pipeline/command_line.h"

#include <array>
#include <map>
#include <string>
#include <vector>

#include "pipeline/nearest_name.h"
#include "pipeline/printable_text.h"

namespace captiond {
namespace {

constexpr const char* kDescription =
    "captiond writes down what is said: captions of live streams and files by a Gemma 4 model "
    "that\n"
    "hears and sees.\n\n"
    "'captiond COMMAND --help' tells more about a command; captionctl shows what a daemon "
    "publishes.";

constexpr const char* kFooter =
    "EXIT CODES\n"
    "  0  stopped as asked\n"
    "  1  failed while running\n"
    "  2  could not start (command line, configuration, model, endpoint)\n\n"
    "FILES\n"
    "  configs/reference.yaml  every key of a configuration, its default and what it means\n\n"
    "ENVIRONMENT\n"
    "  CAPTIOND_MODEL  folder of the checkpoint where none is named; without it the demo\n"
    "                  checkpoint that comes with captiond\n"
    "  GST_DEBUG       messages of GStreamer, such as '2' for warnings (they may show URIs with\n"
    "                  their credentials)\n";

constexpr const char* kServeSummary =
    "Caption the streams of a configuration and publish the events";

constexpr const char* kServeFooter =
    "DESCRIPTION\n"
    "  Captions the streams of a configuration and publishes the events with ZeroMQ until SIGINT\n"
    "  or SIGTERM. A stream that fails does not concern the others: live sources are tried again,\n"
    "  with growing delays. SIGTERM finishes what is being spoken and publishes it; a second one\n"
    "  does not wait for that. Logs go to standard error; the line 'publishing on ENDPOINT' says\n"
    "  where to subscribe.\n"
    "\n"
    "EXIT CODES\n"
    "  0  stopped by a signal, or every stream has ended well and exit_when_done is true\n"
    "  1  every stream has ended, exit_when_done is true and one of them failed; or threads that\n"
    "     did not end had to be left behind after a signal\n"
    "  2  could not start (configuration, model, endpoint)\n\n"
    "EXAMPLES\n"
    "  captiond serve meeting.yaml\n"
    "  captionctl listen\n";

constexpr const char* kTranscribeSummary =
    "Write what is said in files, its translations and what pictures show";

constexpr const char* kTranscribeFooter =
    "DESCRIPTION\n"
    "  Writes what is said to standard output, as fast as the model can, one file after the "
    "other:\n"
    "  any audio or video file, or URI, that GStreamer plays. With --translate each caption comes "
    "in\n"
    "  these languages, too, and with --scenes a picture of the film is described in a sentence "
    "every\n"
    "  so many seconds. Nothing else goes to standard output; progress, errors and logs go to\n"
    "  standard error.\n"
    "\n"
    "FORMATS\n"
    "  text  a line a caption. With translations or scenes, each line begins with its time and "
    "with\n"
    "        the code of its language or 'scene': '00:00:05.000 scene  A red bus.'\n"
    "  json  an object a line. Of all: file, kind ('transcript', 'translation' or 'scene'), text "
    "and\n"
    "        truncated. Of what is spoken: segment, language, start and end (seconds). Of "
    "transcripts:\n"
    "        revision, final and stable_length (bytes of text that will not change); of "
    "translations:\n"
    "        source_language; of scenes: scene (its number) and at (seconds)\n"
    "  vtt   WebVTT. With translations or scenes on standard output, a cue holds a caption and "
    "its\n"
    "        translations below it in <lang>, and scenes are cues in brackets at the top\n"
    "  srt   SubRip, the same without marks\n"
    "  A line or object is written as soon as it is ready, a translation after its transcript, a\n"
    "  scene before what is said after it (or after a minute of film); cues of several kinds come "
    "at\n"
    "  the end of the file, in the order of their times.\n"
    "\n"
    "FILES\n"
    "  With --output each kind and language goes to a file of its own, named for the media file:\n"
    "  talk.en.vtt, talk.de.vtt and talk.scenes.vtt (.srt, .txt, and .jsonl of json). Files of "
    "these\n"
    "  names are replaced.\n"
    "\n"
    "EXIT CODES\n"
    "  0  every file was captioned to its end\n"
    "  1  a file failed or was interrupted; the others are done\n"
    "  2  could not start (command line, model)\n\n"
    "EXAMPLES\n"
    "  captiond transcribe talk.mp4\n"
    "  captiond transcribe --format vtt talk.mp4 > talk.vtt\n"
    "  captiond transcribe --translate German,Spanish --scenes 5 talk.mp4\n"
    "  captiond transcribe --translate de --format srt --output subtitles *.mp4\n"
    "  captiond transcribe --scenes 10 --no-speech camera.mkv\n"
    "  captiond transcribe --format json --translate de talk.wav | jq .text\n"
    "  ffmpeg -i talk.mp4 -f wav - | captiond transcribe fd://0\n"
    "  captiond transcribe --model gemma-4-12b-it --device cuda --language German rede.ogg\n";

constexpr const char* kCheckSummary = "Look at a configuration without running it";

constexpr const char* kCheckFooter =
    "DESCRIPTION\n"
    "  Parses and checks the file, opens the model's files, reads the secrets and looks for the\n"
    "  files that streams name. Prints one line that begins with 'OK', or one sentence on "
    "standard\n"
    "  error that says what is wrong.\n"
    "\n"
    "EXIT CODES\n"
    "  0  'captiond serve' would start\n"
    "  2  it would not\n";

void add_serve(CLI::App& app, Command& command) {
  CLI::App* serve = app.add_subcommand("serve", kServeSummary);
  serve->footer(kServeFooter);
  serve->add_option("CONFIG", command.config, "YAML file, see configs/reference.yaml")
      ->required()
      ->type_name("FILE");
  serve->callback([&command] { command.kind = Command::Kind::kServe; });
}

void add_check(CLI::App& app, Command& command) {
  CLI::App* check = app.add_subcommand("check", kCheckSummary);
  check->footer(kCheckFooter);
  check->add_option("CONFIG", command.config, "YAML file, see configs/reference.yaml")
      ->required()
      ->type_name("FILE");
  check->callback([&command] { command.kind = Command::Kind::kCheck; });
}

// Sets `format` from its name.
void add_format(CLI::App& transcribe, CaptionFormat& format) {
  const auto parse = [&format](const std::string& name) {
    const std::map<std::string, CaptionFormat> formats = {{"text", CaptionFormat::kText},
                                                          {"json", CaptionFormat::kJson},
                                                          {"vtt", CaptionFormat::kVtt},
                                                          {"srt", CaptionFormat::kSrt}};
    const auto found = formats.find(name);
    if (found == formats.end()) {
      throw CLI::ValidationError("--format",
                                 "expected one of text, json, vtt, srt, found " + in_quotes(name));
    }
    format = found->second;
  };
  transcribe.add_option_function<std::string>("--format", parse, "How captions are written [text]")
      ->type_name("text|json|vtt|srt");
}

// What is written, and how.
void add_caption_options(CLI::App& transcribe, TranscribeOptions& options) {
  add_format(transcribe, options.format);
  transcribe
      .add_option("--output", options.output,
                  "Write files in this folder, made if need be, instead of standard output")
      ->type_name("DIR");
  transcribe
      .add_option("--language", options.language,
                  "The spoken language, by its English name or ISO 639-1 code")
      ->capture_default_str()
      ->type_name("NAME");
  transcribe
      .add_option("--translate", options.translations,
                  "Translate what is said into these languages, by names or codes, too")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAME[,NAME…]");
  transcribe
      .add_option("--scenes", options.scenes,
                  "Describe the film's pictures, one every so many seconds, too")
      ->type_name("SECONDS");
  transcribe
      .add_option("--scene-frames", options.scene_frames,
                  "A description is about so many pictures, a second apart: what happens, not only "
                  "what is there")
      ->capture_default_str()
      ->type_name("N");
  transcribe.add_flag("--no-speech", options.no_speech,
                      "Do not listen: scenes alone, of films without sound, too");
  transcribe.add_flag("--partials", options.partials,
                      "Captions that are not final yet, too (text and json)");
}

// What computes them.
void add_engine_options(CLI::App& transcribe, TranscribeOptions& options) {
  transcribe
      .add_option("--model", options.model,
                  "Folder of a Hugging Face gemma4_unified checkpoint [CAPTIOND_MODEL, or the demo "
                  "checkpoint]")
      ->type_name("DIR");
  transcribe.add_option("--device", options.device, "Where the model computes")
      ->capture_default_str()
      ->type_name("cpu|cuda");
  transcribe
      .add_option("--dtype", options.dtype, "In what it computes [float32, on cuda bfloat16]")
      ->type_name("float32|bfloat16");
  transcribe.add_option("--weights", options.weights, "How cuda keeps the model's weights")
      ->capture_default_str()
      ->type_name("bf16|fp8|int8|int4");
  transcribe.add_option("--threads", options.threads, "CPU threads, 0: as many as cores")
      ->capture_default_str()
      ->type_name("N");
  transcribe.add_option("--log-level", options.log_level, "Which logs go to standard error")
      ->capture_default_str()
      ->type_name("debug|info|warning|error");
}

void add_transcribe(CLI::App& app, Command& command) {
  CLI::App* transcribe = app.add_subcommand("transcribe", kTranscribeSummary);
  transcribe->footer(kTranscribeFooter);
  TranscribeOptions& options = command.transcribe;
  transcribe->add_option("FILES", options.files, "Media files or URIs")
      ->required()
      ->type_name("FILE");
  add_caption_options(*transcribe, options);
  add_engine_options(*transcribe, options);
  transcribe->callback([&command] { command.kind = Command::Kind::kTranscribe; });
}

// One sentence about what is wrong with a command line.
std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const auto chosen = app->get_subcommands();
  std::string help = "captiond --help";
  std::string problem = error.what();
  if (!chosen.empty()) {
    help = "captiond " + chosen.front()->get_name() + " --help";
  } else if (const auto rest = app->remaining(); !rest.empty()) {
    const std::array<std::string, 3> commands = {"serve", "transcribe", "check"};
    problem = "there is no command " + in_quotes(rest.front()) + suggestion(rest.front(), commands);
  }
  return "captiond: " + problem + " (see " + help + ")\n";
}

}  // namespace

std::unique_ptr<CLI::App> make_command_line(Command& command) {
  auto app = std::make_unique<CLI::App>(kDescription, "captiond");
  app->set_version_flag("--version", std::string("captiond ") + CAPTIOND_VERSION);
  app->footer(kFooter);
  app->require_subcommand(1);
  app->failure_message(failure_message);
  add_serve(*app, command);
  add_transcribe(*app, command);
  add_check(*app, command);
  return app;
}

}  // namespace captiond
