#include "pipeline/command_line.h"

#include <map>
#include <string>

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

constexpr const char* kTranscribeSummary = "Write the captions of files to standard output";

constexpr const char* kTranscribeFooter =
    "DESCRIPTION\n"
    "  Writes the captions of files to standard output, as fast as the model can, one file after\n"
    "  the other: any audio or video file, or URI, that GStreamer plays. Nothing else goes to\n"
    "  standard output; progress, errors and logs go to standard error.\n"
    "\n"
    "FORMATS\n"
    "  text  a line a caption\n"
    "  json  an object a line: file, segment, revision, final, text, stable_length (bytes of text\n"
    "        that will not change), language, start and end (seconds), truncated\n"
    "  vtt   WebVTT, one file at a time\n"
    "  srt   SubRip, one file at a time\n\n"
    "EXIT CODES\n"
    "  0  every file was captioned to its end\n"
    "  1  a file failed or was interrupted; the others are done\n"
    "  2  could not start (command line, model)\n\n"
    "EXAMPLES\n"
    "  captiond transcribe talk.mp4\n"
    "  captiond transcribe --format vtt talk.mp4 > talk.vtt\n"
    "  captiond transcribe --format json --partials talk.wav | jq .text\n"
    "  captiond transcribe --model gemma-4-12b-it --dtype bfloat16 --language German rede.ogg\n";

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

void add_transcribe(CLI::App& app, Command& command) {
  CLI::App* transcribe = app.add_subcommand("transcribe", kTranscribeSummary);
  transcribe->footer(kTranscribeFooter);
  TranscribeOptions& options = command.transcribe;
  transcribe->add_option("FILES", options.files, "Media files or URIs")
      ->required()
      ->type_name("FILE");
  transcribe
      ->add_option(
          "--model", options.model,
          "Folder of a Hugging Face gemma4_unified checkpoint [CAPTIOND_MODEL, or the demo "
          "checkpoint]")
      ->type_name("DIR");
  const std::map<std::string, CaptionFormat> formats = {{"text", CaptionFormat::kText},
                                                        {"json", CaptionFormat::kJson},
                                                        {"vtt", CaptionFormat::kVtt},
                                                        {"srt", CaptionFormat::kSrt}};
  transcribe->add_option("--format", options.format, "How captions are written [text]")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("text|json|vtt|srt");
  transcribe
      ->add_option("--language", options.language,
                   "The spoken language, by its English name or ISO 639-1 code")
      ->capture_default_str()
      ->type_name("NAME");
  transcribe->add_flag("--partials", options.partials,
                       "Captions that are not final yet, too (text and json)");
  transcribe->add_option("--device", options.device, "Where the model computes")
      ->capture_default_str()
      ->type_name("cpu|cuda");
  transcribe->add_option("--dtype", options.dtype, "In what it computes")
      ->capture_default_str()
      ->type_name("float32|bfloat16");
  transcribe->add_option("--threads", options.threads, "CPU threads, 0: as many as cores")
      ->capture_default_str()
      ->type_name("N");
  transcribe->add_option("--log-level", options.log_level, "Which logs go to standard error")
      ->capture_default_str()
      ->type_name("debug|info|warning|error");
  transcribe->callback([&command] { command.kind = Command::Kind::kTranscribe; });
}

}  // namespace

std::unique_ptr<CLI::App> make_command_line(Command& command) {
  auto app = std::make_unique<CLI::App>(kDescription, "captiond");
  app->set_version_flag("--version", std::string("captiond ") + CAPTIOND_VERSION);
  app->footer(kFooter);
  app->require_subcommand(1);
  add_serve(*app, command);
  add_transcribe(*app, command);
  add_check(*app, command);
  return app;
}

}  // namespace captiond
