#pragma once

#include <cstdint>

namespace captiond {

// An entry of the vocabulary; 0 <= id < vocab_size wherever one crosses an interface.
using TokenId = std::int32_t;

}  // namespace captiond
