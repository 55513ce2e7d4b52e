#pragma once

#include <gst/gst.h>

// audiopatcher: 16 kHz mono float32 audio of any buffer sizes in, the model's patches of 640
// samples out (caps in elements/patch_caps.h), one a buffer.
//
// Every timestamp is the first sample's, counted in samples, so it does not depend on the sizes of
// the input buffers. A DISCONT flag or a timestamp more than a patch away from the count pads and
// sends the incomplete patch and sets DISCONT on the next one. GAP events pass in order. EOS pads
// the last patch. A GstAudioLevelMeta (webrtcdsp attaches one where speech starts or ends) moves to
// the patch that holds the first sample of its buffer.
//
// A plain GstElement with two pads, because the base classes decide about the order of things, and
// here the order matters: GstBaseTransform knows nothing of samples that wait at a GAP, a new
// segment or EOS; GstAudioEncoder cuts 640 samples well, but sends a GAP event before the frame
// that begins ahead of it and leaves it open which frame a meta goes to.
G_BEGIN_DECLS
G_DECLARE_FINAL_TYPE(CaptiondAudioPatcher, captiond_audio_patcher, CAPTIOND, AUDIO_PATCHER,
                     GstElement)
GST_ELEMENT_REGISTER_DECLARE(audiopatcher)
G_END_DECLS
