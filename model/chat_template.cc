#include "model/chat_template.h"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/chat_markers.h"
#include "model/tool_syntax.h"
#include "model/utf8.h"
#include "model/white_space.h"

namespace captiond {
namespace {

// As Python's str.strip(): white space and the four separators of ASCII.
std::string trimmed(std::string_view text) {
  const std::string whole = replace_invalid_utf8(text);
  std::size_t begin = 0;
  std::size_t end = whole.size();
  const auto separator = [&](std::size_t i) { return whole[i] >= 0x1C && whole[i] <= 0x1F; };
  for (std::size_t before = whole.size(); begin != before;) {
    before = begin;
    begin = white_space_after(whole, begin);
    if (begin < end && separator(begin)) ++begin;
  }
  for (std::size_t before = 0; end != before && end > begin;) {
    before = end;
    end = white_space_before(whole, end);
    if (end > begin && separator(end - 1)) --end;
  }
  return begin < end ? whole.substr(begin, end - begin) : std::string();
}

// Without what stands from a channel's begin marker to its end marker, trimmed.
std::string without_thoughts(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find(chat_markers::kChannelEnd);
    const std::string_view part = text.substr(0, end);
    out += part.substr(0, part.find(chat_markers::kChannelBegin));
    if (end == std::string_view::npos) return trimmed(out);
    text.remove_prefix(end + chat_markers::kChannelEnd.size());
  }
}

class ChatTemplate {
 public:
  ChatPieces write(const Chat& chat) {
    out_.marker(chat_markers::kBos);
    const std::vector<ChatMessage>& messages = chat.messages;
    const std::size_t first = write_system_turn(chat);
    last_user_ = SIZE_MAX;
    for (std::size_t i = first; i < messages.size(); ++i) {
      if (std::holds_alternative<UserMessage>(messages[i])) last_user_ = i;
    }
    for (std::size_t i = first; i < messages.size(); ++i) write_message(chat, i);
    if (chat.generation_prompt) write_generation_prompt(chat.thinking);
    return std::move(out_);
  }

  ChatPieces write_follow_up(const Content& content, bool thinking) {
    end_turn();
    write_turn("user", content);
    write_generation_prompt(thinking);
    return std::move(out_);
  }

 private:
  // How the last message ended.
  enum class Last { kTurnEnd, kToolResponse, kOpenToolCall };

  void begin_turn(std::string_view role) {
    out_.marker(chat_markers::kTurnBegin).text(role).text("\n");
  }

  void end_turn() { out_.marker(chat_markers::kTurnEnd).text("\n"); }

  // The index of the first message after it.
  std::size_t write_system_turn(const Chat& chat) {
    const auto* system =
        chat.messages.empty() ? nullptr : std::get_if<SystemMessage>(&chat.messages.front());
    if (system == nullptr && !chat.thinking && chat.tools.empty()) return 0;
    begin_turn("system");
    if (chat.thinking) out_.marker(chat_markers::kThink).text("\n");
    if (system != nullptr) write_system_content(system->content);
    for (const ToolDeclaration& tool : chat.tools) write_tool_declaration(tool, out_);
    end_turn();
    return system == nullptr ? 0 : 1;
  }

  void write_system_content(const Content& content) {
    if (const auto* text = std::get_if<std::string>(&content)) {
      out_.text(trimmed(*text));
      return;
    }
    for (const ContentPart& part : std::get<std::vector<ContentPart>>(content)) {
      const auto* text = std::get_if<TextPart>(&part);
      if (text == nullptr) {
        throw std::invalid_argument("a system message must be text, found a medium in it.");
      }
      out_.text(trimmed(text->text)).text(" ");
    }
  }

  // Whether anything but white space was written.
  template <typename Trim>
  bool write_content(const Content& content, const Trim& trim) {
    if (const auto* text = std::get_if<std::string>(&content)) return write_text(trim(*text));
    bool any = false;
    for (const ContentPart& part : std::get<std::vector<ContentPart>>(content)) {
      if (const auto* text = std::get_if<TextPart>(&part)) {
        any = write_text(trim(text->text)) || any;
      } else {
        out_.media(std::get<MediaPart>(part));
        any = true;
      }
    }
    return any;
  }

  bool write_text(const std::string& text) {
    out_.text(text);
    return !text.empty();
  }

  void write_turn(std::string_view role, const Content& content) {
    begin_turn(role);
    write_content(content, trimmed);
    end_turn();
    last_ = Last::kTurnEnd;
    model_turn_ = false;
  }

  void write_message(const Chat& chat, std::size_t i) {
    const ChatMessage& message = chat.messages[i];
    if (const auto* user = std::get_if<UserMessage>(&message)) {
      write_turn("user", user->content);
    } else if (const auto* system = std::get_if<SystemMessage>(&message)) {
      write_turn("system", system->content);
    } else if (std::holds_alternative<ModelMessage>(message)) {
      write_model_message(chat, i);
    } else {
      // Written with the call that it answers.
      check_answers_call(chat, i);
    }
  }

  static void check_answers_call(const Chat& chat, std::size_t i) {
    std::size_t call = i;
    while (call > 0 && std::holds_alternative<ToolMessage>(chat.messages[call])) --call;
    const auto* model = std::get_if<ModelMessage>(&chat.messages[call]);
    if (model != nullptr && !model->calls.empty()) return;
    throw std::invalid_argument("message " + std::to_string(i) + ", the answer of tool " +
                                std::get<ToolMessage>(chat.messages[i]).name +
                                ", must follow a model message that calls tools, found none.");
  }

  void write_model_message(const Chat& chat, std::size_t i) {
    const auto& message = std::get<ModelMessage>(chat.messages[i]);
    // Model messages in a row, with or without tools' answers between them, are one turn.
    if (!model_turn_) begin_turn("model");
    model_turn_ = true;
    const bool after_last_user = last_user_ == SIZE_MAX || i > last_user_;
    const bool preserved = chat.preserve_thinking && !message.calls.empty();
    if (!message.reasoning.empty() && (after_last_user || preserved)) {
      out_.marker(chat_markers::kChannelBegin).text("thought\n").text(message.reasoning);
      out_.text("\n").marker(chat_markers::kChannelEnd);
    }
    for (const ToolCall& call : message.calls) write_tool_call(call, out_);
    std::size_t next = i + 1;
    for (; next < chat.messages.size(); ++next) {
      const auto* response = std::get_if<ToolMessage>(&chat.messages[next]);
      if (response == nullptr) break;
      if (!message.calls.empty()) write_tool_response(*response, out_);
    }
    const bool answered = next > i + 1;
    const bool has_content = write_content(message.content, without_thoughts);
    const bool last = next == chat.messages.size();
    const bool goes_on = !last && std::holds_alternative<ModelMessage>(chat.messages[next]);
    if (!message.calls.empty() && !answered) {
      out_.marker(chat_markers::kToolResponseBegin);
      last_ = Last::kOpenToolCall;
    } else if (last && answered && !has_content) {
      last_ = Last::kToolResponse;
    } else if (!goes_on) {
      end_turn();
      last_ = Last::kTurnEnd;
    }
  }

  void write_generation_prompt(bool thinking) {
    if (last_ == Last::kTurnEnd) {
      begin_turn("model");
      if (!thinking) {
        out_.marker(chat_markers::kChannelBegin).text("thought\n");
        out_.marker(chat_markers::kChannelEnd);
      }
    } else if (last_ == Last::kToolResponse && thinking) {
      out_.marker(chat_markers::kChannelBegin).text("thought\n");
    }
  }

  ChatPieces out_;
  std::size_t last_user_ = SIZE_MAX;  // index of the last user message; SIZE_MAX: none
  bool model_turn_ = false;           // the message before (tools' answers aside) is the model's
  Last last_ = Last::kTurnEnd;
};

}  // namespace

ChatPieces write_chat(const Chat& chat) { return ChatTemplate().write(chat); }

ChatPieces write_follow_up(const Content& content, bool thinking) {
  return ChatTemplate().write_follow_up(content, thinking);
}

}  // namespace captiond
