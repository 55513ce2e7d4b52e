"""The sample clip: only held-out voices and sentences, and a background that leaves the speech."""

import pathlib
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import sample_clip, store  # noqa: E402

RATE = store.RATE_HZ
SETTINGS = {"seed": 1, "hiss": 0.0004, "noise_from_s": 2, "noise_decibels": 20}


HELD = {"Hello there.": "Hallo."}


class Parts(unittest.TestCase):
    def test_pauses_and_sentences_keep_their_order(self):
        parts = sample_clip.parts_of([0.5, {"a": "Hello there."}, 2], {"a"}, HELD)
        self.assertEqual(parts, [0.5, ("a", "Hello there."), 2.0])

    def test_a_voice_or_a_sentence_of_training_is_refused(self):
        with self.assertRaisesRegex(ValueError, "voice b"):
            sample_clip.parts_of([{"b": "Hello there."}], {"a"}, HELD)
        with self.assertRaisesRegex(ValueError, "Hello you"):
            sample_clip.parts_of([{"a": "Hello you."}], {"a"}, HELD)

    def test_a_sentence_is_held_only_if_no_table_trains_on_it(self):
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            (work / "parallel.tsv").write_text("".join("\t".join(row) + "\n" for row in [
                ("One.", "Eins.", "Uno.", "template-x", "held"),
                ("Two.", "Zwei.", "Dos.", "template-x", "train"),
                ("Three.", "Drei.", "Tres.", "template-x", "held-template"),
                ("Four.", "Vier.", "Cuatro.", "template-x", "held"),
            ]), encoding="utf-8")
            (work / "sentences.tsv").write_text(
                "speech\ttrain\tfour\nparallel-template-x\theld\tOne.\n", encoding="utf-8")
            self.assertEqual(sample_clip.held_sentences(work), {"One.": "Eins.", "Three.": "Drei."})


class Background(unittest.TestCase):
    def test_noise_begins_where_it_should_and_is_as_far_below_the_speech_as_asked(self):
        time_s = numpy.arange(4 * RATE) / RATE
        speech = (0.2 * numpy.sin(2 * numpy.pi * 300 * time_s) * 32767).astype(numpy.int16)
        loud = sample_clip.with_background(speech, SETTINGS, 5).astype(float) / 32767
        self.assertEqual(len(loud), 5 * RATE)
        rest = loud[:4 * RATE] - speech / 32768.0
        quiet, noisy = rest[:2 * RATE], rest[int(3.1 * RATE):]
        self.assertLess(numpy.sqrt((quiet ** 2).mean()), 0.0006)
        below = 20 * numpy.log10(0.2 / numpy.sqrt(2) / numpy.sqrt((noisy ** 2).mean()))
        self.assertAlmostEqual(below, 20, delta=1)

    def test_pink_noise_falls_with_the_frequency(self):
        power = numpy.abs(numpy.fft.rfft(sample_clip.pink_noise(numpy.random.default_rng(1), 8 * RATE))) ** 2
        low, high = power[8 * 200:8 * 400].mean(), power[8 * 3200:8 * 6400].mean()
        self.assertTrue(8 < low / high < 32, low / high)      # 16 times the frequency, a sixteenth of the power


if __name__ == "__main__":
    unittest.main()
