"""Pictures as soft tokens: equal to what transformers' functions make of them."""

import importlib.util
import pathlib
import sys
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tools.demo_model import patches  # noqa: E402


def published_functions():
    """The functions that tests/model/make_image_cases.py takes from transformers."""
    spec = importlib.util.spec_from_file_location("make_image_cases", ROOT / "tests/model/make_image_cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Grids(unittest.TestCase):
    def test_the_sizes_of_common_videos_have_the_published_grids(self):
        for size, grids in (((1920, 1080), ((11, 6), (15, 8))), ((640, 480), ((9, 7), (13, 10))),
                            ((1024, 1024), ((8, 8), (11, 11)))):
            self.assertEqual([patches.target_grid(*size, budget) for budget in (70, 140)], list(grids))

    def test_grids_are_those_of_transformers_for_many_sizes(self):
        published = published_functions()
        generator = numpy.random.default_rng(1)
        sizes = [(1, 1), (70, 1), (1, 141), (10000, 1)] + generator.integers(1, 4000, (1000, 2)).tolist()
        for width, height in sizes:
            for budget in patches.BUDGETS:
                grid = patches.target_grid(width, height, budget)
                pixels = published.hugging_face_size(width, height, budget)
                self.assertEqual(tuple(48 * side for side in grid), pixels, (width, height, budget))

    def test_an_unknown_budget_or_an_empty_picture_is_refused(self):
        with self.assertRaisesRegex(ValueError, "100"):
            patches.target_grid(640, 480, 100)
        with self.assertRaisesRegex(ValueError, "640x0"):
            patches.target_grid(640, 0, 70)


class Cutting(unittest.TestCase):
    def test_patches_and_places_are_those_of_transformers(self):
        import torch
        published = published_functions()
        generator = numpy.random.default_rng(2)
        for columns, rows in ((11, 6), (9, 7), (8, 8), (6, 11), (1, 5), (13, 10)):
            picture = generator.integers(0, 256, (rows * 48, columns * 48, 3), numpy.uint8)
            small = published.cut(torch.from_numpy(picture).permute(2, 0, 1), 16)
            grid = torch.meshgrid(torch.arange(columns * 3), torch.arange(rows * 3), indexing="xy")
            positions = torch.stack(grid, -1).reshape(len(small), 2)
            wanted, places = published.merge(small[None], positions[None], columns * rows)
            numpy.testing.assert_array_equal(patches.cut(picture), wanted[0].numpy())
            numpy.testing.assert_array_equal(patches.places(columns, rows), places[0].numpy())

    def test_joining_undoes_cutting(self):
        picture = numpy.random.default_rng(3).integers(0, 256, (96, 144, 3), numpy.uint8)
        numpy.testing.assert_array_equal(patches.joined(patches.cut(picture), 3), picture)

    def test_a_picture_that_is_not_whole_patches_is_refused(self):
        with self.assertRaisesRegex(ValueError, "whole patches"):
            patches.cut(numpy.zeros((48, 50, 3), numpy.uint8))


if __name__ == "__main__":
    unittest.main()
