#define BOOST_TEST_MODULE config_reference
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <yaml-cpp/yaml.h>

#include <boost/test/unit_test.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>

#include "captiond/v1/key.pb.h"
#include "pipeline/config.h"
#include "pipeline/config_file.h"
#include "pipeline/config_value.h"

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
namespace v1 = captiond::v1;

namespace {

constexpr const char* kReference = "configs/reference.yaml";

// "streams.captions.language" of every key that a Config has.
void collect_keys(const Descriptor& descriptor, const std::string& path,
                  std::set<std::string>& keys) {
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const std::string here = path + field.name();
    keys.insert(here);
    if (!captiond::is_value(field) && !captiond::is_value_list(field)) {
      collect_keys(*field.message_type(), here + ".", keys);
    }
  }
}

// The same of a YAML tree, with how often each stands there.
void count_keys(const YAML::Node& node, const std::string& path,
                std::map<std::string, int>& counts) {
  if (node.IsSequence()) {
    for (const auto& item : node) count_keys(item, path, counts);
  }
  if (!node.IsMap()) return;
  for (const auto& entry : node) {
    const std::string here = path + entry.first.Scalar();
    ++counts[here];
    count_keys(entry.second, here + ".", counts);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_reference_has_every_key_once) {
  std::set<std::string> expected;
  collect_keys(*v1::Config::descriptor(), "", expected);
  std::map<std::string, int> counts;
  count_keys(YAML::LoadFile(kReference), "", counts);
  for (const std::string& key : expected) BOOST_TEST(counts[key] == 1, key);
  BOOST_TEST(counts.size() == expected.size());
}

BOOST_AUTO_TEST_CASE(the_reference_equals_the_defaults) {
  const v1::Config reference = captiond::load_config(kReference);
  v1::Config defaults;
  v1::StreamConfig& stream = *defaults.add_streams();
  stream.set_id(reference.streams(0).id());
  stream.set_uri(reference.streams(0).uri());
  captiond::set_defaults(defaults);
  std::string difference;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  BOOST_TEST(differencer.Compare(defaults, reference), difference);
}

// A key is explained by the comment right above it, or is one of a few that a comment above the
// group explains.
BOOST_AUTO_TEST_CASE(every_key_of_the_reference_is_explained) {
  std::ifstream file(kReference);
  std::string line, before;
  int keys = 0;
  while (std::getline(file, line)) {
    const auto text = line.find_first_not_of(" -");
    const bool key = text != std::string::npos && line[text] != '#';
    const auto colon = line.find(':');
    const bool group = key && colon + 1 == line.size();
    const auto comment = before.find_first_not_of(' ');
    const bool explained = comment != std::string::npos && before[comment] == '#';
    if (key && !group) {
      BOOST_TEST(explained, line);
      ++keys;
    }
    before = line;
  }
  BOOST_TEST(keys > 20);
}

BOOST_AUTO_TEST_CASE(every_default_is_a_value_in_range) {
  v1::Config config;
  v1::StreamConfig& stream = *config.add_streams();
  stream.set_id("a");
  stream.set_uri("rtsp://host/path");
  captiond::set_defaults(config);
  const auto problem = captiond::find_problem(config);
  BOOST_TEST(!problem.has_value(), (problem ? problem->sentence : ""));
}
