#include "model/regular_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "model/checkpoint_error.h"

namespace captiond {
namespace {

[[noreturn]] void refuse_system(const std::filesystem::path& path, const char* what, int error) {
  throw CheckpointError(path.string() + ": expected a readable file, but " + what +
                        " failed: " + std::generic_category().message(error) + ".");
}

void require_regular(const std::filesystem::path& path, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return;
  const char* kind = "something else";
  if (S_ISDIR(status.st_mode)) kind = "a folder";
  if (S_ISFIFO(status.st_mode)) kind = "a FIFO";
  if (S_ISSOCK(status.st_mode)) kind = "a socket";
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) kind = "a device";
  throw CheckpointError(path.string() + ": expected a regular file, found " + kind + ".");
}

}  // namespace

MappedBytes::MappedBytes(MappedBytes&& other) noexcept
    : bytes_(std::exchange(other.bytes_, std::span<const std::byte>())) {}

MappedBytes& MappedBytes::operator=(MappedBytes&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedBytes::~MappedBytes() {
  // munmap takes a mutable pointer; nothing is written through it.
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

RegularFile::RegularFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status {};
  // The kind is asked for before opening, because opening alone can already act on a device, and
  // again afterwards, because the name may have changed hands; O_NONBLOCK keeps a FIFO that came in
  // between from blocking.
  if (::stat(path_.c_str(), &status) != 0) refuse_system(path_, "looking at it", errno);
  require_regular(path_, status);
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) refuse_system(path_, "opening it", errno);
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(descriptor_, -1));
    throw CheckpointError(path_.string() +
                          ": expected a regular file, found that it changed while being opened.");
  }
  size_ = static_cast<std::size_t>(status.st_size);
}

RegularFile::RegularFile(RegularFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

RegularFile::~RegularFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string RegularFile::read(std::size_t limit) const {
  // Read to the end instead of trusting size(): the file may be written to at this moment, and
  // files of /proc report a size of 0.
  std::string text;
  std::size_t used = 0;
  for (;;) {
    if (used > limit) {
      throw CheckpointError(path_.string() + ": expected at most " + std::to_string(limit) +
                            " bytes, found more.");
    }
    text.resize(used + (std::size_t{1} << 16));
    const ssize_t got =
        ::pread(descriptor_, text.data() + used, text.size() - used, static_cast<off_t>(used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_system(path_, "reading it", errno);
    used += static_cast<std::size_t>(got);
    if (got == 0) break;
  }
  text.resize(used);
  return text;
}

MappedBytes RegularFile::map() const {
  if (size_ == 0) return MappedBytes();
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (address == MAP_FAILED) refuse_system(path_, "mapping it into memory", errno);
  return MappedBytes({static_cast<const std::byte*>(address), size_});
}

}  // namespace captiond
