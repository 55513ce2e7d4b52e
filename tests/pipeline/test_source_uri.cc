#define BOOST_TEST_MODULE source_uri
#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "pipeline/config_error.h"
#include "pipeline/source_uri.h"
#include "tests/support/temporary_folder.h"

using captiond::ConfigError;
using captiond::SourceUri;

namespace {

struct Shown {
  std::string uri;
  std::string shown;
};
std::ostream& operator<<(std::ostream& out, const Shown& shown) { return out << shown.uri; }

const std::vector<Shown> kShown = {
    {"file:///a/b%20c.wav", "file:///a/b%20c.wav"},
    {"rtsp://host/path", "rtsp://host/path"},
    {"rtsp://bob:hunter2@host:554/path?x=1", "rtsp://***@host:554/path?x=1"},
    {"rtsp://token@host/", "rtsp://***@host/"},
    {"rtsp://bob:p@ss@host/a@b", "rtsp://***@host/a@b"},
    {"http://host/path/user@example", "http://host/path/user@example"},
    {"srt://h:1?mode=caller&passphrase=hunter2&latency=5",
     "srt://h:1?mode=caller&passphrase=***&latency=5"},
    {"https://h/a?API_KEY=x&b=c#d", "https://h/a?API_KEY=***&b=c#d"},
    {"srt://h:1?passphrase=hunter2&pbkeylen=16", "srt://h:1?passphrase=***&pbkeylen=16"},
    {"https://h/a?token=hunter2#d", "https://h/a?token=***#d"},
    {"rtsp://${env:CAPTIOND_TEST_SECRET}@host/", "rtsp://***@host/"},
    {"rtsp://h/${env:CAPTIOND_TEST_SECRET}/x", "rtsp://h/${env:CAPTIOND_TEST_SECRET}/x"},
    {"srt://h:1?passphrase=${env:CAPTIOND_TEST_SECRET}", "srt://h:1?passphrase=***"},
    {"rtsp://a:b@h/${env:CAPTIOND_TEST_SECRET}", "rtsp://***@h/${env:CAPTIOND_TEST_SECRET}"},
};

struct SecretVariable {
  SecretVariable() { setenv("CAPTIOND_TEST_SECRET", "p/ss wörd", 1); }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(SecretVariable);

BOOST_DATA_TEST_CASE(what_is_secret_is_not_shown, kShown, example) {
  BOOST_TEST(SourceUri::resolve(example.uri).shown() == example.shown);
}

BOOST_AUTO_TEST_CASE(an_environment_variable_stands_percent_encoded_in_the_actual_uri) {
  const auto uri = SourceUri::resolve("rtsp://bob:${env:CAPTIOND_TEST_SECRET}@host/");
  BOOST_TEST(uri.actual() == "rtsp://bob:p%2Fss%20w%C3%B6rd@host/");
  BOOST_TEST(uri.shown() == "rtsp://***@host/");
  BOOST_TEST(uri.scheme() == "rtsp");
}

BOOST_AUTO_TEST_CASE(a_file_is_read_without_its_last_newline) {
  const captiond::test::TemporaryFolder folder;
  const auto path = folder.path() / "secret";
  std::ofstream(path) << "hunter2\n";
  const std::string placeholder = "${file:" + path.native() + "}";
  const auto uri = SourceUri::resolve("rtsp://" + placeholder + ":literal@host/");
  BOOST_TEST(uri.actual() == "rtsp://hunter2:literal@host/");
  // The slashes of the file's path do not end the part that holds the password.
  BOOST_TEST(uri.shown() == "rtsp://***@host/");
}

BOOST_AUTO_TEST_CASE(a_message_of_a_library_is_scrubbed) {
  const auto uri = SourceUri::resolve("rtsp://bob:${env:CAPTIOND_TEST_SECRET}@host/a?token=abc123");
  BOOST_TEST(uri.scrub("cannot open " + uri.actual() + "!") ==
             "cannot open rtsp://***@host/a?token=***!");
  BOOST_TEST(uri.scrub("401 for user bob with p/ss wörd") == "401 for user bob with ***");
  BOOST_TEST(uri.scrub("401 for p%2Fss%20w%C3%B6rd, abc123") == "401 for ***, ***");
  BOOST_TEST(uri.scrub("bad authority bob:p/ss wörd@host") == "bad authority ***@host");
}

BOOST_AUTO_TEST_CASE(a_secret_that_is_not_there_is_refused_without_saying_others) {
  const auto says = [](const std::string& expected) {
    return [expected](const ConfigError& error) { return error.what() == expected; };
  };
  BOOST_CHECK_EXCEPTION(SourceUri::resolve("rtsp://a:${env:CAPTIOND_TEST_ABSENT}@h"), ConfigError,
                        says("the environment variable CAPTIOND_TEST_ABSENT is not set"));
  const captiond::test::TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  BOOST_REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  for (const auto& path : {fifo, folder.path(), folder.path() / "absent"}) {
    BOOST_CHECK_EXCEPTION(
        SourceUri::resolve("rtsp://a:${file:" + path.native() + "}@h"), ConfigError,
        says("the file " + path.native() + " cannot be read as a secret of at most 4096 bytes"));
  }
  std::ofstream(folder.path() / "empty") << "\n";
  BOOST_CHECK_THROW(
      SourceUri::resolve("rtsp://${file:" + (folder.path() / "empty").native() + "}@h"),
      ConfigError);
}

BOOST_AUTO_TEST_CASE(placeholders_are_checked_without_reading_anything) {
  captiond::check_placeholders("rtsp://${env:ABSENT_1}:${file:/absent}@h");
  for (const std::string uri :
       {"rtsp://${env:}@h", "rtsp://${env:1A}@h", "rtsp://${env:A B}@h", "rtsp://${vault:a}@h",
        "rtsp://${file:}@h", "rtsp://${}@h", "rtsp://${env:A@h", "rtsp://h/\x01"}) {
    BOOST_CHECK_THROW(captiond::check_placeholders(uri), ConfigError);
  }
}

BOOST_AUTO_TEST_CASE(paths_and_file_uris_turn_into_each_other) {
  BOOST_TEST(captiond::file_uri("b ü%#?.wav", "/a/x/../c") ==
             "file:///a/c/b%20%C3%BC%25%23%3F.wav");
  BOOST_TEST(captiond::file_path("file:///a/c/b%20%C3%BC%25%23%3F.wav") == "/a/c/b ü%#?.wav");
  BOOST_TEST(captiond::file_path("file://localhost/a.wav") == "/a.wav");
  BOOST_TEST(captiond::file_path("file:/a%2") == "/a%2");
  BOOST_TEST(captiond::file_path("rtsp://host/a.wav") == "");
}

BOOST_AUTO_TEST_CASE(a_path_is_told_from_a_uri) {
  BOOST_TEST(captiond::is_uri("rtsp://h"));
  BOOST_TEST(captiond::is_uri("file:/a"));
  BOOST_TEST(!captiond::is_uri("a.wav"));
  BOOST_TEST(!captiond::is_uri("/a/b:c.wav"));
}
