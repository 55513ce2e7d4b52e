#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <gst/video/video.h>

#include "model/image.h"

namespace captiond::gst {

// An RGB picture's pixels, mapped for the lifetime of the object, which keeps the buffer. Throws
// std::runtime_error if the buffer holds no such picture.
class MappedPicture {
 public:
  MappedPicture(const GstVideoInfo& info, GstBuffer* buffer) {
    if (!gst_video_frame_map(&frame_, &info, buffer, GST_MAP_READ)) {
      throw std::runtime_error(
          "a picture of " + std::to_string(GST_VIDEO_INFO_WIDTH(&info)) + "x" +
          std::to_string(GST_VIDEO_INFO_HEIGHT(&info)) + " pixels in a buffer of " +
          std::to_string(gst_buffer_get_size(buffer)) + " bytes cannot be mapped");
    }
  }
  ~MappedPicture() { gst_video_frame_unmap(&frame_); }
  MappedPicture(const MappedPicture&) = delete;
  MappedPicture& operator=(const MappedPicture&) = delete;

  ImageView view() const {
    return {.pixels = static_cast<const std::uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&frame_, 0)),
            .size = {static_cast<std::size_t>(GST_VIDEO_FRAME_WIDTH(&frame_)),
                     static_cast<std::size_t>(GST_VIDEO_FRAME_HEIGHT(&frame_))},
            .row_stride = static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&frame_, 0))};
  }

 private:
  GstVideoFrame frame_{};
};

}  // namespace captiond::gst
