"""Videos of moving things: what their sentences say is what their frames show."""

import collections
import pathlib
import random
import sys
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_scenes import small_sprites  # noqa: E402
from tools.demo_model import motion, patches, pictures, prompt, repaint, scenes, sentences, videos  # noqa: E402


def plans(number, split="train"):
    vocabulary, chooser = scenes.Vocabulary(), random.Random(5)
    for place in range(number):
        columns, rows = list(videos.GRIDS)[place % len(videos.GRIDS)]
        width, height = columns * patches.SIDE, rows * patches.SIDE
        yield width, height, motion.plan(vocabulary, chooser, width, height, split)


class Plans(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        reader, kinds = motion.Reader(scenes.Vocabulary()), collections.Counter()
        for _, _, plan in plans(2000):
            facts = reader.read(plan.text)
            self.assertIsNotNone(facts, plan.text)
            self.assertEqual(facts.kind, plan.kind, plan.text)
            kinds[plan.kind] += 1
        self.assertEqual(set(kinds), set(motion.KINDS))
        for text in ("A dog.", "Nothing moves.", "A dog moves.", "A dog moves to the moon.", "Two dogs become."):
            self.assertIsNone(reader.read(text), text)

    def test_frames_do_what_the_sentence_says(self):
        reader = motion.Reader(scenes.Vocabulary())
        for width, height, plan in plans(2000):
            first, last, change = plan.frames[0], plan.frames[-1], reader.read(plan.text).change
            if plan.kind == "shift":
                across, down = motion.DIRECTIONS[change]
                moved = (last[0].x - first[0].x) * across + (last[0].y - first[0].y) * down
                self.assertGreater(moved, 0.2 * min(width, height), plan.text)
                self.assertAlmostEqual((last[0].x - first[0].x) * down + (last[0].y - first[0].y) * across, 0)
            elif plan.kind == "pass":
                axis = "x" if change in scenes.SIDES[:2] else "y"
                sign = -1 if change in ("to the left of", "above") else 1
                for ground in last[1:]:
                    for marks, way in ((first, -sign), (last, sign)):
                        self.assertGreater(way * (getattr(marks[0], axis) - getattr(ground, axis)), 0.1 * height / 3)
                self.assertEqual(first[1:], last[1:])
            elif plan.kind == "size":
                larger = last[0].side > 1.5 * first[0].side
                self.assertEqual((larger, 1.5 * last[0].side < first[0].side),
                                 (change == "comes closer", change == "moves away"))
            elif plan.kind == "still":
                self.assertEqual(set(plan.frames), {first})
            elif plan.kind == "count":
                self.assertEqual(scenes.NUMBERS[len(last)], change)
                self.assertTrue(set(first) < set(last) or set(last) < set(first))
            else:
                more, less = (last, first) if plan.kind == "appear" else (first, last)
                self.assertEqual(more[1:], less)

    def test_everything_stays_inside_of_every_frame(self):
        for width, height, plan in plans(2000):
            for mark in (mark for marks in plan.frames for mark in marks):
                half = mark.side / 2 - 1e-6
                self.assertTrue(half <= mark.x <= width - half and half <= mark.y <= height - half,
                                (plan.kind, plan.text, mark, width, height))

    def test_another_plan_has_the_same_sentence(self):
        vocabulary, chooser = scenes.Vocabulary(), random.Random(2)
        readers = repaint.readers_of(vocabulary)
        for width, height, plan in plans(500):
            again = repaint.video_again(vocabulary, readers, plan.text, chooser, width, height, len(plan.frames))
            self.assertEqual((again.kind, again.text, len(again.frames)), (plan.kind, plan.text, len(plan.frames)))
            self.assertNotEqual(again.frames, plan.frames)
        with self.assertRaisesRegex(ValueError, "A dog"):
            repaint.video_again(vocabulary, readers, "A dog.", chooser, 480, 288, 2)

    def test_the_sides_of_the_split_share_no_sentence(self):
        train, held = ({sentences.normalise(plan.text) for _, _, plan in plans(1000, split)}
                       for split in ("train", "held"))
        self.assertFalse(train & held)


class Frames(unittest.TestCase):
    def test_only_what_moves_differs_between_frames(self):
        with tempfile.TemporaryDirectory() as folder:
            painter = videos.Painter(small_sprites(folder), styles=("round", "square"))
            for seed in range(12):
                still, moved = (painter.make(random.Random(seed), kind, (9, 7), 3) for kind in ("still", "shift"))
                self.assertEqual(moved.patches.shape, (3, 63, patches.BYTES))
                change = [numpy.abs(clip.patches[0].astype(int) - clip.patches[2]).mean(1) for clip in (still, moved)]
                above = [one.max() - numpy.median(one) for one in change]       # grain is the same everywhere
                self.assertLess(change[0].mean(), 8)
                self.assertLess(above[0], 2)
                self.assertGreater(above[1], 4)
                places = [(labels[:, 0] > 0).nonzero()[0].tolist() for labels in moved.labels]
                self.assertNotEqual(places[0], places[2])
                self.assertTrue((still.labels == still.labels[:1]).all())

    def test_a_stored_video_is_what_was_painted_and_takes_its_frames_room(self):
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder, pictures.sprites.SEEN_STYLES)
            videos.write(path, pathlib.Path(folder) / "scenes-0", 3, 60, 5)
            stored, painter, chooser = pictures.Scenes(folder), videos.Painter(path), random.Random(3)
            frames = numpy.load(pathlib.Path(folder) / "scenes-0/index.npz")["frames"]
            for number in range(5):
                clip = painter.make(chooser)
                self.assertEqual((clip.text, len(clip.patches)), (stored[number].text, frames[number]))
                self.assertLessEqual(clip.patches.shape[1], 70)
                numpy.testing.assert_array_equal(clip.patches, stored[number].patches)

    def test_repainting_keeps_sentences_and_frames_and_changes_pixels(self):
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder, pictures.sprites.SEEN_STYLES)
            videos.write(path, pathlib.Path(folder) / "scenes-0", 3, 60, 5)
            stored = pictures.Scenes(folder)
            before = [stored[number].patches.copy() for number in range(5)]
            repaint.repaint(pathlib.Path(folder) / "scenes-0", path, 9, rounds=1)
            for number, old in enumerate(before):
                self.assertGreater((stored[number].patches != old).mean(), 0.2)


class Question(unittest.TestCase):
    def test_its_tokens_are_those_of_the_published_text(self):
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(ROOT / "assets/demo-model/tokenizer.json"))
        parts = prompt.video_tokens(tokenizer, (0, 1, 61))
        ids = parts[0] + [one for part in parts[1:] for one in [tokenizer.token_to_id(prompt.VIDEO_PATCH)] * 2 + part]
        text = ("<bos><|turn>user\n00:00 <|image><|video|><|video|><image|> 00:01 <|image><|video|><|video|><image|> "
                "01:01 <|image><|video|><|video|><image|>Describe what happens in this video in one short sentence."
                "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>")
        self.assertEqual(ids, tokenizer.encode(text, add_special_tokens=False).ids)


if __name__ == "__main__":
    unittest.main()
