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
// A plain GstElement with two pads, because none of the base classes leaves the order of things to
// the element: GstBaseTransform knows one output for an input and nothing of what waits at a GAP or
// at EOS, GstAudioEncoder cuts 640 samples well but moves metas to whatever frame comes next and
// sends GAP events ahead of the samples before them.
G_BEGIN_DECLS
G_DECLARE_FINAL_TYPE(CaptiondAudioPatcher, captiond_audio_patcher, CAPTIOND, AUDIO_PATCHER,
                     GstElement)
GST_ELEMENT_REGISTER_DECLARE(audiopatcher)
G_END_DECLS
