#include "model/cuda_upload.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <cuda_runtime_api.h>

#include "model/bfloat16.h"
#include "model/cuda_memory.h"
#include "model/kernels/cuda_error.h"

namespace captiond {
namespace {

// One copy of the CPU keeps up with a fraction of PCIe's rate, hence the threads. Two buffers a
// thread: one is filled while the other travels. Making pinned memory takes time in which nothing
// travels, so that many threads or large buffers cost more than they bring: 16 threads with 8 MB
// reached 37 GB/s, 16 with 2 MB 45, 12 with 2 MB 46, 16 with 1 MB 41 (bench_load, H200).
constexpr std::size_t kThreadsMax = 12;
// Pinned buffers cost more to make than a small checkpoint to copy: a thread for each of these.
constexpr std::size_t kThreadBytes = std::size_t{64} << 20;
constexpr std::size_t kBufferBytes = std::size_t{2} << 20;
constexpr std::size_t kElementBytes = 2;  // at the GPU

struct Chunk {
  const UploadPart* part = nullptr;
  std::size_t first = 0;
  std::size_t elements = 0;
};

std::vector<Chunk> chunks_of(std::span<const UploadPart> parts) {
  constexpr std::size_t kElements = kBufferBytes / kElementBytes;
  std::vector<Chunk> chunks;
  for (const UploadPart& part : parts) {
    for (std::size_t first = 0; first < part.elements; first += kElements) {
      chunks.push_back(
          {.part = &part, .first = first, .elements = std::min(kElements, part.elements - first)});
    }
  }
  return chunks;
}

void fill(const Chunk& chunk, std::byte* buffer) {
  const UploadPart& part = *chunk.part;
  const std::byte* from = part.from + chunk.first * bytes_per_element(part.dtype);
  if (part.dtype == Dtype::kBfloat16) {
    std::memcpy(buffer, from, chunk.elements * kElementBytes);
    return;
  }
  for (std::size_t i = 0; i < chunk.elements; ++i) {
    float value = 0.0F;  // the file aligns nothing
    std::memcpy(&value, from + i * sizeof(value), sizeof(value));
    const std::uint16_t rounded = bfloat16_of(value);
    std::memcpy(buffer + i * kElementBytes, &rounded, kElementBytes);
  }
}

// One thread's buffers and the stream that empties them.
class Lane {
 public:
  Lane() {
    kernels::check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                        "Making a stream");
    for (Buffer& buffer : buffers_) {
      buffer.memory = PinnedMemory(kBufferBytes, "the upload of the weights");
      kernels::check_cuda(cudaEventCreateWithFlags(&buffer.empty, cudaEventDisableTiming),
                          "Making an event");
    }
  }
  ~Lane() {
    cudaStreamSynchronize(stream_);
    for (Buffer& buffer : buffers_) cudaEventDestroy(buffer.empty);
    cudaStreamDestroy(stream_);
  }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void send(const Chunk& chunk) {
    Buffer& buffer = buffers_[next_];
    next_ = (next_ + 1) % buffers_.size();
    kernels::check_cuda(cudaEventSynchronize(buffer.empty), "The upload of the weights");
    fill(chunk, buffer.memory.data());
    kernels::check_cuda(
        cudaMemcpyAsync(chunk.part->to + chunk.first * kElementBytes, buffer.memory.data(),
                        chunk.elements * kElementBytes, cudaMemcpyHostToDevice, stream_),
        "The upload of the weights");
    kernels::check_cuda(cudaEventRecord(buffer.empty, stream_), "The upload of the weights");
  }

  void finish() {
    kernels::check_cuda(cudaStreamSynchronize(stream_), "The upload of the weights");
  }

 private:
  struct Buffer {
    PinnedMemory memory;
    cudaEvent_t empty = nullptr;
  };

  cudaStream_t stream_ = nullptr;
  std::array<Buffer, 2> buffers_;
  std::size_t next_ = 0;
};

}  // namespace

void upload(std::span<const UploadPart> parts) {
  const std::vector<Chunk> chunks = chunks_of(parts);
  int device = 0;
  kernels::check_cuda(cudaGetDevice(&device), "Choosing a GPU");
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;  // guarded by mutex
  const auto work = [&] {
    try {
      kernels::check_cuda(cudaSetDevice(device), "Choosing a GPU");
      Lane lane;
      for (std::size_t i = next++; i < chunks.size(); i = next++) lane.send(chunks[i]);
      lane.finish();
    } catch (const std::exception&) {
      next = chunks.size();
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  std::size_t bytes = 0;
  for (const UploadPart& part : parts) bytes += part.elements * kElementBytes;
  const std::size_t count = std::min({kThreadsMax, cores, 1 + bytes / kThreadBytes});
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace captiond
