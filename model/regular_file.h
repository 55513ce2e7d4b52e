#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace captiond {

// The bytes of a file, mapped read-only and shared with the page cache. Move-only; unmapped at the
// end. A file that somebody shortens while it is mapped ends the process (SIGBUS), as with any
// mapping: replace a checkpoint by renaming, never in place.
class MappedBytes {
 public:
  MappedBytes() = default;
  MappedBytes(MappedBytes&& other) noexcept;
  MappedBytes& operator=(MappedBytes&& other) noexcept;
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;
  ~MappedBytes();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  friend class RegularFile;
  explicit MappedBytes(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

// A regular file, open for reading. Whatever else a path can name (folder, FIFO, device, socket) is
// refused at once, without waiting for it. Move-only. All members throw CheckpointError.
class RegularFile {
 public:
  explicit RegularFile(std::filesystem::path path);
  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&&) = delete;
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;
  ~RegularFile();

  const std::filesystem::path& path() const { return path_; }
  std::size_t size() const { return size_; }

  // The whole content; a file of more than `limit` bytes is refused.
  std::string read(std::size_t limit) const;

  // Empty for an empty file. Outlives this object.
  MappedBytes map() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::size_t size_ = 0;
};

}  // namespace captiond
