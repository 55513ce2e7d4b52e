"""Stores that are read while they grow, and planners that are told of it."""

import importlib.util
import pathlib
import random
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import examples, store  # noqa: E402

SETTINGS = {"short_samples": 70400}


def recording(value, samples):
    return numpy.full(samples, value, numpy.int16)


def grow(writer, first, number):
    """Adds recordings whose samples and sentences say which they are."""
    for value in range(first, first + number):
        writer.add(recording(value, 100 + value), value, value % 3, "kokoro", [(1, 10), (20, 30 + value)])
    writer.flush()


class Growing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.first, self.second = (store.Writer(self.folder / name) for name in ("kokoro-0", "pico-0"))
        for writer in (self.first, self.second):
            self.addCleanup(writer.samples.close)

    def check(self, index):
        """Every recording has its own samples and word times."""
        at = 0
        for number in range(len(index)):
            value = int(index.sentence[number])
            self.assertEqual(int(index.start[number]), at)
            self.assertTrue(numpy.array_equal(index.read(number), recording(value, 100 + value)))
            self.assertEqual([one.tolist() for one in index.word_times(number)], [[1, 20], [10, 30 + value]])
            at += int(index.length[number])
        self.assertEqual(index.samples_total, at)

    def test_an_index_takes_what_its_stores_got_since(self):
        grow(self.first, 0, 3)
        grow(self.second, 10, 2)
        index = store.Index([self.folder / "kokoro-0", self.folder / "pico-0"])
        self.check(index)
        grow(self.first, 3, 4)
        index.append([(self.folder / "kokoro-0", None)])
        self.assertEqual(index.sentence.tolist(), [0, 1, 2, 10, 11, 3, 4, 5, 6])
        self.check(index)
        index.append([(self.folder / "kokoro-0", 7), (self.folder / "pico-0", 2)])
        self.assertEqual(len(index), 9)

    def test_only_so_many_rows_are_taken_and_two_readers_agree(self):
        grow(self.first, 0, 3)
        index = store.Index([self.folder / "kokoro-0"])
        grow(self.first, 3, 5)
        index.append([(self.folder / "kokoro-0", 5)])
        self.assertEqual(index.sentence.tolist(), [0, 1, 2, 3, 4])
        index.append([(self.folder / "kokoro-0", None)])
        self.check(index)

    def test_a_planner_takes_each_recording_once(self):
        grow(self.first, 0, 3)
        index = store.Index([self.folder / "kokoro-0"])
        planner = examples.Planner(index, ["Two words."] * 40, SETTINGS, {4: {"German": "Zwei."}})
        grow(self.first, 3, 3)
        planner.take()
        self.assertEqual(planner.spoken, [0, 1, 2])
        index.append([(self.folder / "kokoro-0", None)])
        planner.take()
        planner.take()
        self.assertEqual(planner.spoken, [0, 1, 2, 3, 4, 5])
        self.assertEqual(planner.short, planner.spoken)
        self.assertEqual(planner.translated, [4])
        self.assertEqual(planner.by_speaker, {0: [0, 3], 1: [1, 4], 2: [2, 5]})
        self.assertIsInstance(planner.short_example(random.Random(1)).text, str)

    @unittest.skipIf(importlib.util.find_spec("torch") is None, "not installed: torch")
    def test_what_arrives_lies_on_the_device_before_the_planner_hears_of_it(self):
        import torch

        from tools.demo_model import arrivals
        said = []
        grow(self.first, 0, 3)
        grow(self.second, 10, 1)
        held = store.Writer(self.folder / "held")
        self.addCleanup(held.samples.close)
        grow(held, 90, 1)
        ours, theirs = (store.Index(arrivals.folders(self.folder)) for _ in range(2))
        planner = examples.Planner(theirs, ["Two words."] * 40, SETTINGS)
        flat = torch.zeros(1200, dtype=torch.int16)
        arrivals.fill(flat, 0, ours.parts)
        news = arrivals.News(self.folder / "news.txt")
        watcher = arrivals.Arrivals(self.folder, ours, flat, news, said.append, every_s=1e6)
        self.assertEqual(watcher.look(), 0.0)
        grow(self.first, 3, 2)
        grow(self.second, 11, 2)
        self.assertGreater(watcher.look(), 0.0)
        self.assertEqual(len(planner.spoken), 4)
        news.apply(planner)
        news.apply(planner)
        self.assertEqual(theirs.sentence.tolist(), [0, 1, 2, 10, 3, 4, 11, 12])
        self.assertEqual(len(planner.spoken), 8)
        for number in range(8):
            start, size = int(theirs.start[number]), int(theirs.length[number])
            self.assertEqual(flat[start:start + size].tolist(), [int(theirs.sentence[number])] * size)
        grow(self.first, 5, 9)
        self.assertEqual(watcher.look(), 0.0)          # there is no room for them
        self.assertTrue(watcher.full)
        self.assertEqual(len(said), 1)


if __name__ == "__main__":
    unittest.main()
