#pragma once

namespace captiond {

// Of every program of captiond.
enum ExitCode : int {
  kStoppedAsAsked = 0,
  kFailedWhileRunning = 1,
  kCouldNotStart = 2,
};

}  // namespace captiond
