#pragma once

#include <filesystem>
#include <string>

namespace captiond {

// `captiond check`: everything of a configuration that can be looked at without running it. Parses
// and checks the file, opens the checkpoint (its files, tensors and tokenizer; no weights are
// read), reads the secrets, and looks for files that streams name. Returns one line that says what
// was found; throws ConfigError, CheckpointError or StreamError, one sentence.
std::string check_config(const std::filesystem::path& file);

}  // namespace captiond
