#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include <gst/gst.h>

namespace captiond::gst {

// Gives back one reference, whatever GStreamer or GLib calls that for the type.
struct Unref {
  void operator()(GstBuffer* p) const noexcept { gst_buffer_unref(p); }
  void operator()(GstCaps* p) const noexcept { gst_caps_unref(p); }
  void operator()(GstContext* p) const noexcept { gst_context_unref(p); }
  void operator()(GstEvent* p) const noexcept { gst_event_unref(p); }
  void operator()(GstMessage* p) const noexcept { gst_message_unref(p); }
  void operator()(GstQuery* p) const noexcept { gst_query_unref(p); }
  void operator()(GstSample* p) const noexcept { gst_sample_unref(p); }
  void operator()(GstStructure* p) const noexcept { gst_structure_free(p); }
  void operator()(GstBus* p) const noexcept { gst_object_unref(p); }
  void operator()(GstElement* p) const noexcept { gst_object_unref(p); }
  void operator()(GstPad* p) const noexcept { gst_object_unref(p); }
  void operator()(GError* p) const noexcept { g_error_free(p); }
  void operator()(gchar* p) const noexcept { g_free(p); }
};

// One owned reference ("transfer full"); a raw GstX* is always borrowed. To give the reference
// away, write handle.release() in the call that takes it.
using BufferHandle = std::unique_ptr<GstBuffer, Unref>;
using BusHandle = std::unique_ptr<GstBus, Unref>;
using CapsHandle = std::unique_ptr<GstCaps, Unref>;
using ContextHandle = std::unique_ptr<GstContext, Unref>;
using ElementHandle = std::unique_ptr<GstElement, Unref>;
using ErrorHandle = std::unique_ptr<GError, Unref>;
using EventHandle = std::unique_ptr<GstEvent, Unref>;
using MessageHandle = std::unique_ptr<GstMessage, Unref>;
using PadHandle = std::unique_ptr<GstPad, Unref>;
using QueryHandle = std::unique_ptr<GstQuery, Unref>;
using SampleHandle = std::unique_ptr<GstSample, Unref>;
using StringHandle = std::unique_ptr<gchar, Unref>;
using StructureHandle = std::unique_ptr<GstStructure, Unref>;

// A buffer's bytes, mapped for the lifetime of the object. `buffer` is borrowed and must outlive
// it. Throws std::runtime_error if the memory cannot be mapped.
class MappedBuffer {
 public:
  MappedBuffer(GstBuffer* buffer, GstMapFlags flags) : buffer_(buffer) {
    if (!gst_buffer_map(buffer_, &info_, flags)) {
      throw std::runtime_error("a buffer of " + std::to_string(gst_buffer_get_size(buffer_)) +
                               " bytes cannot be mapped");
    }
  }
  ~MappedBuffer() { gst_buffer_unmap(buffer_, &info_); }
  MappedBuffer(const MappedBuffer&) = delete;
  MappedBuffer& operator=(const MappedBuffer&) = delete;

  std::span<std::uint8_t> bytes() const noexcept { return {info_.data, info_.size}; }

  // The bytes as whole values of T. Throws std::runtime_error if they are not whole ones or do not
  // lie where a T may lie.
  template <class T>
  std::span<T> as() const {
    if (info_.size % sizeof(T) != 0 || reinterpret_cast<std::uintptr_t>(info_.data) % alignof(T)) {
      throw std::runtime_error("a buffer of " + std::to_string(info_.size) +
                               " bytes is no aligned array of values of " +
                               std::to_string(sizeof(T)) + " bytes");
    }
    return {reinterpret_cast<T*>(info_.data), info_.size / sizeof(T)};
  }

 private:
  GstBuffer* buffer_;
  GstMapInfo info_{};
};

}  // namespace captiond::gst
