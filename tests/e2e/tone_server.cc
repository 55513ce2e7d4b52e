#include "tests/e2e/tone_server.h"

#include <arpa/inet.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/media_files.h"

namespace captiond::test {
namespace {

// Reads up to the empty line that ends a request.
void read_request(int connection) {
  std::string request;
  char c = 0;
  while (!request.ends_with("\r\n\r\n") && recv(connection, &c, 1, 0) == 1) request += c;
}

void send_all(int connection, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;
    sent += static_cast<std::size_t>(n);
  }
}

}  // namespace

ToneServer::ToneServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 8) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("no port can be listened on");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

ToneServer::~ToneServer() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  shutdown(listener_, SHUT_RDWR);  // ends accept()
  thread_.join();
  close(listener_);
}

std::string ToneServer::uri() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/tone.wav";
}

void ToneServer::drop() {
  {
    std::lock_guard lock(mutex_);
    ++drops_;
  }
  changed_.notify_all();
}

void ToneServer::serve() {
  // So long that no player waits for its end.
  const std::string endless = wav_header(0x7FFFFF00) + tone_wav(2).substr(44);
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    read_request(connection);
    send_all(connection, "HTTP/1.0 200 OK\r\nContent-Type: audio/x-wav\r\n\r\n" + endless);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return drops_ > 0 || closing_; });
    if (drops_ > 0) --drops_;
    close(connection);
    if (closing_) return;
  }
}

}  // namespace captiond::test
