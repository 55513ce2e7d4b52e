#pragma once

struct CUevent_st;
struct CUstream_st;

namespace captiond {

// How long a stream was at work, summed over stretches. Engine thread only.
class CudaClock {
 public:
  // Throws std::runtime_error.
  CudaClock();
  ~CudaClock();
  CudaClock(const CudaClock&) = delete;
  CudaClock& operator=(const CudaClock&) = delete;

  // Around what is enqueued on `stream`.
  void begin(CUstream_st* stream);
  void end(CUstream_st* stream);
  // Waits until the stream has come to the end.
  void wait() const;
  // Adds the stretch between the two, once the stream has come to its end.
  void add();

  double seconds() const { return seconds_; }

 private:
  CUevent_st* begin_ = nullptr;
  CUevent_st* end_ = nullptr;
  double seconds_ = 0.0;
};

}  // namespace captiond
