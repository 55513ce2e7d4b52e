#define BOOST_TEST_MODULE schema_compatibility
// The schemas as compiled against schemas/captiond_v1.binpb, the descriptor set of what has been
// published: names, numbers and types of fields and enum values never change or go. After adding a
// field: cmake --build BUILD --target update_schema_baseline, and commit the file.

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include "captiond/v1/config.pb.h"
#include "captiond/v1/event.pb.h"
#include "captiond/v1/key.pb.h"

using google::protobuf::DescriptorProto;
using google::protobuf::EnumDescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;

namespace {

// "Event.stream" → "1 optional string": everything that a reader of old data depends on.
using Entries = std::map<std::string, std::string>;

std::string text_of(const FieldDescriptorProto& field) {
  std::string text = std::to_string(field.number()) + " " +
                     FieldDescriptorProto::Label_Name(field.label()) + " " +
                     FieldDescriptorProto::Type_Name(field.type()) + " " + field.type_name();
  if (field.has_oneof_index()) text += field.proto3_optional() ? " presence" : " oneof";
  return text;
}

void collect(const EnumDescriptorProto& type, const std::string& path, Entries& entries) {
  for (const auto& value : type.value()) {
    entries[path + type.name() + "." + value.name()] = std::to_string(value.number());
  }
}

void collect(const DescriptorProto& type, const std::string& path, Entries& entries) {
  const std::string here = path + type.name() + ".";
  entries[here] = "message";
  for (const auto& field : type.field()) entries[here + field.name()] = text_of(field);
  for (const auto& nested : type.nested_type()) collect(nested, here, entries);
  for (const auto& nested : type.enum_type()) collect(nested, here, entries);
}

Entries entries_of(const FileDescriptorSet& set) {
  Entries entries;
  for (const FileDescriptorProto& file : set.file()) {
    const std::string path = file.package() + ".";
    for (const auto& type : file.message_type()) collect(type, path, entries);
    for (const auto& type : file.enum_type()) collect(type, path, entries);
    for (const auto& field : file.extension()) entries[path + field.name()] = text_of(field);
  }
  return entries;
}

FileDescriptorSet compiled() {
  FileDescriptorSet set;
  captiond::v1::Config::descriptor()->file()->CopyTo(set.add_file());
  captiond::v1::Event::descriptor()->file()->CopyTo(set.add_file());
  captiond::v1::Key::descriptor()->file()->CopyTo(set.add_file());
  return set;
}

FileDescriptorSet published() {
  std::ifstream file("schemas/captiond_v1.binpb", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  FileDescriptorSet set;
  BOOST_REQUIRE(!bytes.empty());
  BOOST_REQUIRE(set.ParseFromString(bytes));
  return set;
}

// One sentence for each entry of `before` that `after` has not as it was.
std::vector<std::string> breaks(const Entries& before, const Entries& after) {
  std::vector<std::string> sentences;
  for (const auto& [name, text] : before) {
    const auto found = after.find(name);
    if (found == after.end()) {
      sentences.push_back(name + " is gone");
    } else if (found->second != text) {
      sentences.push_back(name + " was '" + text + "' and is '" + found->second + "'");
    }
  }
  return sentences;
}

}  // namespace

BOOST_AUTO_TEST_CASE(everything_published_is_still_as_it_was) {
  const Entries before = entries_of(published());
  BOOST_TEST(before.size() > 100u);
  for (const std::string& sentence : breaks(before, entries_of(compiled()))) {
    BOOST_ERROR(sentence);
  }
}

BOOST_AUTO_TEST_CASE(what_is_new_has_been_added_to_the_published_set) {
  for (const std::string& sentence : breaks(entries_of(compiled()), entries_of(published()))) {
    BOOST_ERROR(sentence + " in schemas/captiond_v1.binpb; run the target update_schema_baseline");
  }
}

BOOST_AUTO_TEST_CASE(a_removed_a_renumbered_and_a_retyped_field_are_found) {
  const Entries before = entries_of(compiled());
  const auto changed = [&](auto change) {
    FileDescriptorSet set = compiled();
    DescriptorProto* event = set.mutable_file(1)->mutable_message_type(0);
    BOOST_REQUIRE(event->name() == "Event");
    change(*event);
    return breaks(before, entries_of(set)).size();
  };
  BOOST_TEST(changed([](DescriptorProto&) {}) == 0u);
  BOOST_TEST(changed([](DescriptorProto& e) { e.mutable_field()->RemoveLast(); }) == 1u);
  BOOST_TEST(changed([](DescriptorProto& e) { e.mutable_field(0)->set_number(99); }) == 1u);
  BOOST_TEST(changed([](DescriptorProto& e) {
               e.mutable_field(0)->set_type(FieldDescriptorProto::TYPE_BYTES);
             }) == 1u);
  BOOST_TEST(changed([](DescriptorProto& e) { e.mutable_field(0)->set_name("source"); }) == 1u);
  BOOST_TEST(changed([](DescriptorProto& e) { e.add_field()->set_name("added"); }) == 0u);
}
