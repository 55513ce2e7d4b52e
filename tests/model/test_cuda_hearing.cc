// What the demo checkpoint hears on a GPU beside what it hears on the CPU.
#define BOOST_TEST_MODULE cuda_hearing

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/chat_prompt.h"
#include "model/engine.h"
#include "model/wav_file.h"
#include "tests/support/needs_gpu.h"

using namespace captiond;

namespace {

const std::string kModel = "assets/demo-model";  // in the root, where tests run
const std::string kSample = CAPTIOND_SAMPLE_WAV;

// The fixture sample_wav makes no file where GStreamer is missing, and a machine that was brought
// the sources alone has no weights: then the program exits 77, which ctest shows as "Skipped". A
// failed Boost precondition would exit 0 and show as "Passed".
struct NeedsFiles {
  NeedsFiles() {
    for (const std::string& file : {kSample, kModel + "/model.safetensors"}) {
      if (std::filesystem::exists(file)) continue;
      std::printf("skipped: there is no %s\n", file.c_str());
      std::fflush(stdout);
      std::_Exit(77);
    }
  }
};

std::vector<TokenId> heard_on(Device device, Dtype dtype, const std::vector<float>& samples) {
  const auto engine = Engine::open({.model = kModel, .device = device, .dtype = dtype});
  const Chat chat{
      .messages = {UserMessage{
          .content = std::vector<ContentPart>{TextPart{transcription_prompt("English")},
                                              MediaPart{.kind = MediaKind::kAudio, .frames = {}}}}},
      .tools = {}};
  const auto context = engine->new_context();
  for (const PromptSegment& segment : tokenize_chat(engine->tokenizer(), engine->config(), chat)) {
    context->append(segment.ids);
    if (segment.media) context->append(AudioPatches{.samples = samples});
  }
  GenerateOptions options;
  options.max_tokens = 64;
  return context->generate(options).get().tokens;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(NeedsGpu);
BOOST_TEST_GLOBAL_FIXTURE(NeedsFiles);

BOOST_AUTO_TEST_CASE(the_demo_checkpoint_hears_what_it_hears_on_the_cpu) {
  std::vector<float> samples = read_wav(kSample);
  BOOST_TEST_REQUIRE(samples.size() > 16000U * 8);
  samples.resize(AudioPatches::kSamplesPerPatch * 200);  // 8 s
  const std::vector<TokenId> heard = heard_on(Device::kCuda, Dtype::kBfloat16, samples);
  BOOST_TEST(heard.size() > 10U);
  BOOST_TEST(heard == heard_on(Device::kCpu, Dtype::kBfloat16, samples),
             boost::test_tools::per_element());
  BOOST_TEST(heard == heard_on(Device::kCpu, Dtype::kFloat32, samples),
             boost::test_tools::per_element());
}
