// Loading of a checkpoint from the page cache beside what the machine allows: threads
// copying pinned buffers to the GPU and nothing else, and the same threads reading the files into
// those buffers and nothing else. What loads at the slower one's rate loads at the limit. All are
// measured in turns, several times; a first reading that is not counted brings the files into the
// page cache. Buffers and streams stand ready for the limits; the loader makes its own.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <cuda_runtime_api.h>

#include "model/checkpoint.h"
#include "model/checkpoint_tensors.h"
#include "model/cuda_memory.h"
#include "model/cuda_upload.h"
#include "model/engine.h"
#include "model/kernels/cuda_error.h"

namespace {

using captiond::kernels::check_cuda;

// Larger than the loader's, for the best rate: making them is not timed here.
constexpr std::size_t kBufferBytes = std::size_t{8} << 20;

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// A file of weights, open and mapped for the length of one pass, so that each pass pays for its
// own page faults as a start does.
class WeightFile {
 public:
  explicit WeightFile(const std::filesystem::path& path)
      : bytes_(std::filesystem::file_size(path)), file_(::open(path.c_str(), O_RDONLY)) {
    if (file_ < 0) throw std::runtime_error(path.string() + " cannot be opened.");
    void* mapped = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file_, 0);
    if (mapped == MAP_FAILED) {
      ::close(file_);
      throw std::runtime_error(path.string() + " cannot be mapped.");
    }
    data_ = static_cast<const std::byte*>(mapped);
  }
  ~WeightFile() {
    ::munmap(const_cast<std::byte*>(data_), bytes_);
    ::close(file_);
  }
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  std::size_t bytes() const { return bytes_; }
  // Through the mapping.
  void copy(std::size_t first, std::size_t count, std::byte* to) const {
    std::memcpy(to, data_ + first, count);
  }
  // Through the system call.
  void read(std::size_t first, std::size_t count, std::byte* to) const {
    while (count > 0) {
      const ssize_t got = ::pread(file_, to, count, static_cast<off_t>(first));
      if (got <= 0) throw std::runtime_error("A file of weights ends early or cannot be read.");
      first += static_cast<std::size_t>(got);
      to += got;
      count -= static_cast<std::size_t>(got);
    }
  }

 private:
  std::size_t bytes_;
  int file_;
  const std::byte* data_ = nullptr;
};

// What one thread of the loader has: two pinned buffers and a stream.
struct Lane {
  Lane() {
    for (auto& buffer : buffers)
      buffer = captiond::PinnedMemory(kBufferBytes, "the measurement of loading");
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "Making a stream");
  }
  ~Lane() { cudaStreamDestroy(stream); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  std::array<captiond::PinnedMemory, 2> buffers;
  cudaStream_t stream = nullptr;
};

class LoadBench {
 public:
  LoadBench(const std::filesystem::path& folder, std::size_t threads)
      : folder_(folder), lanes_(threads), device_(kDeviceBytes, "the measurement of loading") {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".safetensors") paths_.push_back(entry.path());
    }
    if (paths_.empty()) throw std::runtime_error(folder.string() + " has no file of weights.");
    for (const auto& path : paths_) bytes_ += std::filesystem::file_size(path);
  }

  std::size_t bytes() const { return bytes_; }

  // Seconds in which all threads together bring as many bytes as the files have to the GPU.
  double copy_to_device() {
    std::atomic<std::size_t> next = 0;
    const std::size_t chunks = (bytes_ + kBufferBytes - 1) / kBufferBytes;
    return in_threads([&](Lane& lane) {
      for (std::size_t i = next++; i < chunks; i = next++) {
        std::byte* to = device_.data() + i * kBufferBytes % kDeviceBytes;
        check_cuda(cudaMemcpyAsync(to, lane.buffers[i % 2].data(), kBufferBytes,
                                   cudaMemcpyHostToDevice, lane.stream),
                   "Copying to the GPU");
      }
      check_cuda(cudaStreamSynchronize(lane.stream), "Copying to the GPU");
    });
  }

  // Seconds in which all threads together bring the files into their buffers, by `way`.
  double read_files(void (WeightFile::*way)(std::size_t, std::size_t, std::byte*) const) {
    std::vector<std::unique_ptr<WeightFile>> files;
    std::vector<Chunk> chunks;
    return seconds_of([&] {
      for (const auto& path : paths_) {
        files.push_back(std::make_unique<WeightFile>(path));
        for (std::size_t first = 0; first < files.back()->bytes(); first += kBufferBytes) {
          const std::size_t count = std::min(kBufferBytes, files.back()->bytes() - first);
          chunks.push_back({files.back().get(), first, count});
        }
      }
      std::atomic<std::size_t> next = 0;
      in_threads([&](Lane& lane) {
        for (std::size_t i = next++; i < chunks.size(); i = next++)
          (chunks[i].file->*way)(chunks[i].first, chunks[i].count, lane.buffers[i % 2].data());
      });
    });
  }

  // Seconds in which the loader brings every tensor of the checkpoint to the GPU in bfloat16.
  double load() {
    const auto checkpoint = captiond::Checkpoint::open(folder_);
    std::vector<captiond::UploadPart> parts;
    std::size_t elements = 0;
    for (const auto& expected : captiond::expected_tensors(checkpoint->config())) {
      const captiond::TensorView& tensor = checkpoint->tensor(expected.name);
      parts.push_back({.from = tensor.data,
                       .dtype = tensor.dtype,
                       .elements = tensor.bytes / captiond::bytes_per_element(tensor.dtype)});
      elements += parts.back().elements;
    }
    const captiond::DeviceMemory memory(2 * elements, "the weights");
    std::size_t used = 0;
    for (captiond::UploadPart& part : parts) {
      part.to = memory.data() + used;
      used += 2 * part.elements;
    }
    return seconds_of([&] { captiond::upload(parts); });
  }

 private:
  struct Chunk {
    const WeightFile* file = nullptr;
    std::size_t first = 0;
    std::size_t count = 0;
  };
  static constexpr std::size_t kDeviceBytes = std::size_t{1} << 30;

  double in_threads(const std::function<void(Lane&)>& body) {
    std::vector<std::exception_ptr> failures(lanes_.size());
    const double seconds = seconds_of([&] {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < lanes_.size(); ++i) {
        threads.emplace_back([&, i] {
          try {
            body(lanes_[i]);
          } catch (...) {
            failures[i] = std::current_exception();
          }
        });
      }
    });
    for (const auto& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    return seconds;
  }

  std::filesystem::path folder_;
  std::vector<std::filesystem::path> paths_;
  std::size_t bytes_ = 0;
  std::vector<Lane> lanes_;
  captiond::DeviceMemory device_;
};

int run(int argc, char** argv) {
  CLI::App app("Measures how fast a checkpoint in the page cache comes to the GPU.");
  std::filesystem::path model;
  std::size_t threads = 16;
  int passes = 3;
  bool json = false;
  app.add_option("--model", model, "checkpoint folder")->required();
  app.add_option("--threads", threads, "of the limits; the loader takes up to 12")
      ->capture_default_str();
  app.add_option("--passes", passes, "of which the best counts")->capture_default_str();
  app.add_flag("--json", json, "print JSON to stdout as well");
  CLI11_PARSE(app, argc, argv);
  threads =
      std::max<std::size_t>(1, std::min<std::size_t>(threads, std::thread::hardware_concurrency()));

  nlohmann::json out;
  {
    LoadBench bench(model, threads);
    bench.read_files(&WeightFile::copy);
    const auto rate = [&](double seconds) {
      return static_cast<double>(bench.bytes()) / seconds / 1e9;
    };
    std::fprintf(stderr, "%zu threads, %.2f GB, GB/s\n%12s %12s %12s %12s %12s\n", threads,
                 static_cast<double>(bench.bytes()) / 1e9, "to the GPU", "read, mapped",
                 "read, called", "loaded", "of the limit");
    double to_device = 0, mapped = 0, called = 0, loaded = 0;
    const auto print = [&](double a, double b, double c, double d) {
      std::fprintf(stderr, "%12.1f %12.1f %12.1f %12.1f %12.3f\n", a, b, c, d,
                   d / std::min(a, std::max(b, c)));
    };
    for (int pass = 0; pass < passes; ++pass) {
      const double a = rate(bench.copy_to_device());
      const double b = rate(bench.read_files(&WeightFile::copy));
      const double c = rate(bench.read_files(&WeightFile::read));
      const double d = rate(bench.load());
      print(a, b, c, d);
      to_device = std::max(to_device, a);
      mapped = std::max(mapped, b);
      called = std::max(called, c);
      loaded = std::max(loaded, d);
    }
    std::fprintf(stderr, "the best of each:\n");
    print(to_device, mapped, called, loaded);
    out = {{"to_device_gb_s", to_device},
           {"read_mapped_gb_s", mapped},
           {"read_called_gb_s", called},
           {"loaded_gb_s", loaded},
           {"measured_over_limit", loaded / std::min(to_device, std::max(mapped, called))}};
  }
  captiond::EngineOptions options;
  options.model = model;
  options.device = captiond::Device::kCuda;
  options.dtype = captiond::Dtype::kBfloat16;
  options.report = [](const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
  };
  double open_s = 1e9;
  for (int pass = 0; pass < passes; ++pass)
    open_s = std::min(open_s, seconds_of([&] { captiond::Engine::open(options); }));
  std::fprintf(stderr, "an engine opened in %.2f s\n", open_s);
  out["open_s"] = open_s;
  if (json) std::printf("%s\n", out.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_load: %s\n", error.what());
    return 1;
  }
}
