"""Tests of made sounds without words, and of the zip of recordings that evaluation travels with. Needs scipy
and soundfile."""

import argparse
import importlib.util
import pathlib
import tempfile
import unittest
import zipfile

import numpy

MISSING = [name for name in ("scipy", "soundfile") if importlib.util.find_spec(name) is None]
if MISSING:
    raise unittest.SkipTest(f"not installed: {', '.join(MISSING)}")
from tools.demo_model import music, quiet, recordings, sounds, store  # noqa: E402


class SoundsTest(unittest.TestCase):
    def test_every_kind_is_heard_and_the_same_for_a_seed(self):
        for kind in dict.fromkeys(sounds.KINDS):
            with self.subTest(kind.__name__):
                wave = kind(numpy.random.default_rng(3))
                self.assertEqual(wave.shape, (sounds.SIZE,))
                self.assertTrue(numpy.isfinite(wave).all())
                self.assertGreater(numpy.abs(wave).max(), 0.01)
                self.assertTrue((wave == kind(numpy.random.default_rng(3))).all())

    def test_one_has_a_level_below_full_scale(self):
        random = numpy.random.default_rng(4)
        for _ in range(6):
            one = sounds.make_one(random)
            self.assertEqual((one.dtype, len(one)), (numpy.dtype(numpy.int16), sounds.SIZE))
            self.assertLess(numpy.abs(one.astype(int)).max(), 32767)

    def test_a_vowel_has_its_resonance(self):
        buzz = sounds.glottal(numpy.full(store.RATE_HZ, 120.0))
        low, high = (numpy.abs(numpy.fft.rfft(sounds.vocal_tract(buzz, (centre, 2300, 3000)))) for centre in (300, 900))
        self.assertGreater(low[240:420].max() / low[840:1020].max(), 4 * high[240:420].max() / high[840:1020].max())

    def test_a_store_has_sounds_and_no_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            sounds.write_store(folder, 2, 1)
            index = store.Index([folder])
            self.assertEqual(index.sentence.tolist(), [-1, -1])
            self.assertEqual(index.length.tolist(), [sounds.SIZE] * 2)

    def test_the_evaluation_keeps_its_old_sounds(self):
        first = next(samples for _, samples in quiet.made_music(1, 5))
        self.assertTrue((first == music.make_one(numpy.random.default_rng(5))).all())
        self.assertEqual([len(quiet.sets(5, 0.001)[kind]) for kind in ("made music and typing", quiet.WIDER)], [20, 44])


class RecordingsTest(unittest.TestCase):
    def test_recordings_come_back_as_they_were(self):
        samples = numpy.random.default_rng(1).integers(-32768, 32768, 5000).astype(numpy.int16)
        sets = {"people: some": [("", "What is this?", samples), ("us1", "A cat.", samples[:100])],
                quiet.RECORDED[0]: [("", "", samples[::2])]}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "recordings.zip"
            recordings.write(sets, path)
            found = recordings.read(path)
            self.assertEqual(list(found), list(sets))
            for name, items in sets.items():
                for (voice, text, wave), (other_voice, other_text, other) in zip(items, found[name]):
                    self.assertEqual((voice, text), (other_voice, other_text))
                    self.assertTrue((wave == other).all())
            with self.assertRaisesRegex(ValueError, "tab"):
                recordings.write({"a": [("", "a\tb", samples)]}, path)

    def test_another_rate_is_refused(self):
        import io

        import soundfile
        packed = io.BytesIO()
        soundfile.write(packed, numpy.zeros(100, numpy.int16), 8000, format="FLAC")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "recordings.zip"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("0000.flac", packed.getvalue())
                archive.writestr("items.tsv", "0000.flac\ta\t\tA cat.\n")
            with self.assertRaisesRegex(ValueError, "8000 Hz"):
                recordings.read(path)

    def test_nothing_asked_for_is_nothing(self):
        asked = argparse.Namespace(unseen_voice=None, unseen_engine=None, people=None, sounds=None, espeak="/")
        self.assertEqual(recordings.gather(asked, ["A cat."], 1, 1), {})


if __name__ == "__main__":
    unittest.main()
