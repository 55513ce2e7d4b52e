#include "pipeline/transcribe.h"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <spdlog/logger.h>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "elements/engine_context.h"
#include "pipeline/caption_output.h"
#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/config_value.h"
#include "pipeline/engine_setup.h"
#include "pipeline/exit_code.h"
#include "pipeline/language_choice.h"
#include "pipeline/log.h"
#include "pipeline/main_loop.h"
#include "pipeline/nearest_name.h"
#include "pipeline/printable_text.h"
#include "pipeline/stream.h"
#include "pipeline/stream_error.h"

namespace captiond {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kProgressInterval(250);

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

void set_option(google::protobuf::Message& message, const std::string& key,
                const std::string& option, const std::string& value) {
  const auto* field = message.GetDescriptor()->FindFieldByName(key);
  try {
    set_value(message, *field, value);
  } catch (const ConfigError& error) {
    throw ConfigError(option + ": " + error.what());
  }
}

std::size_t columns_of(int descriptor) {
  if (isatty(descriptor) == 0) return 0;
  winsize size{};
  const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

// One file from begin to end.
class FileRun final : public StreamListener {
 public:
  FileRun(const v1::StreamConfig& stream, GstContext* engine, CaptionOutput& output, MainLoop& loop,
          const std::shared_ptr<spdlog::logger>& log, const std::string& file, bool to_files)
      : output_(output),
        loop_(loop),
        to_files_(to_files),
        plan_(plan_stream(stream)),
        name_(is_uri(file) ? plan_.name : printable(file)),
        stream_(std::make_unique<Stream>(plan_, engine, *this, log)) {}

  // Returns why the file failed, one sentence; empty if it did not.
  std::string run() {
    const StopSignals signals([this] {
      interrupted_ ? stream_->abandon() : stream_->finish();
      interrupted_ = true;
    });
    std::optional<Timer> progress;
    // Captions on the same terminal show how far it is.
    if (isatty(STDERR_FILENO) != 0 && (to_files_ || isatty(STDOUT_FILENO) == 0)) {
      progress.emplace(Timer::Kind::kRepeating, kProgressInterval, [this] { show_progress(); });
    }
    const auto begin = Clock::now();
    stream_->start();
    loop_.run();
    const auto taken = Clock::now() - begin;
    if (progress) std::cerr << "\r\x1b[2K";
    const auto heard = seconds(heard_);
    if (failure_.empty() && heard > 0) {
      std::cerr << fmt::format("{}: {:.1f} s in {:.1f} s, {:.2f} of real time{}{}\n", name_, heard,
                               seconds(taken), seconds(taken) / heard, counts(),
                               interrupted_ ? ", interrupted" : "");
    }
    return failure_;
  }

  bool interrupted() const { return interrupted_; }

 private:
  void show_progress() const {
    const auto duration = stream_->duration();
    std::cerr << fmt::format("\r\x1b[2K{}: {:.1f} s", name_, seconds(stream_->position()));
    if (duration) std::cerr << fmt::format(" of {:.1f} s", seconds(*duration));
    std::cerr << std::flush;
  }

  std::string counts() const {
    std::string text;
    if (plan_.config.captions().enabled()) text += fmt::format(", {} captions", captions_);
    if (!plan_.translations.empty()) text += fmt::format(", {} translations", translations_);
    if (plan_.config.scenes().enabled()) text += fmt::format(", {} scenes", scenes_);
    return text;
  }

  void on_running() override {}

  void on_body(v1::Event body) override {
    const v1::Transcript& transcript = body.transcript();
    captions_ += transcript.final() && !transcript.text().empty() ? 1 : 0;
    translations_ += body.translation().text().empty() ? 0 : 1;
    scenes_ += body.scene().text().empty() ? 0 : 1;
    output_.write(body);
  }

  void on_end(const std::string& failure) override {
    failure_ = failure;
    heard_ = stream_->position();
    loop_.quit();
  }

  CaptionOutput& output_;
  MainLoop& loop_;
  const bool to_files_;  // the captions
  const StreamPlan plan_;
  const std::string name_;  // as the user named it; of a URI what may be shown
  std::unique_ptr<Stream> stream_;
  std::string failure_;
  std::chrono::nanoseconds heard_{};
  std::size_t captions_ = 0;  // with words
  std::size_t translations_ = 0;
  std::size_t scenes_ = 0;
  bool interrupted_ = false;
};

// What the options say of every file.
v1::StreamConfig stream_config(const TranscribeOptions& options) {
  v1::StreamConfig stream;
  stream.set_source(v1::SOURCE_KIND_FILE);
  stream.set_pace(v1::PACE_FAST);
  v1::CaptionConfig& captions = *stream.mutable_captions();
  captions.set_enabled(!options.no_speech);
  captions.set_language(options.language);
  for (const std::string& language : options.translations) captions.add_translations(language);
  if (!options.partials) captions.mutable_partial_interval();
  if (!options.scenes.empty()) {
    v1::SceneConfig& scenes = *stream.mutable_scenes();
    scenes.set_enabled(true);
    const bool number = options.scenes.find_first_not_of("0123456789.") == std::string::npos;
    set_option(scenes, "interval", "--scenes", options.scenes + (number ? "s" : ""));
    const auto* field = scenes.GetDescriptor()->FindFieldByName("interval");
    if (!in_range(scenes, *field)) {
      throw ConfigError("--scenes is " + value_text(scenes, *field) + ", allowed is " +
                        allowed_range(*field));
    }
    scenes.set_frames(options.scene_frames);
    const auto* frames = scenes.GetDescriptor()->FindFieldByName("frames");
    if (!in_range(scenes, *frames)) {
      throw ConfigError("--scene-frames is " + std::to_string(options.scene_frames) +
                        ", allowed is " + allowed_range(*frames));
    }
  }
  return stream;
}

// Options that do not go with each other.
void check_options(const TranscribeOptions& options) {
  const bool cues = options.format == CaptionFormat::kVtt || options.format == CaptionFormat::kSrt;
  if (options.files.size() > 1 && cues && options.output.empty()) {
    throw ConfigError(
        "--format vtt and srt take one file at a time: their times belong to one file, and several "
        "would run together on standard output; --output DIR writes files for each");
  }
  if (options.partials && cues) {
    throw ConfigError(
        "--partials goes with --format text and json only: a cue of vtt or srt cannot be "
        "replaced");
  }
  if (options.partials && options.format == CaptionFormat::kText && !options.output.empty()) {
    throw ConfigError(
        "--partials of --format text are shown on standard output and are not for files: leave out "
        "--output, or take --format json");
  }
  if (options.scene_frames != 1 && options.scenes.empty()) {
    throw ConfigError("--scene-frames is for --scenes: say how often to describe with it");
  }
  if (!options.no_speech) return;
  if (options.scenes.empty()) {
    throw ConfigError("--no-speech leaves nothing to write: ask for --scenes as well");
  }
  if (!options.translations.empty() || options.partials) {
    throw ConfigError("--no-speech goes with neither --translate nor --partials: both need words");
  }
}

// What engine_options() refuses, in the words of the command line.
void check_engine(const v1::EngineConfig& engine) {
  const bool gpu = engine.device() == v1::DEVICE_CUDA;
  if (gpu && engine.dtype() == v1::DTYPE_FLOAT32) {
    throw ConfigError(
        "--dtype is float32, but --device cuda computes in bfloat16: leave --dtype out");
  }
  if (!gpu && engine.weights() != v1::WEIGHT_FORMAT_BF16) {
    throw ConfigError(
        "--weights is for --device cuda: the CPU computes with the checkpoint's weights as they "
        "are");
  }
}

void check_languages(const TranscribeOptions& options) {
  const auto code_of = [](const char* option, const std::string& language) {
    if (const auto code = find_language(language)) return *code;
    throw ConfigError(std::string(option) + " is " + in_quotes(language) +
                      ", which is no known language" + suggestion(language, language_names()));
  };
  std::set<std::string> seen = {code_of("--language", options.language)};
  for (const std::string& language : options.translations) {
    if (!seen.insert(code_of("--translate", language)).second) {
      throw ConfigError("--translate is " + in_quotes(language) +
                        ", which is the spoken language or there already");
    }
  }
}

// Two media files whose captions would go to the same files.
void check_stems(const std::vector<std::string>& files) {
  std::map<std::string, std::string> seen;
  for (const std::string& file : files) {
    const auto [other, is_new] = seen.emplace(caption_stem(file), file);
    if (is_new) continue;
    throw ConfigError("--output would write the captions of " + in_quotes(file) +
                      " over those of " + in_quotes(other->second) +
                      ", which has the same name: caption them into two folders");
  }
}

// check_abilities() in the words of the command line.
void check_model(const TranscribeOptions& options, const std::filesystem::path& folder,
                 const ModelConfig& model) {
  const std::string name = printable(folder.native());
  if (!options.no_speech && !model.audio) {
    throw ConfigError("the checkpoint " + name +
                      " cannot hear: its config.json has no audio_config; name another with "
                      "--model, or have only pictures described with --scenes and --no-speech");
  }
  if (!options.scenes.empty() && !model.vision) {
    throw ConfigError("--scenes was given, but the checkpoint " + name +
                      " cannot see: its config.json has no vision_config; leave --scenes out, or "
                      "name another checkpoint with --model");
  }
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!std::filesystem::is_directory(folder)) {
    throw ConfigError(
        "--output is " + in_quotes(folder) + ", which is no folder and cannot be " +
        "made: " + (error ? error : std::make_error_code(std::errc::not_a_directory)).message());
  }
}

std::unique_ptr<CaptionOutput> make_output(const TranscribeOptions& options,
                                           const v1::StreamConfig& stream, const std::string& file,
                                           std::ostream& out) {
  if (!options.output.empty()) {
    return std::make_unique<CaptionOutput>(stream, options.format, file, options.output,
                                           caption_stem(file));
  }
  std::optional<std::size_t> partial_columns;
  if (options.partials && options.format == CaptionFormat::kText) {
    partial_columns = columns_of(STDOUT_FILENO);
  }
  return std::make_unique<CaptionOutput>(stream, options.format, file, out, partial_columns);
}

}  // namespace

v1::Config transcribe_config(const TranscribeOptions& options) {
  check_options(options);
  check_languages(options);
  if (!options.output.empty()) check_stems(options.files);
  v1::Config config;
  v1::EngineConfig& engine = *config.mutable_engine();
  engine.set_model(options.model);
  engine.set_threads(options.threads);
  set_option(engine, "device", "--device", options.device);
  const bool gpu = engine.device() == v1::DEVICE_CUDA;
  const std::string usual = gpu ? "bfloat16" : "float32";
  set_option(engine, "dtype", "--dtype", options.dtype.empty() ? usual : options.dtype);
  set_option(engine, "weights", "--weights", options.weights);
  check_engine(engine);
  set_option(*config.mutable_log(), "level", "--log-level", options.log_level);
  const v1::StreamConfig common = stream_config(options);
  for (const std::string& file : options.files) {
    v1::StreamConfig& stream = *config.add_streams();
    stream = common;
    stream.set_id("file" + std::to_string(config.streams_size()));
    stream.set_uri(is_uri(file) ? file : file_uri(file, std::filesystem::current_path()));
  }
  set_defaults(config);
  if (const auto problem = find_problem(config)) throw ConfigError(problem->sentence);
  return config;
}

int transcribe(const TranscribeOptions& options, std::ostream& out) {
  const v1::Config config = transcribe_config(options);
  const auto log = make_log(config.log().level(), config.log().format());
  const EngineOptions wanted = engine_options(config.engine());
  if (!options.output.empty()) make_folder(options.output);
  std::shared_ptr<Engine> engine = Engine::open(wanted);
  check_model(options, wanted.model, engine->config());
  const auto context = gst::make_engine_context({std::move(engine), wanted});
  MainLoop loop;
  bool failed = false;
  for (int i = 0; i < config.streams_size(); ++i) {
    const std::string& file = options.files.at(static_cast<std::size_t>(i));
    std::string failure;
    bool interrupted = false;
    try {
      const auto output = make_output(options, config.streams(i), file, out);
      FileRun run(config.streams(i), context.get(), *output, loop, log, file,
                  !options.output.empty());
      failure = run.run();
      interrupted = run.interrupted();
      if (failure.empty() || output->written()) output->finish();
    } catch (const ConfigError& error) {
      failure = error.what();
    } catch (const StreamError& error) {
      failure = error.what();
    }
    if (!failure.empty()) std::cerr << "captiond: " << failure << std::endl;
    failed = failed || !failure.empty() || interrupted;
    if (interrupted) break;
    if (!out) {
      std::cerr << "captiond: captions cannot be written to standard output" << std::endl;
      return kFailedWhileRunning;
    }
  }
  return failed ? kFailedWhileRunning : kStoppedAsAsked;
}

}  // namespace captiond
