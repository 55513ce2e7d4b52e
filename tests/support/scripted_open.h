#pragma once

#include <cstddef>

namespace captiond {

// Engine::open() of programs that link scripted_open.cc: a folder with a file `answer.txt` is a
// checkpoint whose engine always answers what stands in it; any other folder is opened as a real
// checkpoint, for the sentence in which that is refused, and refused if it is one.
//
// How often an engine was opened so far.
std::size_t scripted_opens();

}  // namespace captiond
