"""Scenes: sentences that follow from the things in a picture, pictures that show what they say."""

import collections
import pathlib
import random
import sys
import tempfile
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import drawing, patches, pictures, scenes, sentences, sprites  # noqa: E402

WIDTH, HEIGHT = 528, 288


def plans(number, split="train", seed=1, kind=None):
    vocabulary, chooser = scenes.Vocabulary(), random.Random(seed)
    sizes = [(48 * columns, 48 * rows) for columns, rows in pictures.GRIDS]
    for place in range(number):
        width, height = sizes[place % len(sizes)]
        yield width, height, scenes.plan(vocabulary, chooser, width, height, split, kind)


def small_sprites(folder, styles=("round", "square")):
    """A sprite file in which every noun is a block of one colour, grey in every style."""
    words = list(sprites.read_nouns())
    sizes = [(6 + number % 3, 8) for number in range(len(words) * len(styles))]
    pixels = [numpy.full((height * width, 4), (120, 120, 120, 255), numpy.uint8) for height, width in sizes]
    path = pathlib.Path(folder) / "sprites.npz"
    numpy.savez_compressed(path, pixels=numpy.concatenate(pixels), size=numpy.array(sizes, numpy.int16),
                           noun=numpy.array(words * len(styles)), style=numpy.repeat(styles, len(words)))
    return path


class Wording(unittest.TestCase):
    def test_articles_plurals_colours_and_sizes(self):
        phrase = scenes.Vocabulary().phrase
        for thing, wanted in ((scenes.Thing("elephant"), "an elephant"),
                              (scenes.Thing("elephant", size="big"), "a big elephant"),
                              (scenes.Thing("car", "orange"), "an orange car"),
                              (scenes.Thing("bus", "red", 2), "two red buses"),
                              (scenes.Thing("fish", count=3), "three fish"),
                              (scenes.Thing("umbrella", "blue", size="small"), "a small blue umbrella")):
            self.assertEqual(phrase(thing), wanted)

    def test_what_is_written_is_read_back(self):
        reader = scenes.Reader(scenes.Vocabulary())
        kinds = collections.Counter()
        for _, _, plan in plans(3000):
            facts = reader.read(plan.text)
            self.assertIsNotNone(facts, plan.text)
            told = [thing for thing in facts.things for _ in range(thing.count)]
            self.assertEqual([(thing.word, thing.colour) for thing in told],
                             [(mark.word, mark.colour) for mark in plan.marks], plan.text)
            kinds[plan.kind] += 1
        self.assertEqual(set(kinds), set(scenes.KINDS))

    def test_other_sentences_have_no_facts(self):
        reader = scenes.Reader(scenes.Vocabulary())
        for text in ("", "A dog", "A dogs.", "Two dog.", "A dog on the ceiling.", "A dog above.", "Red car."):
            facts = reader.read(text)
            self.assertEqual(facts is None, text != "A dog", text)

    def test_only_nouns_that_take_a_colour_have_one(self):
        vocabulary = scenes.Vocabulary()
        for _, _, plan in plans(1000):
            for mark in plan.marks:
                self.assertEqual(bool(mark.colour), vocabulary.nouns[mark.word].is_coloured)


class Geometry(unittest.TestCase):
    def test_every_thing_is_inside_of_the_picture(self):
        for width, height, plan in plans(3000):
            for mark in plan.marks:
                for place, size in ((mark.x, width), (mark.y, height)):
                    self.assertGreaterEqual(place - mark.side / 2, -0.02 * size, plan)
                    self.assertLessEqual(place + mark.side / 2, 1.02 * size, plan)

    def test_things_of_a_picture_hardly_cover_each_other(self):
        for _, _, plan in plans(3000):
            for number, first in enumerate(plan.marks):
                for second in plan.marks[number + 1:]:
                    apart = max(abs(first.x - second.x), abs(first.y - second.y))
                    self.assertGreater(apart, 0.49 * (first.side + second.side), plan)

    def test_relations_are_true_and_the_smaller_thing_comes_first(self):
        reader, seen = scenes.Reader(scenes.Vocabulary()), set()
        for _, _, plan in plans(2000, kind="relation"):
            relation = reader.read(plan.text).relation
            first, others = plan.marks[0], plan.marks[1:]
            seen.add(relation)
            for other in others:
                x, y = other.x - first.x, other.y - first.y
                away = {"to the left of": x, "to the right of": -x, "above": y, "below": -y}[relation]
                self.assertGreater(away, 0.49 * (first.side + other.side), plan)
            if len(others) == 1:
                self.assertLess(first.side, 0.8 * others[0].side, plan)
        self.assertEqual(seen, set(scenes.SIDES))

    def test_rows_and_places_run_from_left_to_right(self):
        for _, _, plan in plans(500, kind="row"):
            places = [mark.x for mark in plan.marks]
            self.assertEqual(places, sorted(places))
        for width, _, plan in plans(500, kind="single"):
            part = plan.marks[0].x / width
            if "on the left" in plan.text:
                self.assertLess(part, 0.37)
            elif "on the right" in plan.text:
                self.assertGreater(part, 0.63)
            else:
                self.assertTrue(0.43 < part < 0.57, plan)


class Split(unittest.TestCase):
    def test_held_sentences_are_never_planned_for_training_nor_the_other_way(self):
        train = {sentences.normalise(plan.text) for _, _, plan in plans(4000, "train")}
        held = {sentences.normalise(plan.text) for _, _, plan in plans(1000, "held")}
        self.assertFalse(train & held)
        self.assertGreater(len(held), 500)
        self.assertEqual(sentences.split_of(scenes.EMPTY.text, scenes.HELD_SHARE), "train")

    def test_the_unseen_style_is_none_of_the_seen_ones(self):
        self.assertNotIn(sprites.UNSEEN_STYLE, sprites.SEEN_STYLES)


class Drawing(unittest.TestCase):
    def test_a_tinted_sprite_has_its_colour_whatever_it_had_before(self):
        generator = numpy.random.default_rng(1)
        for before in ((0.8, 0.1, 0.1), (0.1, 0.2, 0.9), (0.6, 0.6, 0.6)):
            sprite = numpy.ones((20, 20, 4), numpy.float32)
            sprite[..., :3] = before
            for colour in drawing.COLOURS.values():
                found = drawing.tinted(sprite, colour, generator)[..., :3].mean((0, 1))
                nearest = min(drawing.COLOURS.values(), key=lambda other: numpy.abs(found - other).sum())
                self.assertEqual(nearest, colour)

    def test_resizing_keeps_a_plain_picture_and_the_place_of_an_edge(self):
        image = numpy.ones((10, 12, 3), numpy.float32)
        numpy.testing.assert_allclose(drawing.resized(image, 31, 7), 1, rtol=1e-5)
        image[:, :6] = 0
        wide = drawing.resized(image, 10, 48)
        self.assertTrue((wide[:, :22] < 0.01).all() and (wide[:, 26:] > 0.99).all())

    def test_shapes_are_told_apart_by_their_area(self):
        areas = [drawing.shape(kind, (1, 0, 0), numpy.random.default_rng(0))[..., 3].mean() for kind in drawing.SHAPES]
        for area, wanted in zip(areas, (0.74, 0.90, 0.40, 0.30)):
            self.assertAlmostEqual(area, wanted, delta=0.06)

    def test_a_sprite_is_cut_off_at_the_border_and_refused_beyond_it(self):
        canvas = numpy.zeros((10, 10, 3), numpy.float32)
        drawing.paste(canvas, numpy.ones((4, 4, 4), numpy.float32), -2, 8)
        self.assertEqual(canvas[..., 0].sum(), 4)
        with self.assertRaisesRegex(ValueError, "outside"):
            drawing.paste(canvas, numpy.ones((4, 4, 4), numpy.float32), 10, 0)


class Painting(unittest.TestCase):
    def test_one_seed_makes_one_picture_and_another_seed_another(self):
        with tempfile.TemporaryDirectory() as folder:
            painter = pictures.Painter(small_sprites(folder), styles=("round", "square"))
            first, again, other = (painter.make(random.Random(seed)) for seed in (1, 1, 2))
            self.assertEqual(first.text, again.text)
            numpy.testing.assert_array_equal(first.patches, again.patches)
            self.assertFalse(first.patches.shape == other.patches.shape
                             and (first.patches == other.patches).all())

    def test_a_thing_is_painted_where_its_mark_is(self):
        with tempfile.TemporaryDirectory() as folder:
            painter = pictures.Painter(small_sprites(folder), styles=("round", "square"))
            for seed in range(20):
                plan = scenes.Plan("single", "", (scenes.Mark("circle", "red", 130.0, 90.0, 100.0),))
                picture = painter.paint(plan, WIDTH, HEIGHT, random.Random(seed))[0].astype(int)
                redness = picture[..., 0] - picture[..., 1:].max(-1)
                self.assertGreater(redness[60:120, 100:160].mean(), redness[:, 250:].mean() + 40, seed)

    def test_patches_are_labelled_with_what_lies_on_them(self):
        vocabulary = scenes.Vocabulary()
        labels = pictures.Labels(vocabulary)
        marks = (scenes.Mark("square", "red", 96.0, 96.0, 96.0), scenes.Mark("dog", "", 300.0, 200.0, 8.0))
        covers = [(numpy.ones((96, 96), numpy.float32), 48, 48), (numpy.ones((8, 8), numpy.float32), 296, 196)]
        found = labels.of(marks, covers, 11, 6).reshape(6, 11, 2)
        self.assertTrue((found[1:3, 1:3] == (labels.noun["square"], labels.colour["red"])).all())
        self.assertEqual(found[4, 6].tolist(), [labels.noun["dog"], 0])
        self.assertEqual((found[..., 0] > 0).sum(), 5)
        self.assertEqual(pictures.LABELS, (len(vocabulary.nouns) + 1, len(drawing.COLOURS) + 1))

    def test_some_pictures_for_training_are_empty_and_say_so(self):
        with tempfile.TemporaryDirectory() as folder:
            path, chooser = small_sprites(folder), random.Random(1)
            painter = pictures.Painter(path, styles=("round", "square"))
            made = [painter.make(chooser, grid=(1, 1)) for _ in range(300)]
            empty = [scene for scene in made if scene.kind == "empty"]
            self.assertTrue(2 <= len(empty) <= 25, len(empty))
            for scene in empty:
                self.assertEqual(scene.text, scenes.EMPTY.text)
                self.assertFalse(scene.labels.any())
            held = pictures.Painter(path, "held", ("round", "square"))
            self.assertNotIn("empty", {held.make(chooser, grid=(1, 1)).kind for _ in range(60)})

    def test_a_missing_style_is_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ValueError, "fxemoji"):
            pictures.Painter(small_sprites(folder), styles=("fxemoji",))

    def test_scenes_come_back_from_their_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder, sprites.SEEN_STYLES)
            pictures.write(path, pathlib.Path(folder) / "scenes-0", 7, 60, 5)
            pictures.write(path, pathlib.Path(folder) / "scenes-1", 8, 60, 4)
            stored = pictures.Scenes(folder)
            self.assertEqual(len(stored), 9)
            painter, chooser = pictures.Painter(path), random.Random(8)
            for number in range(5, 9):
                made = painter.make(chooser)
                numpy.testing.assert_array_equal(stored[number].patches, made.patches)
                numpy.testing.assert_array_equal(stored[number].labels, made.labels)
                self.assertEqual((stored[number].text, stored[number].columns), (made.text, made.columns))
                self.assertEqual(stored.shape(number), (len(made.patches) // made.columns, made.columns))
            numbers = sorted(numpy.concatenate(list(stored.groups().values())).tolist())
            self.assertEqual(numbers, list(range(9)))
            for shape, group in stored.groups().items():
                self.assertEqual({stored.shape(int(number)) for number in group}, {shape})

    def test_grids_are_within_the_two_budgets(self):
        for columns, rows in pictures.GRIDS:
            budget = 70 if columns * rows <= 70 else 140
            self.assertIn((columns, rows), {patches.target_grid(*size, budget) for size in (
                (1920, 1080), (640, 480), (512, 512), (1280, 800), (1920, 816), (1080, 1920))})


if __name__ == "__main__":
    unittest.main()
