// Leaves one GstBuffer alive. The test test_leaks_tracer runs it to see that the leaks tracer,
// which the *_leaks tests rely on, is there and reports it.
#include <gst/gst.h>

int main(int argc, char** argv) {
  gst_init(&argc, &argv);
  [[maybe_unused]] static GstBuffer* const leaked = gst_buffer_new();
  gst_deinit();
  return 0;
}
