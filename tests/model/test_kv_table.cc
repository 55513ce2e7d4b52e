#define BOOST_TEST_MODULE kv_table

#include <vector>

#include <boost/test/unit_test.hpp>

#include "model/kv_table.h"

using namespace captiond;

namespace {

constexpr std::size_t kRows = kPagePositions;

std::vector<PageId> pages(const KvTable& table) {
  return {table.pages().begin(), table.pages().end()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(reserve_takes_a_page_for_each_sixteen_positions) {
  KvPool pool(8);
  KvTable table(KvGroup::kFull, &pool);
  std::vector<PageCopy> copies;
  table.reserve(0, 1, copies);
  BOOST_TEST(table.pages().size() == 1U);
  table.reserve(1, kRows, copies);
  BOOST_TEST(table.pages().size() == 1U);
  table.reserve(kRows, kRows + 1, copies);
  BOOST_TEST(table.pages().size() == 2U);
  table.reserve(kRows + 1, 4 * kRows, copies);
  BOOST_TEST(table.pages().size() == 4U);
  BOOST_TEST(pool.used() == 4U);
  BOOST_TEST(copies.empty());
}

BOOST_AUTO_TEST_CASE(has_room_counts_new_pages_and_copies_of_shared_ones) {
  KvPool pool(4);
  KvTable table(KvGroup::kFull, &pool);
  std::vector<PageCopy> copies;
  BOOST_TEST(table.has_room(0, 4 * kRows));
  BOOST_TEST(!table.has_room(0, 4 * kRows + 1));
  table.reserve(0, 2 * kRows + 3, copies);
  KvTable fork(KvGroup::kFull, &pool);
  fork.share(table);
  BOOST_TEST(pool.used() == 3U);
  BOOST_TEST(fork.has_room(2 * kRows + 3, 3 * kRows));
  BOOST_TEST(!fork.has_room(2 * kRows + 3, 3 * kRows + 1), "a copy and a new page do not fit");
}

BOOST_AUTO_TEST_CASE(a_shared_page_is_copied_by_the_one_who_writes) {
  KvPool pool(8);
  KvTable table(KvGroup::kSliding, &pool);
  std::vector<PageCopy> copies;
  table.reserve(0, kRows + 5, copies);
  KvTable fork(KvGroup::kSliding, &pool);
  fork.share(table);
  const std::vector<PageId> before = pages(table);
  BOOST_TEST(pages(fork) == before);
  fork.reserve(kRows + 5, kRows + 6, copies);
  BOOST_TEST_REQUIRE(copies.size() == 1U);
  BOOST_TEST(copies[0].from == before[1]);
  BOOST_TEST(copies[0].to == fork.pages()[1]);
  BOOST_TEST((copies[0].group == KvGroup::kSliding));
  BOOST_TEST(pages(table) == before);
  BOOST_TEST(fork.pages()[0] == before[0], "what is not written stays shared");
  table.reserve(kRows + 5, kRows + 6, copies);
  BOOST_TEST(copies.size() == 1U, "the other one has the page to itself now");
}

BOOST_AUTO_TEST_CASE(truncate_gives_back_whole_pages_only) {
  KvPool pool(8);
  KvTable table(KvGroup::kFull, &pool);
  std::vector<PageCopy> copies;
  table.reserve(0, 5 * kRows, copies);
  table.truncate(2 * kRows + 1);
  BOOST_TEST(pool.used() == 3U);
  table.truncate(2 * kRows);
  BOOST_TEST(pool.used() == 2U);
  table.truncate(0);
  BOOST_TEST(pool.used() == 0U);
}

BOOST_AUTO_TEST_CASE(released_pages_leave_a_hole_that_survives_sharing_and_truncating) {
  KvPool pool(8);
  KvTable table(KvGroup::kSliding, &pool);
  std::vector<PageCopy> copies;
  table.reserve(0, 4 * kRows, copies);
  table.release_before(2 * kRows - 1);
  BOOST_TEST(table.pages()[0] == kNoPage);
  BOOST_TEST(table.pages()[1] != kNoPage, "one of its positions is still needed");
  table.release_before(2 * kRows);
  BOOST_TEST(table.pages()[1] == kNoPage);
  BOOST_TEST(pool.used() == 2U);
  {
    KvTable fork(KvGroup::kSliding, &pool);
    fork.share(table);
    fork.truncate(kRows);
    BOOST_TEST(fork.pages().size() == 1U);
    fork.truncate(0);
    fork.reserve(0, 3, copies);
    BOOST_TEST(pool.used() == 3U);
  }
  BOOST_TEST(pool.used() == 2U);
}

BOOST_AUTO_TEST_CASE(a_table_of_no_layers_stays_empty) {
  KvTable table(KvGroup::kSliding, nullptr);
  std::vector<PageCopy> copies;
  BOOST_TEST(table.has_room(0, 1000));
  table.reserve(0, 1000, copies);
  BOOST_TEST(table.pages().empty());
}
