#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace captiond::test {

// A radio station: an HTTP server on a port of its own that answers every request with a WAV file
// without end, sends two seconds of tone, and then nothing more until drop() ends the connection.
class ToneServer {
 public:
  ToneServer();
  ~ToneServer();
  ToneServer(const ToneServer&) = delete;
  ToneServer& operator=(const ToneServer&) = delete;

  std::string uri() const;

  // Ends the connection that is open now, or the next one if there is none.
  void drop();

 private:
  void serve();

  int listener_ = -1;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  int drops_ = 0;         // guarded by mutex_: asked for and not yet done
  bool closing_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace captiond::test
