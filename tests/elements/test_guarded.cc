#define BOOST_TEST_MODULE guarded
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include "elements/gst_handle.h"
#include "elements/guarded.h"

namespace gst = captiond::gst;

namespace {

struct GstInit {
  GstInit() { gst_init(nullptr, nullptr); }
};

struct Fixture {
  gst::ElementHandle element{GST_ELEMENT(gst_object_ref_sink(gst_bin_new("listener")))};
  gst::BusHandle bus{gst_bus_new()};

  Fixture() { gst_element_set_bus(element.get(), bus.get()); }
  ~Fixture() { gst_element_set_bus(element.get(), nullptr); }

  // The text of the next message, which must be an ERROR of domain STREAM.
  std::string pop_error() {
    const gst::MessageHandle message(gst_bus_pop(bus.get()));
    BOOST_REQUIRE(message != nullptr);
    BOOST_REQUIRE_EQUAL(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_ERROR);
    GError* parsed = nullptr;
    gst_message_parse_error(message.get(), &parsed, nullptr);
    const gst::ErrorHandle error(parsed);
    BOOST_TEST(error->domain == GST_STREAM_ERROR);
    BOOST_TEST(error->code == GST_STREAM_ERROR_FAILED);
    return error->message;
  }
  bool bus_is_empty() { return gst::MessageHandle(gst_bus_pop(bus.get())) == nullptr; }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(GstInit);

BOOST_FIXTURE_TEST_CASE(an_exception_becomes_exactly_one_error_message_on_the_bus, Fixture) {
  const auto flow = gst::guarded(element.get(), GST_FLOW_ERROR, []() -> GstFlowReturn {
    throw std::runtime_error("weights have 3 layers, config says 4");
  });
  BOOST_TEST(flow == GST_FLOW_ERROR);
  BOOST_TEST(pop_error() == "weights have 3 layers, config says 4");
  BOOST_TEST(bus_is_empty());
}

BOOST_FIXTURE_TEST_CASE(whatever_else_is_thrown_is_reported_too, Fixture) {
  const gboolean handled = gst::guarded(element.get(), FALSE, []() -> gboolean { throw 42; });
  BOOST_TEST(handled == FALSE);
  BOOST_TEST(pop_error() == "an exception of unknown type was thrown");
  BOOST_TEST(bus_is_empty());
}

BOOST_FIXTURE_TEST_CASE(a_percent_sign_in_the_sentence_is_text_and_not_a_format, Fixture) {
  gst::guarded(element.get(), FALSE, []() -> gboolean { throw std::runtime_error("100%s of %n"); });
  BOOST_TEST(pop_error() == "100%s of %n");
}

BOOST_FIXTURE_TEST_CASE(a_result_passes_through_and_nothing_is_posted, Fixture) {
  BOOST_TEST(gst::guarded(element.get(), GST_FLOW_ERROR, [] { return GST_FLOW_FLUSHING; }) ==
             GST_FLOW_FLUSHING);
  BOOST_TEST(bus_is_empty());
}
