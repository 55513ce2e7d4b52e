#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>

// Global fixture of tests with the label gpu: without NVIDIA's driver the program exits 77, which
// ctest shows as "Skipped"; a failed Boost precondition would exit 0 and show as "Passed". With a
// driver whose device CUDA cannot use, the tests fail: that is no reason to skip.
struct NeedsGpu {
  NeedsGpu() {
    if (std::filesystem::exists("/dev/nvidiactl")) return;
    std::puts("skipped: no NVIDIA driver on this machine (/dev/nvidiactl)");
    std::fflush(stdout);
    std::_Exit(77);
  }
};
