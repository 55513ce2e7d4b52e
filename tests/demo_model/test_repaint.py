"""Painting scenes anew: the sentence stays, the picture changes, in the files that training reads."""

import pathlib
import random
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_scenes import plans, small_sprites  # noqa: E402
from tools.demo_model import pictures, repaint, scenes, sprites  # noqa: E402


class Plans(unittest.TestCase):
    def test_another_plan_has_the_same_sentence_and_things_but_other_places(self):
        vocabulary, chooser = scenes.Vocabulary(), random.Random(1)
        reader = scenes.Reader(vocabulary)
        for width, height, plan in plans(800):
            again = repaint.plan_again(vocabulary, reader, plan.text, chooser, width, height)
            self.assertEqual((again.kind, again.text), (plan.kind, plan.text))
            self.assertEqual([(mark.word, mark.colour) for mark in again.marks],
                             [(mark.word, mark.colour) for mark in plan.marks])
            self.assertNotEqual([mark.x for mark in again.marks], [mark.x for mark in plan.marks])

    def test_an_empty_picture_stays_empty_and_other_sentences_are_refused(self):
        vocabulary = scenes.Vocabulary()
        reader, chooser = scenes.Reader(vocabulary), random.Random(1)
        again = repaint.plan_again(vocabulary, reader, scenes.EMPTY.text, chooser, 48, 48)
        self.assertEqual(again, scenes.EMPTY)
        with self.assertRaisesRegex(ValueError, "Good morning"):
            repaint.plan_again(vocabulary, reader, "Good morning.", chooser, 48, 48)


class Files(unittest.TestCase):
    def test_a_reader_sees_new_pictures_of_the_old_sentences(self):
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder, sprites.SEEN_STYLES)
            pictures.write(path, pathlib.Path(folder) / "scenes-0", 7, 60, 4)
            stored = pictures.Scenes(folder)
            before = [(scene.text, scene.patches.copy()) for scene in (stored[number] for number in range(4))]
            repaint.repaint(pathlib.Path(folder) / "scenes-0", path, 3, rounds=1)
            for number, (text, old) in enumerate(before):
                self.assertEqual(stored[number].text, text)
                self.assertEqual(stored[number].patches.shape, old.shape)
                self.assertGreater((stored[number].patches != old).mean(), 0.2)
                if text != scenes.EMPTY.text:
                    self.assertTrue(numpy.asarray(stored[number].labels).any())


if __name__ == "__main__":
    unittest.main()
