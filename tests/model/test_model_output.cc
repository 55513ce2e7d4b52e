#define BOOST_TEST_MODULE model_output
#include <boost/test/unit_test.hpp>

#include "model/chat_prompt.h"
#include "model/model_output.h"
#include "tests/model/small_tokenizer.h"

namespace {

using captiond::ModelOutput;
using captiond::OutputStart;
using captiond::ToolCall;
using captiond::ToolValue;

// `text` as the model would write it: markers are tokens.
ModelOutput parsed(const std::string& text, OutputStart start = OutputStart::kAnswer) {
  const auto tokenizer = captiond::test::small_tokenizer();
  return parse_model_output(*tokenizer, tokenizer->encode(text), start);
}

ModelOutput parsed_call(const std::string& text) {
  return parsed("<|tool_call>" + text + "<tool_call|>");
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_answer_without_markers_is_all_text) {
  const ModelOutput output = parsed(" Hello,\nit is 21 °C. \n");
  BOOST_TEST(output.text == " Hello,\nit is 21 °C. \n");
  BOOST_TEST(output.reasoning == "");
  BOOST_TEST(output.calls.empty());
  BOOST_TEST(output.complete);
  BOOST_TEST(parsed("").text == "");
  BOOST_TEST(parsed("").complete);
}

BOOST_AUTO_TEST_CASE(a_thought_is_kept_apart_from_the_answer) {
  const ModelOutput output = parsed("<|channel>thought\nhm,\nyes\n<channel|>Hello<turn|>");
  BOOST_TEST(output.reasoning == "hm,\nyes");
  BOOST_TEST(output.text == "Hello");
  BOOST_TEST(output.complete);
}

BOOST_AUTO_TEST_CASE(an_empty_thought_is_none) {
  const ModelOutput output = parsed("<|channel>thought\n<channel|>Hello");
  BOOST_TEST(output.reasoning == "");
  BOOST_TEST(output.text == "Hello");
}

BOOST_AUTO_TEST_CASE(thoughts_between_calls_are_joined_in_order) {
  const ModelOutput output = parsed(
      "<|channel>thought\na\n<channel|><|tool_call>call:f{}<tool_call|><|channel>thought\nb\n"
      "<channel|>c");
  BOOST_TEST(output.reasoning == "a\nb");
  BOOST_TEST(output.calls.size() == 1u);
  BOOST_TEST(output.text == "c");
}

BOOST_AUTO_TEST_CASE(output_may_begin_inside_of_a_thought) {
  const ModelOutput output = parsed("thought\nit is\n<channel|>Hello", OutputStart::kThought);
  BOOST_TEST(output.reasoning == "thought\nit is");
  BOOST_TEST(output.text == "Hello");
}

BOOST_AUTO_TEST_CASE(a_thought_that_is_cut_off_is_no_text) {
  const ModelOutput output = parsed("Hello<|channel>thought\nand");
  BOOST_TEST(output.text == "Hello");
  BOOST_TEST(output.reasoning == "and");
  BOOST_TEST(!output.complete);
}

BOOST_AUTO_TEST_CASE(nothing_after_the_end_of_the_turn_is_read) {
  for (const char* end : {"<turn|>", "<eos>", "<|tool_response>"}) {
    BOOST_TEST(parsed(std::string("Hello") + end + "user<|channel>thought\nx").text == "Hello");
    BOOST_TEST(parsed(std::string("Hello") + end + "user<|channel>thought\nx").complete);
  }
}

BOOST_AUTO_TEST_CASE(a_marker_that_closes_nothing_is_left_out) {
  BOOST_TEST(parsed("a<channel|>b<tool_call|>c").text == "abc");
}

BOOST_AUTO_TEST_CASE(markers_of_ordinary_tokens_are_text) {
  const auto tokenizer = captiond::test::small_tokenizer();
  const std::string text = "a<|channel>b<turn|>c<|tool_call>call:f{}<tool_call|>";
  const ModelOutput output = parse_model_output(*tokenizer, tokenizer->encode_plain(text));
  BOOST_TEST(output.text == text);
  BOOST_TEST(output.calls.empty());
}

BOOST_AUTO_TEST_CASE(what_is_rendered_as_a_call_is_read_as_the_same_call) {
  const ToolCall call{
      "get_weather",
      {{"a", {}},
       {"b", {true}},
       {"c", {std::int64_t{-3}}},
       {"d", {0.25}},
       {"e", {std::string("Oslo, {[\n \"x\"]}: 😀")}},
       {"f", {ToolValue::List{}}},
       {"g", {ToolValue::List{{std::string()}, {ToolValue::Mapping{{"k", {1e100}}}}}}},
       {"h", {ToolValue::Mapping{}}}}};
  captiond::Chat chat;
  chat.messages = {captiond::ModelMessage{{}, {}, {call, call}}};
  const std::string text = render_chat(chat);
  const ModelOutput output = parsed(text.substr(text.find("<|tool_call>")));
  BOOST_TEST_REQUIRE(output.calls.size() == 2u);
  for (const ToolCall& read : output.calls) {
    BOOST_TEST(read.name == call.name);
    BOOST_TEST((read.arguments == call.arguments));
  }
  BOOST_TEST(output.malformed_calls.empty());
  BOOST_TEST(output.text == "");
}

BOOST_AUTO_TEST_CASE(space_and_quoted_keys_are_accepted_in_a_call) {
  const ModelOutput output =
      parsed_call("call: f { <|\"|>a b<|\"|> : 1 , c : [ true , null ] } \n");
  BOOST_TEST_REQUIRE(output.calls.size() == 1u);
  BOOST_TEST(output.calls[0].name == "f");
  BOOST_TEST(
      (output.calls[0].arguments ==
       ToolValue::Mapping{{"a b", {std::int64_t{1}}}, {"c", {ToolValue::List{{true}, {}}}}}));
}

BOOST_AUTO_TEST_CASE(what_is_no_call_is_kept_as_it_stands) {
  for (const char* text : {"",
                           "f",
                           "call:",
                           "call:{}",
                           "call:f",
                           "call:f{",
                           "call:f}",
                           "call:f{a}",
                           "call:f{a:}",
                           "call:f{a:1",
                           "call:f{a:1,}",
                           "call:f{,}",
                           "call:f{a:b}",
                           "call:f{a:1}x",
                           "call:f{a:[1}",
                           "call:f{a:1]}",
                           "call:f{a:<|\"|>x}",
                           "call:f{a:<|\"|>x<|\"|>y}",
                           "call:f{a:1,a:2}",
                           "call:f{a:1e999}",
                           "call:f{a:nan}",
                           "call:f{a:0x1}",
                           "call:f{:1}",
                           "call:f{a:{b}}",
                           "<|\"|>call:f{}<|\"|>",
                           "call:f{}call:g{}",
                           "call:f{a:1 2}"}) {
    const ModelOutput output = parsed_call(text);
    BOOST_TEST_INFO(text);
    BOOST_TEST(output.calls.empty());
    BOOST_TEST_REQUIRE(output.malformed_calls.size() == 1u);
    BOOST_TEST(output.malformed_calls[0] == text);
    BOOST_TEST(output.complete);
  }
}

BOOST_AUTO_TEST_CASE(a_call_that_is_cut_off_is_no_call) {
  const ModelOutput output = parsed("a<|tool_call>call:f{}");
  BOOST_TEST(output.calls.empty());
  BOOST_TEST_REQUIRE(output.malformed_calls.size() == 1u);
  BOOST_TEST(output.malformed_calls[0] == "call:f{}");
  BOOST_TEST(!output.complete);
}

BOOST_AUTO_TEST_CASE(a_call_that_nests_without_end_is_no_call) {
  std::string deep = "call:f{a:";
  for (int i = 0; i < 100000; ++i) deep += "[";
  BOOST_TEST(parsed_call(deep).malformed_calls.size() == 1u);
  std::string fits = "call:f{a:" + std::string(60, '[') + std::string(60, ']') + "}";
  BOOST_TEST(parsed_call(fits).calls.size() == 1u);
}
