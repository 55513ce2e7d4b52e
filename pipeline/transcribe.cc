#include "pipeline/transcribe.h"

#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <spdlog/logger.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "elements/engine_context.h"
#include "pipeline/config.h"
#include "pipeline/config_error.h"
#include "pipeline/config_value.h"
#include "pipeline/engine_setup.h"
#include "pipeline/exit_code.h"
#include "pipeline/language_choice.h"
#include "pipeline/live_lines.h"
#include "pipeline/log.h"
#include "pipeline/main_loop.h"
#include "pipeline/nearest_name.h"
#include "pipeline/printable_text.h"
#include "pipeline/proto_time.h"
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

// Where the captions of one file go.
class CaptionOutput {
 public:
  CaptionOutput(const TranscribeOptions& options, const std::string& file, std::ostream& out)
      : formatter_(options.format, file), out_(out) {
    if (options.partials && options.format == CaptionFormat::kText) {
      lines_.emplace(out, columns_of(STDOUT_FILENO));
    }
    out_ << formatter_.begin();
  }

  void write(const v1::Transcript& transcript) {
    if (lines_ && !transcript.final()) {
      const auto stable =
          std::min<std::size_t>(transcript.stable_length(), transcript.text().size());
      lines_->replace("",
                      {"", transcript.text().substr(0, stable), transcript.text().substr(stable)});
      return;
    }
    if (lines_) lines_->remove("");
    out_ << formatter_.caption(transcript) << std::flush;
  }

 private:
  CaptionFormatter formatter_;
  std::ostream& out_;
  std::optional<LiveLines> lines_;  // text with partials
};

// One file from begin to end.
class FileRun final : public StreamListener {
 public:
  FileRun(const v1::StreamConfig& stream, GstContext* engine, CaptionOutput& output, MainLoop& loop,
          const std::shared_ptr<spdlog::logger>& log)
      : output_(output),
        loop_(loop),
        plan_(plan_stream(stream)),
        stream_(std::make_unique<Stream>(plan_, engine, *this, log)) {}

  // Returns why the file failed, one sentence; empty if it did not.
  std::string run() {
    const StopSignals signals([this] {
      interrupted_ ? stream_->abandon() : stream_->finish();
      interrupted_ = true;
    });
    std::optional<Timer> progress;
    if (isatty(STDERR_FILENO) != 0 && isatty(STDOUT_FILENO) == 0) {
      progress.emplace(Timer::Kind::kRepeating, kProgressInterval, [this] { show_progress(); });
    }
    const auto begin = Clock::now();
    stream_->start();
    loop_.run();
    const auto taken = Clock::now() - begin;
    if (progress) std::cerr << "\r\x1b[2K";
    const auto heard = seconds(heard_);
    if (failure_.empty() && heard > 0) {
      std::cerr << fmt::format("{}: {:.1f} s in {:.1f} s, {:.2f} of real time, {} captions{}\n",
                               plan_.name, heard, seconds(taken), seconds(taken) / heard, captions_,
                               interrupted_ ? ", interrupted" : "");
    }
    return failure_;
  }

  bool interrupted() const { return interrupted_; }

 private:
  void show_progress() const {
    const auto duration = stream_->duration();
    std::cerr << fmt::format("\r\x1b[2K{}: {:.1f} s", plan_.name, seconds(stream_->position()));
    if (duration) std::cerr << fmt::format(" of {:.1f} s", seconds(*duration));
    std::cerr << std::flush;
  }

  void on_running() override {}

  void on_body(v1::Event body) override {
    if (!body.has_transcript()) return;
    if (body.transcript().final() && !body.transcript().text().empty()) ++captions_;
    output_.write(body.transcript());
  }

  void on_end(const std::string& failure) override {
    failure_ = failure;
    heard_ = stream_->position();
    loop_.quit();
  }

  CaptionOutput& output_;
  MainLoop& loop_;
  const StreamPlan plan_;
  std::unique_ptr<Stream> stream_;
  std::string failure_;
  std::chrono::nanoseconds heard_{};
  std::size_t captions_ = 0;
  bool interrupted_ = false;
};

}  // namespace

v1::Config transcribe_config(const TranscribeOptions& options) {
  if (options.files.size() > 1 &&
      (options.format == CaptionFormat::kVtt || options.format == CaptionFormat::kSrt)) {
    throw ConfigError(
        "--format vtt and srt take one file at a time: their times belong to one "
        "file, and several would run together on standard output");
  }
  if (options.partials &&
      (options.format == CaptionFormat::kVtt || options.format == CaptionFormat::kSrt)) {
    throw ConfigError(
        "--partials goes with --format text and json only: a cue of vtt or srt "
        "cannot be replaced");
  }
  if (!find_language(options.language)) {
    throw ConfigError("--language is " + in_quotes(options.language) +
                      ", which is no known language" +
                      suggestion(options.language, language_names()));
  }
  v1::Config config;
  config.mutable_engine()->set_model(options.model);
  config.mutable_engine()->set_threads(options.threads);
  set_option(*config.mutable_engine(), "device", "--device", options.device);
  set_option(*config.mutable_engine(), "dtype", "--dtype", options.dtype);
  set_option(*config.mutable_log(), "level", "--log-level", options.log_level);
  for (const std::string& file : options.files) {
    v1::StreamConfig& stream = *config.add_streams();
    stream.set_id("file" + std::to_string(config.streams_size()));
    stream.set_uri(is_uri(file) ? file : file_uri(file, std::filesystem::current_path()));
    stream.set_source(v1::SOURCE_KIND_FILE);
    stream.set_pace(v1::PACE_FAST);
    stream.mutable_captions()->set_language(options.language);
    if (!options.partials) stream.mutable_captions()->mutable_partial_interval();
  }
  set_defaults(config);
  if (const auto problem = find_problem(config)) throw ConfigError(problem->sentence);
  return config;
}

int transcribe(const TranscribeOptions& options, std::ostream& out) {
  const v1::Config config = transcribe_config(options);
  const auto log = make_log(config.log().level(), config.log().format());
  const EngineOptions wanted = engine_options(config.engine());
  std::shared_ptr<Engine> engine = Engine::open(wanted);
  check_abilities(config, engine->config());
  const auto context = gst::make_engine_context({std::move(engine), wanted});
  MainLoop loop;
  bool failed = false;
  for (int i = 0; i < config.streams_size(); ++i) {
    const std::string& file = options.files.at(static_cast<std::size_t>(i));
    std::string failure;
    bool interrupted = false;
    try {
      CaptionOutput output(options, file, out);
      FileRun run(config.streams(i), context.get(), output, loop, log);
      failure = run.run();
      interrupted = run.interrupted();
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
