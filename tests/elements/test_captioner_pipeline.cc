#define BOOST_TEST_MODULE captioner_pipeline
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <gst/gst.h>

#include "elements/caption_message.h"
#include "elements/engine_context.h"
#include "model/vision_patcher.h"
#include "tests/support/captioner_bench.h"
#include "tests/support/gst_harness.h"
#include "tests/support/scripted_engine.h"
#include "tests/support/scripted_open.h"
#include "tests/support/temporary_folder.h"

// gemmacaptioner among other elements: its pads, and where its engine comes from.

namespace {

using namespace captiond;
using captiond::gst::BusHandle;
using captiond::gst::ContextHandle;
using captiond::gst::ElementHandle;
using captiond::gst::ErrorHandle;
using captiond::gst::MessageHandle;
using captiond::gst::PadHandle;
using captiond::test::TemporaryFolder;

constexpr const char* kSpeech =
    "audiotestsrc num-buffers=100 samplesperbuffer=640 ! audio/x-raw,rate=16000,channels=1 ! "
    "audioconvert ! audiopatcher ! ";

class Pipeline {
 public:
  explicit Pipeline(const std::string& line) {
    GError* error = nullptr;
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(line.c_str(), &error))));
    const ErrorHandle owned(error);
    BOOST_REQUIRE_MESSAGE(error == nullptr, (error != nullptr ? error->message : ""));
    if (!GST_IS_PIPELINE(pipeline_.get())) {  // the line had one element
      ElementHandle pipeline(GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr))));
      gst_bin_add(GST_BIN(pipeline.get()), pipeline_.get());
      pipeline_ = std::move(pipeline);
    }
    bus_.reset(gst_element_get_bus(pipeline_.get()));
  }
  ~Pipeline() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  GstElement* get() const { return pipeline_.get(); }
  GstBus* bus() const { return bus_.get(); }
  ElementHandle find(const char* name) const {
    return ElementHandle(gst_bin_get_by_name(GST_BIN(get()), name));
  }
  bool set_state(GstState state) {
    return gst_element_set_state(get(), state) != GST_STATE_CHANGE_FAILURE;
  }
  // Plays to the end; all captions, as lines. Fails on an ERROR message.
  std::vector<std::string> play() {
    BOOST_REQUIRE(set_state(GST_STATE_PLAYING));
    std::vector<std::string> lines;
    for (;;) {
      const MessageHandle message(gst_bus_timed_pop_filtered(
          bus(), 20 * GST_SECOND,
          GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT)));
      BOOST_REQUIRE(message != nullptr);
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_EOS) return lines;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) BOOST_FAIL(text_of(message.get()));
      if (const auto event = captiond::gst::parse_caption(message.get())) {
        lines.push_back(to_line(*event));
      }
    }
  }
  // The ERROR messages so far: "RESOURCE 1 sentence".
  std::vector<std::string> errors() {
    std::vector<std::string> texts;
    while (const auto message = MessageHandle(gst_bus_pop_filtered(bus(), GST_MESSAGE_ERROR))) {
      texts.push_back(text_of(message.get()));
    }
    return texts;
  }

 private:
  static std::string text_of(GstMessage* message) {
    GError* error = nullptr;
    gst_message_parse_error(message, &error, nullptr);
    const ErrorHandle owned(error);
    return std::string(g_quark_to_string(error->domain)) + ": " + error->message;
  }

  ElementHandle pipeline_;
  BusHandle bus_;
};

// A checkpoint folder that scripted_open.cc opens.
class ScriptedModel {
 public:
  explicit ScriptedModel(const char* answer) { folder_.write("answer.txt", answer); }
  std::string property() const { return " model=" + folder_.path().string() + " "; }
  std::filesystem::path path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

// The engine that the captioner of this name got, asked for through its context.
std::shared_ptr<Engine> engine_of(const Pipeline& pipeline, const char* name) {
  const ElementHandle element = pipeline.find(name);
  const ContextHandle context(
      gst_element_get_context(element.get(), captiond::gst::kEngineContextType));
  const auto offer = captiond::gst::engine_in(context.get());
  return offer ? offer->engine : nullptr;
}

std::string start_error(const std::string& line) {
  Pipeline pipeline(line);
  BOOST_TEST(!pipeline.set_state(GST_STATE_PAUSED));
  const auto errors = pipeline.errors();
  BOOST_REQUIRE_EQUAL(errors.size(), 1u);
  return errors[0];
}

GstPad* request(GstElement* element, const char* name) {
  return gst_element_request_pad_simple(element, name);
}

}  // namespace

using captiond::test::Gst;
BOOST_TEST_GLOBAL_FIXTURE(Gst);

BOOST_AUTO_TEST_CASE(a_link_without_pad_names_gets_the_transcript) {
  const ScriptedModel model("good morning");
  Pipeline pipeline(std::string(kSpeech) + "gemmacaptioner name=c partial-interval=0" +
                    model.property() + "! webvttenc ! fakesink");
  const auto lines = pipeline.play();
  BOOST_REQUIRE_EQUAL(lines.size(), 1u);
  BOOST_TEST(lines[0].ends_with("final good morning"));
  const ElementHandle captioner = pipeline.find("c");
  BOOST_TEST((PadHandle(gst_element_get_static_pad(captioner.get(), "transcript")) != nullptr));
}

BOOST_AUTO_TEST_CASE(all_pads_together_end_together) {
  const ScriptedModel model("good morning");
  Pipeline pipeline(
      std::string(kSpeech) + "gemmacaptioner name=c partial-interval=0 scene-interval=1000" +
      model.property() +
      "c.transcript ! fakesink c.translation_de ! fakesink c.translation_es ! fakesink "
      "c.scene ! fakesink "
      "videotestsrc num-buffers=60 ! video/x-raw,width=96,height=96,framerate=15/1 ! videoconvert "
      "! visionpatcher ! c.vision");
  std::size_t finals = 0;
  std::size_t translations = 0;
  std::size_t scenes = 0;
  for (const std::string& line : pipeline.play()) {
    finals += line.find(" final ") != std::string::npos ? 1 : 0;
    translations += line.starts_with("0 de ") || line.starts_with("0 es ") ? 1 : 0;
    scenes += line.starts_with("scene ") ? 1 : 0;
  }
  BOOST_TEST(finals == 1u);
  BOOST_TEST(translations == 2u);
  BOOST_TEST(scenes == 4u);
}

BOOST_AUTO_TEST_CASE(pictures_may_come_as_pixels) {
  const auto described = [](const std::string& patcher, const std::string& properties) {
    const ScriptedModel model("a picture");
    // 322 pixels a row: GStreamer pads rows to a multiple of four bytes.
    Pipeline pipeline("gemmacaptioner name=c scene-interval=1000 " + properties + model.property() +
                      "c.scene ! fakesink videotestsrc num-buffers=40 "
                      "! video/x-raw,format=RGB,width=322,height=97,framerate=15/1 ! " +
                      patcher + "c.vision");
    BOOST_TEST(pipeline.play().size() == 3u);
    const auto engine = std::dynamic_pointer_cast<ScriptedEngine>(engine_of(pipeline, "c"));
    BOOST_REQUIRE(engine != nullptr);
    std::vector<std::size_t> patches;
    for (const ScriptedQuestion& q : engine->questions()) patches.push_back(q.picture_patches);
    return patches;
  };
  const std::size_t count = target_grid({322, 97}, 140).count();
  const std::vector<std::size_t> wanted(3, count);
  BOOST_TEST(described("visionpatcher max-soft-tokens=140 ! ", "") == wanted,
             boost::test_tools::per_element());
  BOOST_TEST(described("", "scene-soft-tokens-max=140 ") == wanted,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(several_frames_are_one_video) {
  for (const char* patcher : {"", "visionpatcher ! "}) {
    const ScriptedModel model("a picture");
    Pipeline pipeline(std::string("gemmacaptioner name=c scene-interval=2000 scene-frames=3 "
                                  "scene-prompt=What? ") +
                      model.property() +
                      "c.scene ! fakesink videotestsrc num-buffers=66 "
                      "! video/x-raw,format=RGB,width=96,height=96,framerate=15/1 ! " +
                      patcher + "c.vision");
    BOOST_TEST(pipeline.play().size() == 3u);
    const auto engine = std::dynamic_pointer_cast<ScriptedEngine>(engine_of(pipeline, "c"));
    BOOST_REQUIRE(engine != nullptr);
    const std::string frame = "<|image>[video 64]<image|>";
    const std::string end = "What?<turn|>\n<|turn>model\n<|channel>thought\n<channel|>";
    const std::string three =
        "<bos><|turn>user\n00:00 " + frame + " 00:01 " + frame + " 00:02 " + frame + end;
    std::vector<std::string> layouts;
    for (const ScriptedQuestion& q : engine->questions()) layouts.push_back(q.layout);
    const std::vector<std::string> wanted = {"<bos><|turn>user\n00:00 " + frame + end, three,
                                             three};
    BOOST_TEST(layouts == wanted, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(frames_that_cannot_be_are_refused_at_the_start) {
  const ScriptedModel model("a picture");
  const auto refused = [&](const std::string& properties) {
    return start_error("videotestsrc ! video/x-raw,format=RGB ! c.vision gemmacaptioner name=c " +
                       properties + model.property() + "c.scene ! fakesink");
  };
  BOOST_TEST(refused("scene-frames=7 scene-frame-distance=9000")
                 .ends_with("scene-frames is 7 and scene-frame-distance 9000 ms, but the model "
                            "takes videos of 60000 ms at most: make one of them smaller."));
}

BOOST_AUTO_TEST_CASE(a_budget_that_is_none_is_refused_at_the_start) {
  const ScriptedModel model("a picture");
  const std::string error = start_error(
      "videotestsrc ! video/x-raw,format=RGB ! c.vision gemmacaptioner name=c "
      "scene-soft-tokens-max=71 " +
      model.property() + "c.scene ! fakesink");
  BOOST_TEST(error.ends_with(
      "a picture's budget must be one of 70, 140, 280, 560, 1120 soft tokens, not 71"));
}

BOOST_AUTO_TEST_CASE(pads_that_cannot_be_are_refused) {
  const ElementHandle captioner(
      GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make("gemmacaptioner", nullptr))));
  for (const char* name : {"audio", "vision", "transcript", "scene", "translation_de"}) {
    const PadHandle pad(request(captioner.get(), name));
    BOOST_REQUIRE_MESSAGE(pad != nullptr, name);
    GstPadTemplate* same = gst_pad_get_pad_template(pad.get());
    BOOST_TEST((gst_element_request_pad(captioner.get(), same, nullptr, nullptr) == nullptr),
               "a second " << name);
    gst_object_unref(same);
  }
  for (const char* name : {"translation_", "translation_xx", "translation_German", "text"}) {
    BOOST_TEST((request(captioner.get(), name) == nullptr), name);
  }
}

BOOST_AUTO_TEST_CASE(a_released_pad_can_be_requested_again) {
  const ElementHandle captioner(
      GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make("gemmacaptioner", nullptr))));
  for (int i = 0; i < 3; ++i) {
    const PadHandle pad(request(captioner.get(), "transcript"));
    BOOST_REQUIRE(pad != nullptr);
    gst_element_release_request_pad(captioner.get(), pad.get());
  }
}

BOOST_AUTO_TEST_CASE(no_pad_is_given_once_the_stream_runs) {
  const ScriptedModel model("good");
  Pipeline pipeline("gemmacaptioner name=c" + model.property());
  BOOST_REQUIRE(pipeline.set_state(GST_STATE_PAUSED));
  BOOST_TEST((request(pipeline.find("c").get(), "audio") == nullptr));
}

BOOST_AUTO_TEST_CASE(a_text_pad_without_its_source_is_refused_at_the_start) {
  const ScriptedModel model("good");
  BOOST_TEST(start_error("gemmacaptioner name=c" + model.property() + "c.scene ! fakesink") ==
             "gst-resource-error-quark: Pad 'scene' of gemmacaptioner is there, but not pad "
             "'vision' that its text is made from: link that, too, or name another pad "
             "('transcript', 'translation_XX', 'scene').");
  BOOST_TEST(start_error("gemmacaptioner name=c" + model.property() + "c.transcript ! fakesink")
                 .find("not pad 'audio'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(settings_that_cannot_be_are_one_error_at_the_start) {
  const ScriptedModel model("good");
  const std::string head = std::string(kSpeech) + "gemmacaptioner" + model.property();
  BOOST_TEST(start_error(head + "language=xx ! fakesink").find("'xx' is no language") !=
             std::string::npos);
  BOOST_TEST(start_error(head + "lead-out=800 ! fakesink").find("lead-out is 800 ms") !=
             std::string::npos);
  BOOST_TEST(start_error(head + "name=c c.transcript ! fakesink c.translation_en ! fakesink")
                 .find("A translation into 'en'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(without_a_model_there_is_one_error_that_says_what_to_set) {
  BOOST_TEST(start_error(std::string(kSpeech) + "gemmacaptioner ! fakesink") ==
             "gst-resource-error-quark: gemmacaptioner has no model: set its property 'model' to "
             "the folder of a gemma4_unified checkpoint, or give the pipeline a captiond.engine "
             "context.");
}

BOOST_AUTO_TEST_CASE(a_bad_checkpoint_is_one_error_in_the_words_of_the_engine) {
  const TemporaryFolder folder;
  folder.write("config.json", "{\"model_type\": \"llama\"}");
  const std::string error = start_error(
      std::string(kSpeech) + "gemmacaptioner model=" + folder.path().string() + " ! fakesink");
  BOOST_TEST(error.find(folder.path().string()) != std::string::npos, error);
  BOOST_TEST(error.find("llama") != std::string::npos, error);
}

BOOST_AUTO_TEST_CASE(two_captioners_of_a_pipeline_with_the_same_model_share_its_engine) {
  const ScriptedModel model("good");
  const ScriptedModel other("morning");
  const std::size_t before = scripted_opens();
  Pipeline pipeline("gemmacaptioner name=a" + model.property() + "gemmacaptioner name=b model=" +
                    (model.path() / ".").string() + " gemmacaptioner name=c" + other.property());
  BOOST_REQUIRE(pipeline.set_state(GST_STATE_PAUSED));
  BOOST_TEST(scripted_opens() - before == 2u);

  // One with another dtype cannot share.
  Pipeline mixed("gemmacaptioner name=a" + model.property() + "gemmacaptioner name=b" +
                 model.property() + "dtype=bfloat16");
  BOOST_REQUIRE(mixed.set_state(GST_STATE_PAUSED));
  BOOST_TEST(scripted_opens() - before == 4u);
}

BOOST_AUTO_TEST_CASE(an_engine_that_was_opened_serves_the_next_start_too) {
  const ScriptedModel model("good");
  const std::size_t before = scripted_opens();
  Pipeline pipeline("gemmacaptioner name=a" + model.property());
  for (int i = 0; i < 3; ++i) {
    BOOST_REQUIRE(pipeline.set_state(GST_STATE_PAUSED));
    BOOST_REQUIRE(pipeline.set_state(GST_STATE_NULL));
  }
  BOOST_TEST(scripted_opens() - before == 1u);
  BOOST_TEST((engine_of(pipeline, "a") != nullptr));
}

BOOST_AUTO_TEST_CASE(a_context_set_on_the_pipeline_reaches_its_captioners) {
  const std::size_t before = scripted_opens();
  const auto engine = ScriptedEngine::make(
      "good", [](const ScriptedQuestion&) { return std::string("good"); },
      ScriptedEngine::Answers::kOnAThread);
  {
    Pipeline pipeline(std::string(kSpeech) + "gemmacaptioner partial-interval=0 ! fakesink");
    gst_element_set_context(pipeline.get(), captiond::gst::make_engine_context({engine, {}}).get());
    BOOST_TEST(pipeline.play().size() == 1u);
  }
  BOOST_TEST(scripted_opens() == before);
  BOOST_TEST(engine->questions().size() == 1u);
  BOOST_TEST(engine->contexts_alive() == 0u);
  BOOST_TEST(engine.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(an_application_can_answer_when_it_is_asked_for_an_engine) {
  const ScriptedModel model("good");
  EngineOptions options;
  options.model = model.path();
  const auto engine = Engine::open(options);
  const std::size_t before = scripted_opens();
  ContextHandle context = captiond::gst::make_engine_context({engine, options});
  Pipeline pipeline("gemmacaptioner name=a" + model.property());
  gst_bus_set_sync_handler(
      pipeline.bus(),
      [](GstBus*, GstMessage* message, gpointer given) {
        const gchar* type = nullptr;
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_NEED_CONTEXT &&
            gst_message_parse_context_type(message, &type) &&
            std::string(type) == captiond::gst::kEngineContextType) {
          gst_element_set_context(GST_ELEMENT(GST_MESSAGE_SRC(message)),
                                  static_cast<GstContext*>(given));
        }
        return GST_BUS_PASS;
      },
      context.get(), nullptr);
  BOOST_REQUIRE(pipeline.set_state(GST_STATE_READY));
  BOOST_TEST(scripted_opens() == before);
  BOOST_TEST((engine_of(pipeline, "a") == engine));
}

BOOST_AUTO_TEST_CASE(a_context_without_an_engine_is_none) {
  const ContextHandle empty(gst_context_new(captiond::gst::kEngineContextType, TRUE));
  BOOST_TEST(!captiond::gst::engine_in(empty.get()).has_value());
  const ContextHandle foreign(gst_context_new("gst.gl.GLDisplay", TRUE));
  BOOST_TEST(!captiond::gst::engine_in(foreign.get()).has_value());
  BOOST_TEST(!captiond::gst::engine_in(nullptr).has_value());
}

BOOST_AUTO_TEST_CASE(a_sink_that_fails_is_one_error_of_the_captioner) {
  const ScriptedModel model("good morning");
  Pipeline pipeline(std::string(kSpeech) + "gemmacaptioner name=c partial-interval=0" +
                    model.property() + "! identity error-after=1 ! fakesink");
  BOOST_REQUIRE(pipeline.set_state(GST_STATE_PLAYING));
  const MessageHandle first(
      gst_bus_timed_pop_filtered(pipeline.bus(), 20 * GST_SECOND, GST_MESSAGE_ERROR));
  BOOST_REQUIRE(first != nullptr);  // identity's own
  const MessageHandle second(
      gst_bus_timed_pop_filtered(pipeline.bus(), 20 * GST_SECOND, GST_MESSAGE_ERROR));
  BOOST_REQUIRE(second != nullptr);
  BOOST_TEST(GST_OBJECT_NAME(GST_MESSAGE_SRC(second.get())) == std::string("c"));
}

BOOST_AUTO_TEST_CASE(whole_pipelines_can_be_played_again_and_again) {
  const ScriptedModel model("good morning");
  const std::string line =
      "audiotestsrc num-buffers=50 samplesperbuffer=640 ! "
      "audio/x-raw,rate=16000,channels=1 ! audioconvert ! audiopatcher ! "
      "gemmacaptioner" +
      model.property() + "! webvttenc ! fakesink";
  captiond::test::play_repeatedly(line.c_str(), 20);
}
