// The caps that the patchers produce and the captioner consumes, said once. The numbers are the
// model's: model/audio_patches.h and model/vision_patches.h. Macros, because GST_STATIC_CAPS and
// the concatenation of string literals want literals.
#pragma once

// What audiopatcher accepts: one sample is one float32 in [-1, 1].
#define CAPTIOND_AUDIO_SAMPLES_CAPS                                       \
  "audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, " \
  "layout=(string)interleaved"

// A buffer is one patch of 640 float32 (native endian) samples: 2560 bytes, 40 ms. PTS is the first
// sample's; DURATION is that of the sound, less than 40 ms where a patch was padded with zeros
// (before a DISCONT, a GAP or EOS). A GstAudioLevelMeta marks the patch in which speech starts
// (voice flag set) or ends (not set).
#define CAPTIOND_AUDIO_PATCHES_MEDIA_TYPE "application/x-audio-patches"
#define CAPTIOND_AUDIO_PATCHES_CAPS \
  CAPTIOND_AUDIO_PATCHES_MEDIA_TYPE ", samples=(int)640, rate=(int)16000"

// What visionpatcher and the captioner accept; the sides are ImageResizer::kSideMax at most.
#define CAPTIOND_PICTURE_CAPS                                                            \
  "video/x-raw, format=(string)RGB, width=(int)[1, 1048576], height=(int)[1, 1048576], " \
  "pixel-aspect-ratio=(fraction)1/1"

// A buffer is one picture: rows * columns patches in raster order, each 48 * 48 * 3 bytes in order
// row, column, channel (R, G, B). rows * columns is at most 1120.
#define CAPTIOND_VISION_PATCHES_MEDIA_TYPE "application/x-vision-patches"
#define CAPTIOND_VISION_PATCHES_CAPS \
  CAPTIOND_VISION_PATCHES_MEDIA_TYPE ", columns=(int)[1, 1120], rows=(int)[1, 1120]"
