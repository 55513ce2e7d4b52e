#define BOOST_TEST_MODULE registration
#include <memory>
#include <string>

#include <boost/test/unit_test.hpp>

#include "elements/gst_handle.h"
#include "elements/registration.h"

// What gst-inspect-1.0 shows of every element that register_elements() brings.

namespace {

struct GstInit {
  GstInit() { gst_init(nullptr, nullptr); }
  ~GstInit() { gst_deinit(); }
};

struct FeatureListFree {
  void operator()(GList* list) const noexcept { gst_plugin_feature_list_free(list); }
};
using FeatureList = std::unique_ptr<GList, FeatureListFree>;

// The element factories that registration without a plugin has added.
FeatureList our_factories() {
  BOOST_REQUIRE(captiond::gst::register_elements(nullptr));
  return FeatureList(gst_registry_feature_filter(
      gst_registry_get(),
      [](GstPluginFeature* feature, gpointer) -> gboolean {
        const std::string name = gst_plugin_feature_get_name(feature);
        return name == "audiopatcher" || name == "visionpatcher" || name == "gemmacaptioner";
      },
      FALSE, nullptr));
}

std::string metadata(GstElementFactory* factory, const char* key) {
  const gchar* text = gst_element_factory_get_metadata(factory, key);
  return text ? text : "";
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(GstInit);

BOOST_AUTO_TEST_CASE(every_element_is_described) {
  const FeatureList factories = our_factories();
  BOOST_TEST(g_list_length(factories.get()) == 3u);
  for (GList* node = factories.get(); node; node = node->next) {
    auto* factory = GST_ELEMENT_FACTORY(node->data);
    BOOST_TEST_CONTEXT(GST_OBJECT_NAME(factory)) {
      for (const char* key : {GST_ELEMENT_METADATA_LONGNAME, GST_ELEMENT_METADATA_KLASS,
                              GST_ELEMENT_METADATA_DESCRIPTION, GST_ELEMENT_METADATA_AUTHOR}) {
        BOOST_TEST(!metadata(factory, key).empty(), key);
      }
      BOOST_TEST(gst_element_factory_get_num_pad_templates(factory) >= 2u);
      BOOST_TEST(gst_plugin_feature_get_rank(GST_PLUGIN_FEATURE(factory)) == GST_RANK_NONE,
                 "no autoplugging puts it into someone's player");
    }
  }
}

BOOST_AUTO_TEST_CASE(every_property_says_what_it_is_for) {
  const FeatureList factories = our_factories();
  for (GList* node = factories.get(); node; node = node->next) {
    // Makes sure that the type is there.
    const captiond::gst::ElementHandle element(GST_ELEMENT(
        gst_object_ref_sink(gst_element_factory_create(GST_ELEMENT_FACTORY(node->data), nullptr))));
    guint count = 0;
    const std::unique_ptr<GParamSpec*, void (*)(gpointer)> properties(
        g_object_class_list_properties(G_OBJECT_GET_CLASS(element.get()), &count), g_free);
    for (guint i = 0; i < count; ++i) {
      GParamSpec* property = properties.get()[i];
      const std::string blurb =
          g_param_spec_get_blurb(property) ? g_param_spec_get_blurb(property) : "";
      BOOST_TEST(blurb.size() > 10u, GST_OBJECT_NAME(element.get()) << ": " << property->name);
    }
  }
}

BOOST_AUTO_TEST_CASE(registering_twice_is_harmless) {
  BOOST_TEST(captiond::gst::register_elements(nullptr));
  BOOST_TEST(captiond::gst::register_elements(nullptr));
}
