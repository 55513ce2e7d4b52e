// The input is a tokenizer.json. It is refused with a CheckpointError or gives a tokenizer, which
// then encodes and decodes the input itself. Anything else, also another exception, is a bug.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_markers.h"
#include "model/check.h"
#include "model/checkpoint_error.h"
#include "model/text_stream.h"
#include "model/tokenizer.h"
#include "model/utf8.h"

namespace {

using captiond::check;
using captiond::TextStream;
using captiond::TokenId;
using captiond::Tokenizer;

void try_tokenizer(const std::shared_ptr<const Tokenizer>& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer->encode(text);
  for (const TokenId id : ids) check(tokenizer->contains(id), "an encoded id has no token");
  const std::string decoded = tokenizer->decode(ids);
  check(captiond::is_valid_utf8(decoded), "decoded text is not UTF-8");
  TextStream stream(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.put(id);
  streamed += stream.finish();
  check(streamed == decoded, "streamed text differs from decoded text");
  for (const TokenId id : tokenizer->encode_plain(text)) {
    const std::string_view token = tokenizer->token(id);
    for (const std::string_view marker : captiond::chat_markers::kAll) {
      check(token != marker, "plain text became a marker of the chat format");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::shared_ptr<const Tokenizer> tokenizer;
  try {
    tokenizer = Tokenizer::parse(input, "tokenizer.json");
  } catch (const captiond::CheckpointError&) {
    return 0;
  }
  try_tokenizer(tokenizer, input);
  try_tokenizer(tokenizer, "Hello, world <unk>\n\n<turn|>\xE2\x82\xAC\xE2\x82 \xF0\x9F\x98\x80");
  return 0;
}
