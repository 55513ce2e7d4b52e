"""Means of weights that a run may end with, and the choice between them. Needs torch."""

import importlib.util
import pathlib
import sys
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
MISSING = [name for name in ("torch", "numpy", "soundfile") if importlib.util.find_spec(name) is None]


class Hearing:
    """Stands in for watch.Watch: hears as many wrong words as its weight says."""

    def __init__(self, held):
        self.held, self.wrong, self.asked, self.device = held, 0, 0, "cpu"

    def hear_all(self, recordings):
        self.asked += len(recordings)
        return ["yes " * (4 - self.wrong) + "no " * self.wrong if len(one) == 100 else "" for one in recordings]


@unittest.skipIf(MISSING, f"not installed: {MISSING}")
class Candidates(unittest.TestCase):
    def setUp(self):
        import numpy
        import torch

        from tools.demo_model import candidates
        self.numpy, self.torch, self.candidates = numpy, torch, candidates

    def test_means_are_of_the_steps_since_their_mark(self):
        torch = self.torch
        means = self.candidates.Means(torch.tensor([100.0]), [0.5, 0.8], 0.25)
        for step in range(10):
            means.add(step / 10, torch.tensor([float(step)]), torch.tensor([float(step) / 2]))
        found = {name: value.item() for name, value in means.candidates(torch.tensor([9.0])).items()}
        self.assertEqual(found.keys(), {"last", "from-50", "from-80", "last-with-early", "with-start"})
        self.assertAlmostEqual(found["from-50"], 7.0)
        self.assertAlmostEqual(found["from-80"], 8.5)
        self.assertAlmostEqual(found["last-with-early"], 0.7 * 9.0 + 0.3 * 1.5, places=5)
        self.assertAlmostEqual(found["with-start"], 0.8 * 7.0 + 0.2 * 100.0, places=4)

    def test_a_run_that_ended_early_has_fewer(self):
        torch = self.torch
        means = self.candidates.Means(torch.tensor([1.0]), [0.5], 0.25)
        means.add(0.1, torch.tensor([2.0]), torch.tensor([3.0]))
        self.assertEqual(list(means.candidates(torch.tensor([3.0]))), ["last"])

    def choice(self):
        speech = [(self.numpy.full(100, 9, self.numpy.int16), "yes yes yes yes")] * 6
        watch = Hearing({"held": speech, "held-person": speech[:3]})
        return watch, self.candidates.Choice(watch, 4, *self.candidates.questions(None, True))

    def test_the_candidate_that_hears_best_is_chosen(self):
        watch, choice = self.choice()
        self.assertEqual({name: len(items) for name, items in choice.recordings.items()},
                         {"person": 3, "held": 4, "machine": 4})

        def use(wrong):
            watch.wrong = wrong
        said = []
        self.assertEqual(choice.best({"a": 3, "b": 1, "c": 2}, use, said.append, 1e6), "b")
        self.assertEqual(len(said), 3)
        self.assertEqual(choice.best({"a": 3, "b": 1}, use, said.append, 0.0), "a")
        self.assertIn("no time", said[-1])

    def test_pictures_and_videos_count_with_their_shares(self):
        from unittest import mock

        from tools.demo_model import motion_evaluation, scene_evaluation
        watch, told = Hearing({}), []

        def questions(kind):
            return lambda file, styles, number, seed: [types.SimpleNamespace(text=f"{kind} {n}.") for n in range(number)]

        def describe(shown):
            told.append(len(shown))
            return [" " + scene.text if place % 4 or watch.wrong == 0 else "No." for place, scene in enumerate(shown)]
        watch.describe = describe
        with mock.patch.object(scene_evaluation, "questions", questions("scene")), \
                mock.patch.object(motion_evaluation, "questions", questions("video")):
            self.assertEqual(list(self.candidates.questions("sprites", False)[1]), ["scenes"])
            choice = self.candidates.Choice(watch, 4, *self.candidates.questions("sprites", True))
        watch.wrong = 1
        scores = choice.score()
        self.assertEqual((scores["scenes"], round(scores["motion"], 2)), (0.25, 0.25))
        self.assertGreaterEqual(told[0] + told[1], 500)
        self.assertGreaterEqual(told[1], 150)

        def use(wrong):
            watch.wrong = wrong
        self.assertEqual(choice.best({"worse": 1, "better": 0}, use, str, 1e6), "better")

    def test_questions_come_from_another_process(self):
        sounds, shown = self.candidates.questions_later(None, True).result(timeout=120)
        here, _ = self.candidates.questions(None, True)
        self.assertEqual((len(sounds), shown), (len(here), {}))
        for one, other in zip(sounds, here):
            self.numpy.testing.assert_array_equal(one, other)

    def test_what_a_machine_says_is_as_long_and_is_the_same_each_time(self):
        speech = [((3000 * self.numpy.sin(self.numpy.arange(4000) / 20)).astype(self.numpy.int16), "one")]
        state = self.torch.get_rng_state()
        first, second = (self.candidates.with_machines(speech, self.torch.device("cpu"))[0][0] for _ in range(2))
        self.assertTrue(self.torch.equal(state, self.torch.get_rng_state()))
        self.assertEqual(len(first), 4000)
        self.assertTrue(self.numpy.array_equal(first, second))
        self.assertFalse(self.numpy.array_equal(first, speech[0][0]))


if __name__ == "__main__":
    unittest.main()
