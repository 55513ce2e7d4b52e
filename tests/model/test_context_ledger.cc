#define BOOST_TEST_MODULE context_ledger

#include <boost/test/unit_test.hpp>

#include "model/context_ledger.h"

using namespace captiond;

BOOST_AUTO_TEST_CASE(a_generation_moves_what_was_appended_behind_it) {
  ContextLedger ledger;
  ledger.next_request();
  ledger.append(10);
  const auto before = ledger.next_request();
  ledger.append_picture(4, before);
  const auto generation = ledger.next_request();
  const auto behind = ledger.next_request();
  ledger.append_picture(6, behind);
  BOOST_TEST(ledger.length() == 20U);
  ledger.note_generated(generation, 5);
  BOOST_TEST(ledger.length() == 25U);
  BOOST_TEST(!ledger.picture_across(10));
  BOOST_TEST(ledger.picture_across(11)->first == 10U);
  BOOST_TEST(!ledger.picture_across(14));
  BOOST_TEST(!ledger.picture_across(19));
  BOOST_TEST(ledger.picture_across(20)->first == 19U);
  BOOST_TEST(ledger.picture_across(24)->end == 25U);
}

BOOST_AUTO_TEST_CASE(a_truncate_asked_behind_a_generation_has_the_last_word) {
  ContextLedger ledger;
  ledger.append(10);
  const auto generation = ledger.next_request();
  ledger.truncate(8, ledger.next_request());
  ledger.append(3);
  ledger.note_generated(generation, 100);
  BOOST_TEST(ledger.length() == 11U);
}

BOOST_AUTO_TEST_CASE(pictures_behind_a_truncate_are_forgotten) {
  ContextLedger ledger;
  ledger.append_picture(4, ledger.next_request());
  ledger.append_picture(4, ledger.next_request());
  ledger.truncate(4, ledger.next_request());
  BOOST_TEST(ledger.picture_across(2).has_value());
  BOOST_TEST(!ledger.picture_across(6));
}

BOOST_AUTO_TEST_CASE(how_far_back_a_truncate_reaches_depends_on_the_greatest_length) {
  constexpr std::size_t kWindow = 100;
  ContextLedger ledger;
  ledger.append(kWindow + kTruncatePositions);
  BOOST_TEST(ledger.truncate_limit(kWindow) == 0U);
  ledger.append(1);
  BOOST_TEST(ledger.truncate_limit(kWindow) == kWindow + 1);
  ledger.truncate(kWindow + 1, ledger.next_request());
  BOOST_TEST(ledger.truncate_limit(kWindow) == kWindow + 1, "shorter again, but it was that long");
  ledger.truncate(0, ledger.next_request());
  BOOST_TEST(ledger.truncate_limit(kWindow) == 0U);
}
