"""Tests of what counts as invented and what as misheard where a recording is cut."""

import math
import pathlib
import tempfile
import unittest

from tools.demo_model import sentences, truncation, word_times

TEXT = "The red bus stops here."
SPANS = [(0, 1000), (1000, 3000), (3500, 6000), (6000, 9000), (9500, 12000)]


class TruncationTest(unittest.TestCase):
    def judged(self, cut, answer, spans=SPANS):
        return truncation.judged(TEXT, spans, cut, answer)

    def test_what_was_said_is_known_from_the_times(self):
        self.assertEqual(truncation.said_until(TEXT, SPANS, 6100), (["the", "red", "bus"], ["stops"]))
        self.assertEqual(truncation.said_until(TEXT, SPANS, 3300), (["the", "red"], []))
        self.assertEqual(truncation.said_until(TEXT, SPANS, 5800), (["the", "red", "bus"], []))    # 20 ms short
        self.assertEqual(truncation.said_until(TEXT, SPANS, math.inf)[0], ["the", "red", "bus", "stops", "here"])

    def test_a_number_of_two_words_is_said_at_one_time(self):
        self.assertEqual(truncation.said_until("At 45 it ends.", [(0, 10), (10, 9000), (9000, 9500), (9500, 9900)], 5000),
                         (["at"], ["forty", "five"]))

    def test_the_right_words_are_neither(self):
        for answer in ("The red bus", "The red bus stops", "The red", ""):
            self.assertEqual(self.judged(6500, answer)[:2], (0, 0), answer)

    def test_a_rightly_guessed_end_is_invented(self):
        self.assertEqual(self.judged(6500, "The red bus stops here."), (1, 0, 5))
        self.assertEqual(self.judged(3300, "The red bus stops here."), (3, 0, 5))
        self.assertEqual(truncation.unexplained(TEXT, "The red bus stops here.")[0], 0)

    def test_another_word_for_one_that_was_said_is_misheard(self):
        self.assertEqual(self.judged(6100, "The bread bus"), (0, 1, 3))
        self.assertEqual(self.judged(6100, "The red boss stops"), (0, 1, 4))

    def test_the_word_that_is_cut_may_become_one_that_begins_like_it(self):
        self.assertEqual(self.judged(6500, "The red bus stop"), (0, 1, 4))
        self.assertEqual(self.judged(6500, "The red bus is"), (1, 0, 4))
        self.assertEqual(self.judged(6500, "The red bus is late"), (2, 0, 5))

    def test_inserted_words_are_invented(self):
        self.assertEqual(self.judged(6100, "The big red bus"), (1, 0, 4))
        self.assertEqual(self.judged(6100, "And so the red bus"), (2, 0, 5))
        self.assertEqual(self.judged(900, "Thank you very much"), (3, 1, 4))

    def test_more_matches_win_so_that_nothing_is_hidden_as_misheard(self):
        self.assertEqual(truncation.invented_and_misheard(["a", "b"], [], ["b", "c"]), (1, 0))

    def test_without_times_the_shortest_beginning_that_explains_most_is_taken(self):
        self.assertEqual(self.judged(6500, "The red bus", []), (0, 0, 3))
        self.assertEqual(self.judged(6500, "The red bus is", []), (1, 0, 4))
        self.assertEqual(self.judged(6500, "The bread bus stops", []), (0, 1, 4))

    def test_words_of_a_text_are_those_of_its_words(self):
        for text in ("It costs $45.50, or 3,000 euros.", "He's 7% better - isn't he?", "At 10:30 a.m., Mr. Brown's dog"):
            self.assertEqual(" ".join(sentences.normalise(word) for word in text.split() if sentences.normalise(word)),
                             sentences.normalise(text))


class WordTimesTest(unittest.TestCase):
    def test_a_table_is_read_beside_its_set(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "english.zip"
            self.assertEqual(word_times.read(path), [])
            word_times.path_of(path).write_text("000.opus\t5:10 10:20\n001.opus\t\n", encoding="utf-8")
            self.assertEqual(word_times.read(path), [[(5, 10), (10, 20)], []])


if __name__ == "__main__":
    unittest.main()
