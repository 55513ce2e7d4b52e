// Text of strangers (configuration values, file names, captions) for a terminal or a message.
#pragma once

#include <string>
#include <string_view>

namespace captiond {

// `text` on one line, its control characters (C0, DEL and C1) written as \xNN, so that it cannot
// steer a terminal.
std::string printable(std::string_view text);

// The same in quotation marks, cut after about 60 bytes with "…".
std::string in_quotes(std::string_view text);

}  // namespace captiond
