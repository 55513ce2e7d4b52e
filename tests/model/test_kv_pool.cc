#define BOOST_TEST_MODULE kv_pool

#include <set>

#include <boost/test/unit_test.hpp>

#include "model/kv_pool.h"

using namespace captiond;

BOOST_AUTO_TEST_CASE(every_page_is_given_out_once) {
  KvPool pool(5);
  std::set<PageId> pages;
  for (int i = 0; i < 5; ++i) pages.insert(pool.acquire());
  BOOST_TEST(pages == std::set<PageId>({0, 1, 2, 3, 4}));
  BOOST_TEST(pool.free() == 0U);
  BOOST_TEST(pool.used() == 5U);
  BOOST_TEST(pool.total() == 5U);
}

BOOST_AUTO_TEST_CASE(a_page_is_free_when_its_last_reference_is_gone) {
  KvPool pool(2);
  const PageId page = pool.acquire();
  BOOST_TEST(!pool.shared(page));
  pool.add_reference(page);
  BOOST_TEST(pool.shared(page));
  pool.release(page);
  BOOST_TEST(!pool.shared(page));
  BOOST_TEST(pool.used() == 1U);
  pool.release(page);
  BOOST_TEST(pool.used() == 0U);
}

BOOST_AUTO_TEST_CASE(the_page_released_last_is_given_out_first) {
  KvPool pool(100);
  const PageId first = pool.acquire();
  const PageId second = pool.acquire();
  BOOST_TEST(second == first + 1, "a young pool gives out neighbours");
  pool.release(first);
  BOOST_TEST(pool.acquire() == first);
}
