"""The data code of tools/demo_model: splits, word errors, framing, examples. numpy and the standard
library are enough; `python3 -m unittest discover -s tests/demo_model -t .` runs it."""

import collections
import pathlib
import random
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import errors, examples, frames, sentences, store  # noqa: E402

RATE = store.RATE_HZ


class Sentences(unittest.TestCase):
    def test_normalised_form_ignores_case_marks_and_the_spelling_of_numbers(self):
        self.assertEqual(sentences.normalise("Let's meet at 10:30, OK?"), "let's meet at ten thirty ok")
        self.assertEqual(sentences.normalise("1,250 units, 25%"),
                         "one thousand two hundred fifty units twenty five percent")

    def test_number_words_become_digits_but_large_scales_stay(self):
        self.assertEqual(sentences.with_digits("twenty-one cats and three dogs"), "21 cats and 3 dogs")
        self.assertEqual(sentences.with_digits("two hundred cats"), "two hundred cats")
        self.assertEqual(sentences.with_digits("one of them"), "one of them")

    def test_cleaning_refuses_what_cannot_be_spoken(self):
        self.assertEqual(sentences.clean("the cat , it sat"), "The cat, it sat.")
        self.assertIsNone(sentences.clean("see http://x"))
        self.assertIsNone(sentences.clean("word"))

    def test_one_sentence_is_on_one_side_whatever_its_source_or_spelling(self):
        for number in range(500):
            text = f"Sentence number {number} is short."
            variants = (text, text.upper(), text.replace(".", "!"),
                        f"sentence number {sentences.number_in_words(number)} is short")
            self.assertEqual(len({sentences.split_of(variant, 0.3) for variant in variants}), 1)

    def test_the_held_share_is_about_what_was_asked_for(self):
        sides = collections.Counter(sentences.split_of(f"this is text {n}", 0.1) for n in range(4000))
        self.assertAlmostEqual(sides["held"] / 4000, 0.1, delta=0.02)


class Manifests(unittest.TestCase):
    """The built tables, if they are there: run after make-text and make-speech."""

    work = pathlib.Path(__file__).resolve().parents[2] / "build/demo_model/work"

    def rows(self):
        if not (self.work / "sentences.tsv").exists():
            self.skipTest("no sentences.tsv: make-text was not run here")
        with open(self.work / "sentences.tsv", encoding="utf-8") as lines:
            return [line.rstrip("\n").split("\t") for line in lines]

    def test_no_normalised_sentence_is_on_both_sides_of_the_built_table(self):
        sides = {"train": set(), "held": set()}
        for _, side, text in self.rows():
            sides[side].add(sentences.normalise(text))
        self.assertGreater(len(sides["held"]), 1000)
        self.assertFalse(sides["train"] & sides["held"])

    def test_the_shipped_set_and_sample_hold_no_training_sentence_and_no_training_voice(self):
        import zipfile
        root = self.work.parents[2]
        train = {sentences.normalise(text) for _, side, text in self.rows() if side == "train"}
        config = (root / "tools/demo_model/english.yaml").read_text()
        held = set(config.split("held_voices: [")[1].split("]")[0].split(", "))
        items = zipfile.ZipFile(root / "assets/evaluation/english.zip").read("items.tsv").decode()
        for line in items.splitlines():
            _, _, voice, text = line.split("\t")
            self.assertIn(voice, held)
            self.assertNotIn(sentences.normalise(text), train)
        for path in (root / "assets/samples").glob("*.txt"):
            for text in path.read_text().replace("?", ".").split("."):
                self.assertNotIn(sentences.normalise(text), train - {""})


class SplitByVoice(unittest.TestCase):
    def test_a_store_keeps_voices_and_sentences_apart(self):
        train_rows, held_rows = range(0, 40), range(40, 50)
        with tempfile.TemporaryDirectory() as folder:
            for name, rows, voices in (("kokoro-0", train_rows, (0, 1, -1)), ("held", held_rows, (2, 3))):
                writer = store.Writer(pathlib.Path(folder) / name)
                for row in rows:
                    writer.add(numpy.full(1000 + row, row, numpy.int16), row, voices[row % len(voices)], "kokoro")
                writer.close()
            train = store.Index([pathlib.Path(folder) / "kokoro-0"])
            held = store.Index([pathlib.Path(folder) / "held"])
            both = store.Index([pathlib.Path(folder) / "kokoro-0", pathlib.Path(folder) / "held"])
            self.assertFalse(set(train.sentence.tolist()) & set(held.sentence.tolist()))
            self.assertFalse(set(train.speaker.tolist()) & set(held.speaker.tolist()))
            for number in (0, 39, 40, 49):
                self.assertTrue((both.read(number) == number).all())
                self.assertEqual(len(both.read(number)), 1000 + number)


class WordErrors(unittest.TestCase):
    def test_substitutions_deletions_and_insertions_count_one_each(self):
        self.assertEqual(errors.count("a b c d", "a x c d"), (1, 4))
        self.assertEqual(errors.count("a b c d", "a c d"), (1, 4))
        self.assertEqual(errors.count("a b c d", "a b z c d"), (1, 4))
        self.assertEqual(errors.count("", "two words"), (2, 0))
        self.assertEqual(errors.count("It costs 5 dollars.", "it costs five dollars"), (0, 4))

    def test_the_rate_is_of_all_words_not_a_mean_of_utterances(self):
        self.assertAlmostEqual(errors.rate([(1, 1), (0, 9)]), 0.1)


class Frames(unittest.TestCase):
    def test_the_last_frame_is_filled_with_zeros(self):
        cut = frames.cut(numpy.full(641, 16384, numpy.int16))
        self.assertEqual(cut.shape, (2, 640))
        self.assertEqual(cut[1, 0], 0.5)
        self.assertFalse(cut[1, 1:].any())

    def test_frame_counts(self):
        self.assertEqual([frames.count(n) for n in (0, 1, 640, 641)], [0, 1, 1, 2])


class FakeIndex:
    """Three recordings of four words, one second each, without silence at the ends."""
    start = numpy.array([0, 4 * RATE, 8 * RATE])
    length = numpy.array([4 * RATE] * 3)
    sentence = numpy.array([0, 1, 2])
    speaker = numpy.array([0, 0, 1])

    def __len__(self):
        return 3

    def word_times(self, _number):
        return numpy.arange(4) * RATE, numpy.arange(4) * RATE + RATE * 9 // 10


TEXTS = ["One two three four.", "Five, six, seven, eight!", "Nine ten a.m. twelve?"]
SETTINGS = {"short_samples": 5 * RATE, "silence_share": 0.1, "silent_share": 1.0,
            "people_share": 0.0, "translated_share": 0.0, "cut_share": 0.5, "join_share": 0.5,
            "late_start_share": 0.2, "rate_share": 0.5, "rate_min": 0.9, "rate_max": 1.1,
            "seconds_max": 15.4, "segments_max": 4}


class Examples(unittest.TestCase):
    def test_a_cut_shows_the_words_spoken_so_far_and_no_mark_that_was_not_heard(self):
        words, ends = "Five, six, seven.".split(), [RATE, 2 * RATE, 3 * RATE]

        def until(seconds):
            return examples.words_until(words, ends, int(seconds * RATE), " ".join(words))
        self.assertEqual(until(0.9), "")
        self.assertEqual(until(1.1), "Five")
        self.assertEqual(until(1.5), "Five,")
        self.assertEqual(until(2.9), "Five, six,")
        self.assertEqual(until(3.05), "Five, six, seven")
        self.assertEqual(until(3.3), "Five, six, seven.")

    def test_abbreviations_keep_their_stop(self):
        self.assertEqual(examples.without_last_mark("at 9 a.m."), "at 9 a.m.")
        self.assertEqual(examples.without_last_mark("so far."), "so far")

    def test_segments_lie_inside_the_example_and_inside_their_recording(self):
        planner, chooser = examples.Planner(FakeIndex(), TEXTS, SETTINGS), random.Random(3)
        silent = 0
        for _ in range(3000):
            example = planner.make(chooser, False)
            self.assertLessEqual(example.length, int(15.4 * RATE) + 1)
            silent += not example.segments
            self.assertTrue(example.segments or not example.text)
            for segment in example.segments:
                self.assertLessEqual(segment.begin + segment.length, example.length)
                last = segment.source + segment.length * example.rate
                self.assertEqual(segment.source // (4 * RATE), max(segment.source, int(last - 2)) // (4 * RATE))
        self.assertAlmostEqual(silent / 3000, 0.1, delta=0.03)

    def test_every_offset_inside_a_frame_occurs(self):
        planner, chooser = examples.Planner(FakeIndex(), TEXTS, SETTINGS), random.Random(4)
        made = [planner.make(chooser, False) for _ in range(3000)]
        offsets = {one.segments[0].begin % frames.FRAME for one in made if one.segments}
        self.assertGreater(len(offsets), 600)

    def test_the_same_seed_gives_the_same_examples(self):
        def texts(seed):
            planner, chooser = examples.Planner(FakeIndex(), TEXTS, SETTINGS), random.Random(seed)
            return [planner.make(chooser, False).text for _ in range(50)]
        self.assertEqual(texts(5), texts(5))
        self.assertNotEqual(texts(5), texts(6))


if __name__ == "__main__":
    unittest.main()
