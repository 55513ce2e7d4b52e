"""Tests of the choice of voices, of which process speaks how long, and of the tables that travel. Needs
torch."""

import importlib.util
import io
import os
import pathlib
import random
import signal
import tarfile
import tempfile
import unittest

if importlib.util.find_spec("torch") is None:
    raise unittest.SkipTest("not installed: torch")
import torch  # noqa: E402

from tools.demo_model import carry, makers, phonemes, speech, voices  # noqa: E402


def crashes(settings, work, out, kind, share, shares, root, limit_s, times=0):
    """Stands in for a worker: its process dies by a signal until it was started `share` times."""
    if times < share:
        os.kill(os.getpid(), signal.SIGSEGV)
    (work / f"{out.name}.txt").write_text(f"{limit_s:.0f} {times}", encoding="utf-8")


class MakersTest(unittest.TestCase):
    def test_an_engine_that_crashed_speaks_into_another_store_for_what_is_left(self):
        job = speech.engine_worker, ({}, pathlib.Path("w"), pathlib.Path("o/pico-2"), "pico", 2, 3, pathlib.Path("r"), 450.0)
        function, arguments = speech.engine_again(job, 1, 300.0)
        self.assertIs(function, speech.engine_worker)
        self.assertEqual(arguments[2:], (pathlib.Path("o/pico-2-again-1"), "pico", 2, 3, pathlib.Path("r"), 300.0, 1))
        self.assertEqual(speech.engine_again((function, arguments), 2, 200.0)[1][2], pathlib.Path("o/pico-2-again-2"))
        self.assertIsNone(speech.engine_again(job, 1, 5.0))
        self.assertIsNone(speech.engine_again(job, speech.CRASHES_MAX + 1, 300.0))
        self.assertIsNone(speech.engine_again((speech.background_worker, ("o", 3, 1)), 1, 300.0))

    def test_what_dies_is_started_again_with_a_line_that_says_so(self):
        def again(job, times):
            function, (settings, work, out, *rest) = job
            rest = (*rest[:4], 100.0 - times, times)
            return None if times > 2 else (function, (settings, work, out.with_name(f"again-{times}"), *rest))

        with tempfile.TemporaryDirectory() as folder:
            work, said = pathlib.Path(folder), []
            jobs = [(crashes, ({}, work, work / name, "pico", dies, 1, "", 100.0))
                    for name, dies in (("first", 0), ("second", 2), ("third", 9))]
            self.assertEqual(makers.run(jobs[:2], again, said.append), 2)
            self.assertEqual({path.name: path.read_text(encoding="utf-8") for path in work.iterdir()},
                             {"first.txt": "100 0", "again-2.txt": "98 2"})
            self.assertEqual(len(said), 2)
            self.assertRegex(said[0], "second ended with exit code -11 .*; it is started again")
            self.assertEqual(makers.run(jobs[2:], again, said.append), 0)
            self.assertRegex(said[-1], "exit code -11 .*; it stays away")


class VoicesTest(unittest.TestCase):
    NAMES = ["am_a", "am_b", "am_c"]

    def test_weights_of_every_mixture_sum_to_one(self):
        settings = {"mixed_share": 1.0, "three_share": 0.5, "beyond_share": 0.3, "beyond_max": 0.35}
        chooser = random.Random(1)
        made = [voices.mixture(chooser, self.NAMES, settings) for _ in range(200)]
        for one in made:
            self.assertAlmostEqual(sum(one.values()), 1.0, places=6)
            self.assertGreaterEqual(min(one.values()), -0.35)
        self.assertEqual({len(one) for one in made}, {2, 3})
        self.assertTrue(any(min(one.values()) < 0 for one in made))

    def test_held_voices_speak_alone(self):
        settings = {"mixed_share": 1.0, "two_part_share": 1.0} | speech.UNMIXED
        self.assertIn(voices.choose_voice(random.Random(1), self.NAMES, settings), self.NAMES)

    def test_a_pair_has_the_sound_of_one_and_the_manner_of_the_other(self):
        styles = {"am_a": torch.full((256,), 1.0), "am_b": torch.full((256,), 2.0)}
        style = voices.style_of(lambda voice, _: styles[voice], ("am_a", "am_b"), 10)
        self.assertEqual(style.shape, (256,))
        self.assertEqual(style[:128].unique().tolist(), [1.0])
        self.assertEqual(style[128:].unique().tolist(), [2.0])


class JobsTest(unittest.TestCase):
    def limits(self, devices, first_s, split="train"):
        settings = {"processes_per_device": 2, "held_number": 5}
        jobs = speech.kokoro_jobs(settings, pathlib.Path("w"), pathlib.Path("o"), 470.0, first_s, devices, split)
        return [(arguments[5], arguments[7], arguments[2].name) for _, arguments in jobs]

    def test_all_devices_but_the_last_stop_early(self):
        self.assertEqual(self.limits(("cuda:0", "cuda:1"), 100.0),
                         [("cuda:0", 100.0, "kokoro-0"), ("cuda:1", 470.0, "kokoro-1"),
                          ("cuda:0", 100.0, "kokoro-2"), ("cuda:1", 470.0, "kokoro-3")])

    def test_without_a_first_time_all_go_on(self):
        self.assertEqual({limit for _, limit, _ in self.limits(("cuda:0", "cuda:1"), None)}, {470.0})

    def test_held_sentences_are_spoken_by_one_process(self):
        self.assertEqual(self.limits(("cuda:0",), 100.0, "held"), [("cuda:0", 470.0, "held")])


class TablesTest(unittest.TestCase):
    def test_phonemes_are_taken_apart_when_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "phonemes.tsv"
            path.write_text("a\twˈʌn|tˈu\nb\t~wˈʌn tˈu\n", encoding="utf-8")
            table = phonemes.Table(path)
            self.assertEqual([table[0], table[1], len(table)],
                             [("a", ["wˈʌn", "tˈu"], True), ("b", ["wˈʌn tˈu"], False), 2])

    def test_pairs_without_a_sentence_in_the_table_stay_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            (work / "sentences.tsv").write_text("a\ttrain\tI left at 3.\n", encoding="utf-8")
            (work / "phonemes.tsv").write_text("a\tx\n", encoding="utf-8")
            (work / "tokenizer.json").write_text("{}", encoding="utf-8")
            lines = ["I left at three!\tIch ging.\tMe fui.\ta\ttrain\n", "He left.\tEr ging.\tSe fue.\ta\ttrain\n"]
            (work / "parallel.tsv").write_text("".join(lines), encoding="utf-8")
            carry.pack_tables(work, work / "tables.tar.xz")
            with tarfile.open(work / "tables.tar.xz") as archive:
                self.assertEqual(sorted(archive.getnames()),
                                 ["parallel.tsv", "phonemes.tsv", "sentences.tsv", "tokenizer.json"])
                found = io.TextIOWrapper(archive.extractfile("parallel.tsv"), encoding="utf-8").read()
            self.assertEqual(found, lines[0])


if __name__ == "__main__":
    unittest.main()
