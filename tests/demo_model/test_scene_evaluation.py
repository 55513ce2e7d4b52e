"""Evaluation G: the comparison of scene sentences, and the scenes that are asked about."""

import pathlib
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_scenes import small_sprites  # noqa: E402
from tools.demo_model import drawing, scene_evaluation, scenes, sentences, sprites  # noqa: E402

WHOLE = scene_evaluation.WHOLE


class Comparison(unittest.TestCase):
    def compare(self, wanted, found):
        return scene_evaluation.compare(scenes.Reader(scenes.Vocabulary()), wanted, found)

    def test_the_same_sentence_is_right_in_all_that_it_says(self):
        text = "A red bus to the left of two trees."
        self.assertEqual(self.compare(text, text),
                         {name: True for name in (WHOLE, "object", "colour", "count", "relation")})

    def test_each_facet_fails_alone(self):
        wanted = "A red bus to the left of two trees."
        for found, wrong in (("A blue bus to the left of two trees.", {"colour"}),
                             ("A red bus to the left of three trees.", {"count"}),
                             ("A red bus above two trees.", {"relation"}),
                             ("A red car to the left of two trees.", {"object", "colour", "count", "relation"})):
            result = self.compare(wanted, found)
            self.assertEqual({name for name, right in result.items() if not right}, wrong | {WHOLE}, found)

    def test_what_a_sentence_does_not_say_is_not_counted(self):
        self.assertEqual(self.compare("Two dogs.", "Two dogs."), {WHOLE: True, "object": True, "count": True})

    def test_a_sentence_that_cannot_be_read_is_wrong_in_everything(self):
        self.assertEqual(set(self.compare("A small dog on the left.", "Hello.").values()), {False})

    def test_intervals_hold_the_share_and_shrink(self):
        for hits, number in ((0, 10), (5, 10), (10, 10), (90, 100)):
            low, high = scene_evaluation.interval(hits, number)
            self.assertTrue(-1e-9 <= low <= hits / number <= high <= 1 + 1e-9)
        self.assertAlmostEqual(scene_evaluation.interval(90, 100)[0], 0.826, delta=0.001)


class Questions(unittest.TestCase):
    def test_they_are_held_out_of_every_kind_and_the_same_every_time(self):
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder)
            first, again = (scene_evaluation.questions(path, ("round", "square"), 12) for _ in range(2))
        self.assertEqual({scene.kind for scene in first}, set(scenes.KINDS))
        for one, other in zip(first, again):
            self.assertEqual(one.text, other.text)
            numpy.testing.assert_array_equal(one.patches, other.patches)
            self.assertEqual(sentences.split_of(one.text, scenes.HELD_SHARE), "held")

    def test_the_unseen_style_has_none_of_our_own_shapes(self):
        reader = scenes.Reader(scenes.Vocabulary())
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder, (sprites.UNSEEN_STYLE,))
            shown = scene_evaluation.questions(path, (sprites.UNSEEN_STYLE,), 40)
        words = {thing.word for scene in shown for thing in reader.read(scene.text).things}
        self.assertFalse(words & set(drawing.SHAPES))
        self.assertGreater(len(words), 30)


if __name__ == "__main__":
    unittest.main()
