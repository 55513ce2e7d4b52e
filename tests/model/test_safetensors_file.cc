#define BOOST_TEST_MODULE safetensors_file
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/safetensors_file.h"
#include "tests/model/refusal.h"
#include "tests/model/safetensors_bytes.h"
#include "tests/support/temporary_folder.h"

using captiond::Dtype;
using captiond::parse_safetensors;
using captiond::RegularFile;
using captiond::SafetensorsEntry;
using captiond::SafetensorsFile;
using captiond::test::check_refusal;
using captiond::test::padded;
using captiond::test::safetensors_bytes;
using captiond::test::TemporaryFolder;

namespace {

std::vector<SafetensorsEntry> parsed(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "m.safetensors");
}

void check_refused(const std::string& bytes, const std::vector<std::string>& parts) {
  check_refusal([&] { parsed(bytes); }, "m.safetensors: ", parts);
}

// One tensor "t" of 8 bytes of data unless its description says otherwise.
void check_tensor_refused(const std::string& tensor, const std::vector<std::string>& parts) {
  BOOST_TEST_CONTEXT(tensor) {
    check_refused(safetensors_bytes(padded("{\"t\":" + tensor + "}"), "01234567"), parts);
  }
}

const std::string kTwoTensors =
    padded(R"({"__metadata__":{"format":"pt"},)"
           R"("late":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]},)"
           R"("early":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})");

}  // namespace

BOOST_AUTO_TEST_CASE(tensors_come_in_the_order_of_their_data_whatever_the_header_says) {
  const std::string bytes = safetensors_bytes(kTwoTensors, "aaaabbbbcccc");
  const std::vector<SafetensorsEntry> entries = parsed(bytes);
  BOOST_TEST(entries.size() == 2U);
  BOOST_TEST(entries[0].name == "early");
  BOOST_TEST((entries[0].dtype == Dtype::kFloat32));
  BOOST_TEST(entries[0].shape == std::vector<std::int64_t>{2}, boost::test_tools::per_element());
  BOOST_TEST(bytes.substr(entries[0].offset, entries[0].bytes) == "aaaabbbb");
  BOOST_TEST(entries[1].name == "late");
  BOOST_TEST((entries[1].dtype == Dtype::kBfloat16));
  BOOST_TEST(entries[1].shape == (std::vector<std::int64_t>{2, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(bytes.substr(entries[1].offset, entries[1].bytes) == "cccc");
}

BOOST_AUTO_TEST_CASE(scalars_empty_tensors_and_empty_files_are_well_formed) {
  BOOST_TEST(parsed(safetensors_bytes("{}", "")).empty());
  const auto entries =
      parsed(safetensors_bytes(padded(R"({"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                                      R"("a":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]}})"),
                               "1234"));
  BOOST_TEST(entries.size() == 2U);
  BOOST_TEST(entries[0].bytes == 0U);
  BOOST_TEST(entries[1].bytes == 4U);
}

BOOST_AUTO_TEST_CASE(a_file_is_mapped_without_a_copy) {
  const TemporaryFolder folder;
  const auto path = folder.write("m.safetensors", safetensors_bytes(kTwoTensors, "aaaabbbbcccc"));
  SafetensorsFile first(path);
  const SafetensorsFile file(std::move(first));
  BOOST_TEST(std::memcmp(file.data(file.entries()[1]), "cccc", 4) == 0);
  // A write through the file system shows in the mapping: it is the page cache itself.
  const int descriptor = ::open(path.c_str(), O_WRONLY);
  BOOST_TEST_REQUIRE(descriptor >= 0);
  BOOST_TEST(::pwrite(descriptor, "x", 1, static_cast<off_t>(file.entries()[1].offset)) == 1);
  ::close(descriptor);
  BOOST_TEST(std::memcmp(file.data(file.entries()[1]), "xccc", 4) == 0);
}

BOOST_AUTO_TEST_CASE(every_cut_of_a_file_is_refused) {
  const std::string bytes = safetensors_bytes(kTwoTensors, "aaaabbbbcccc");
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    BOOST_TEST_CONTEXT("cut to " << length << " bytes") {
      const std::string text =
          check_refusal([&] { parsed(bytes.substr(0, length)); }, "m.safetensors: ", {});
      BOOST_TEST(text.find("found") != std::string::npos);
    }
  }
  check_refused(bytes + "x", {"fill the 13 bytes", "found 12"});
}

BOOST_AUTO_TEST_CASE(header_lengths_beyond_the_file_or_the_bound_are_refused) {
  std::string bytes = safetensors_bytes(kTwoTensors, "aaaabbbbcccc");
  check_refused("", {"8 bytes of header length", "found 0 bytes"});
  check_refused("1234567", {"found 7 bytes"});
  for (const int high : {0x01, 0x7f, 0x80, 0xff}) {
    bytes[7] = static_cast<char>(high);
    check_refused(bytes, {"header length", "at most", "truncated"});
  }
  check_refused(std::string(8, '\xff'), {"at most 0 bytes", "18446744073709551615"});
  check_refused(std::string(8, '\0'), {"start with '{'"});
  check_refused(safetensors_bytes(std::string(100'000'001, ' '), ""),
                {"at most 100000000 bytes", "found 100000001"});
}

BOOST_AUTO_TEST_CASE(headers_that_are_no_header_are_refused) {
  const auto refused = [](const std::string& header, const std::vector<std::string>& parts) {
    BOOST_TEST_CONTEXT(header) { check_refused(safetensors_bytes(header, ""), parts); }
  };
  refused(" {}", {"start with '{'", "\" \""});
  refused("[]", {"start with '{'", "\"[\""});
  refused("\xef\xbb\xbf{}", {"start with '{'"});
  refused("{", {"expected JSON", "line 1, column 2"});
  refused("{}{}", {"expected JSON"});
  refused(std::string("{}\0", 3), {"expected JSON"});
  refused("{\"t\":[]}", {"t must be an object", "[]"});
  refused("{\"t\":null}", {"t must be an object", "null"});
  refused("{\"__metadata__\":3}", {"__metadata__ must be an object"});
  refused("{\"__metadata__\":{\"n\":3}}", {"__metadata__.n must be a string", "3"});
  refused(R"({"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
          R"("t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
          {"\"t\"", "twice"});
  refused(R"({"t":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
          {"\"dtype\"", "twice"});
}

BOOST_AUTO_TEST_CASE(dtypes_other_than_bf16_and_f32_are_refused) {
  for (const char* dtype : {"F16", "F64", "I8", "F8_E4M3", "BOOL", "bf16", "", "float32"}) {
    check_tensor_refused(
        std::string(R"({"dtype":")") + dtype + R"(","shape":[4],"data_offsets":[0,8]})",
        {"t.dtype", "\"BF16\" or \"F32\"", std::string("\"") + dtype + "\""});
  }
  check_tensor_refused(R"({"dtype":1,"shape":[4],"data_offsets":[0,8]})", {"t.dtype", "a string"});
  check_tensor_refused(R"({"shape":[4],"data_offsets":[0,8]})", {"t.dtype", "no such key"});
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_count_the_bytes_are_refused) {
  const auto refused = [](const std::string& shape, const std::vector<std::string>& parts) {
    check_tensor_refused(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8]})", parts);
  };
  refused("[3]", {"t.data_offsets", "12 bytes apart", "[0, 8]"});
  refused("[]", {"t.data_offsets", "4 bytes apart"});
  refused("[0]", {"t.data_offsets", "0 bytes apart"});
  refused("[-2]", {"t.shape", "-2"});
  refused("[-1,-2]", {"t.shape", "-1"});
  refused("[2.0]", {"t.shape", "2.0"});
  refused("[null]", {"t.shape", "null"});
  refused("2", {"t.shape", "an array"});
  refused("null", {"t.shape", "an array", "null"});
  refused("[18446744073709551615]", {"t.shape", "18446744073709551615"});
  refused("[9223372036854775808]", {"t.shape"});
  refused("[1e3]", {"t.shape"});
  // Products that would wrap around to 2 elements or to 0.
  refused("[4294967296,4294967296,2]", {"t.shape", "product"});
  refused("[4611686018427387906]", {"t.shape", "product"});
  refused("[9223372036854775807,2]", {"t.shape", "product"});
  refused("[2305843009213693952,8]", {"t.shape", "product"});
}

BOOST_AUTO_TEST_CASE(offsets_that_are_no_range_are_refused) {
  const auto refused = [](const std::string& offsets, const std::vector<std::string>& parts) {
    check_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}", parts);
  };
  refused("[8,0]", {"t.data_offsets", "not beyond", "[8, 0]"});
  refused("[0]", {"t.data_offsets", "two offsets"});
  refused("[0,8,8]", {"t.data_offsets", "two offsets"});
  refused("[]", {"t.data_offsets", "two offsets"});
  refused("[-8,0]", {"t.data_offsets", "-8"});
  refused("[0,9223372036854775808]", {"t.data_offsets"});
  refused("[0.0,8.0]", {"t.data_offsets", "0.0"});
  refused("\"0,8\"", {"t.data_offsets", "an array"});
  refused("[0,4]", {"t.data_offsets", "8 bytes apart"});
  refused("[8,16]", {"tensor \"t\"", "start at offset 0", "found 8", "hole"});
  refused("[9223372036854775799,9223372036854775807]", {"tensor \"t\"", "offset 0", "hole"});
  check_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})",
                       {"t.x", "absent"});
  check_tensor_refused(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})",
                       {"tensor \"t\"", "within the 8 bytes", "found its end at 12", "truncated"});
}

BOOST_AUTO_TEST_CASE(tensors_must_follow_each_other_without_overlap_or_hole) {
  const auto refused = [](const std::string& a, const std::string& b,
                          const std::vector<std::string>& parts) {
    const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
                               R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}";
    check_refused(safetensors_bytes(padded(header), "01234567"), parts);
  };
  refused("[0,4]", "[0,4]", {"tensor \"b\"", "offset 4", "found 0", "overlap"});
  refused("[0,4]", "[2,6]", {"tensor \"b\"", "offset 4", "found 2", "overlap"});
  refused("[0,4]", "[5,9]", {"tensor \"b\"", "offset 4", "found 5", "hole"});
  refused("[4,8]", "[8,12]", {"tensor \"a\"", "offset 0", "found 4", "hole"});
}

BOOST_AUTO_TEST_CASE(tensors_off_the_grid_of_their_elements_are_refused) {
  const std::string tensor = R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string header = padded(tensor);
  BOOST_TEST(parsed(safetensors_bytes(header, "1234")).size() == 1U);
  header += "  ";
  check_refused(safetensors_bytes(header, "1234"),
                {"tensor \"t\"", "multiple of 4", "safetensors"});
}

BOOST_AUTO_TEST_CASE(what_is_no_readable_regular_file_is_refused_at_once) {
  const TemporaryFolder folder;
  const auto refused = [](const std::filesystem::path& path, const std::string& what) {
    BOOST_TEST_CONTEXT(path) {
      check_refusal([&] { SafetensorsFile file(path); }, path.string() + ": ", {what});
      check_refusal([&] { RegularFile(path).read(100); }, path.string() + ": ", {what});
    }
  };
  refused(folder.path() / "missing", "No such file");
  refused(folder.path(), "a folder");
  refused("/dev/null", "a device");
  refused(folder.path() / std::string(300, 'x'), "File name too long");
  refused(folder.path() / "missing" / "below", "No such file");
  refused("", "No such file");
  const auto fifo = folder.path() / "fifo";
  BOOST_TEST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  refused(fifo, "a FIFO");
  const auto loop = folder.path() / "loop";
  std::filesystem::create_symlink("loop", loop);
  refused(loop, "Too many levels");
  const auto dangling = folder.path() / "dangling";
  std::filesystem::create_symlink("nowhere", dangling);
  refused(dangling, "No such file");
  const auto socket_path = folder.path() / "socket";
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  BOOST_TEST_REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                     0);
  refused(socket_path, "a socket");
  ::close(socket);
}

BOOST_AUTO_TEST_CASE(a_file_without_permission_is_refused) {
  const TemporaryFolder folder;
  const auto path = folder.write("secret", "{}");
  std::filesystem::permissions(folder.path(), std::filesystem::perms{0755});
  std::filesystem::permissions(path, std::filesystem::perms::none);
  // Root may read everything, so it becomes somebody else for a moment.
  const bool root = ::geteuid() == 0;
  if (root) BOOST_TEST_REQUIRE(::seteuid(65534) == 0);
  check_refusal([&] { RegularFile file(path); }, path.string() + ": ", {"Permission denied"});
  if (root) BOOST_TEST_REQUIRE(::seteuid(0) == 0);
}

BOOST_AUTO_TEST_CASE(reading_stops_at_the_limit) {
  const TemporaryFolder folder;
  const auto path = folder.write("text", std::string(100'000, 'x'));
  BOOST_TEST(RegularFile(path).read(100'000).size() == 100'000U);
  check_refusal([&] { RegularFile(path).read(99'999); }, path.string() + ": ",
                {"at most 99999 bytes"});
  // A file of /proc says that it is empty; its content counts.
  BOOST_TEST(!RegularFile("/proc/self/status").read(1 << 20).empty());
}
