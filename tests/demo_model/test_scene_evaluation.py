"""Evaluation G: the comparison of scene sentences, and the scenes that are asked about."""

import pathlib
import sys
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
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


class Manifests(unittest.TestCase):
    """The built tables and the real sprites, if they are there."""

    def test_no_question_is_a_sentence_of_a_built_training_table(self):
        built = ROOT / "build/demo_model"
        sprite_file = built / "carry-pictures/sprites.npz"
        tables = [*built.glob("work*/sentences.tsv"), *built.glob("work*/scene_sentences.txt")]
        if not sprite_file.exists() or not tables:
            self.skipTest("no sprites or no tables: make-sprites and make-text were not run here")
        asked = {sentences.normalise(scene.text)
                 for styles, number in ((sprites.SEEN_STYLES, 200), ((sprites.UNSEEN_STYLE,), 100))
                 for scene in scene_evaluation.questions(sprite_file, styles, number)}
        for table in tables:
            rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
            train = {sentences.normalise(row[-1]) for row in rows if len(row) == 1 or row[1] == "train"}
            self.assertGreater(len(train), 1000)
            self.assertFalse(asked & train, table)


if __name__ == "__main__":
    unittest.main()
