"""The losses of a step: rows, positions and labels that only fill a shape up change nothing. Needs torch."""

import importlib.util
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
MISSING = [name for name in ("torch", "numpy") if importlib.util.find_spec(name) is None]

MODEL = {"hidden": 32, "inner": 48, "layers": 3, "full_period": 2, "heads": 2, "head_dim": 16, "key_heads": 1,
         "global_head_dim": 16, "global_key_heads": 1, "frame": 640, "positions": 1024, "sliding_window": 1024,
         "logit_cap": 30.0, "vision": {"embedder": 32, "positions": 16}, "things": [5, 3]}


class Words:
    """A tokenizer of characters: ids from 300 on, control tokens before."""

    def __init__(self):
        from tools.demo_model import prompt
        self.known = {name: 10 + number for number, name in enumerate(prompt.CONTROL_TOKENS)}

    def token_to_id(self, name):
        return self.known[name]

    def encode(self, text, add_special_tokens=False):
        class Encoding:
            ids = [300 + ord(letter) % 256 for letter in text]
        return Encoding


@unittest.skipIf(MISSING, f"not installed: {MISSING}")
class Losses(unittest.TestCase):
    def setUp(self):
        import torch

        from tools.demo_model import batches, examples, network, step
        torch.manual_seed(5)
        self.torch, self.batches, self.examples = torch, batches, examples
        self.layout = batches.Layout(Words(), "English")
        self.network = network.Decoder(MODEL, 700, len(batches.LETTERS))
        flat = torch.randint(-9000, 9000, (40000,), dtype=torch.int16)
        settings = {"replaced_share": 0.0, "smoothing": 0.05}
        self.step = step.Step(self.network, self.layout, settings, flat, torch.zeros(0, dtype=torch.int64))

    def batch(self, *sizes):
        """A batch of two examples in a shape of (rows, width, frames, labels)."""
        chosen = [self.examples.Example([self.examples.Segment(100, 0, 12000)], 12800, 1.0, "Good day."),
                  self.examples.Example([self.examples.Segment(9000, 640, 9000)], 12000, 1.0, "No.")]
        rows = [self.layout.speech_row(example) for example in chosen]
        arrays = self.batches.collate(chosen, rows, self.layout, self.batches.Shape(*sizes))
        return {name: self.torch.from_numpy(array) for name, array in arrays.items()}

    def losses(self, batch, frame_count):
        torch = self.torch
        torch.manual_seed(1)
        heard = torch.randn(2, 20, 640)
        filled = torch.zeros(len(batch["tokens"]), frame_count, 640)
        filled[:2, :20] = heard
        entropy, letters = self.step.speech(batch, filled)
        return entropy, self.step.letter_loss(letters, batch["letters"], batch)

    def width(self):
        return max(len(self.layout.speech_row(self.examples.Example([], 12800, 1.0, text)))
                   for text in ("Good day.", "No."))

    def test_a_larger_shape_has_the_same_losses(self):
        width = self.width()
        tight = self.losses(self.batch(2, width, 20, 14), 20)
        loose = self.losses(self.batch(5, width + 40, 33, 64), 33)
        for one, other in zip(tight, loose):
            self.assertGreater(one.item(), 0.5)
            self.assertAlmostEqual(one.item(), other.item(), places=4)

    def test_a_batch_without_examples_has_the_shape_and_runs(self):
        shape = self.batches.Shape(4, 40, 20, 64)
        batch = {name: self.torch.from_numpy(array)
                 for name, array in self.batches.collate([], [], self.layout, shape).items()}
        full = self.batch(4, max(40, self.width()), 20, 64)
        self.assertEqual({name: (tensor.dtype, tensor.dim()) for name, tensor in batch.items()},
                         {name: (tensor.dtype, tensor.dim()) for name, tensor in full.items()})
        self.assertEqual(batch["tokens"].shape, (4, 40))
        self.step.settings = self.step.settings | {"lost": []}
        heard = self.step.heard(batch, 20, 0)
        letters = self.step.speech(batch, heard)[1]
        self.assertEqual(letters.shape[:2], (20, 4))

    def test_dropout_changes_what_speech_teaches_and_nothing_else(self):
        torch = self.torch
        sizes = (2, self.width(), 20, 14)
        whole = [loss.item() for loss in self.losses(self.batch(*sizes), 20)]
        self.network.dropout = 0.2
        for layer in self.network.layers:
            layer.dropout = 0.2
        first, second = ([loss.item() for loss in self.losses(self.batch(*sizes), 20)] for _ in range(2))
        self.assertEqual(first, second)          # the same seed
        for one, other in zip(whole, first):
            self.assertNotAlmostEqual(one, other, places=3)
        x = torch.randn(1, 9, MODEL["hidden"])
        torch.testing.assert_close(self.network(x), self.network(x))

    def test_rows_that_fill_up_give_no_gradient_that_is_not_finite(self):
        entropy, letter = self.losses(self.batch(4, self.width(), 20, 30), 20)
        (entropy + letter).backward()
        for name, parameter in self.network.named_parameters():
            if parameter.grad is not None:
                self.assertTrue(self.torch.isfinite(parameter.grad).all(), name)
        self.assertGreater(self.network.audio.weight.grad.abs().max().item(), 0)

    def test_only_words_that_are_to_be_said_are_replaced(self):
        self.step.settings = self.step.settings | {"replaced_share": 1.0}
        batch = self.batch(3, self.width(), 20, 20)
        changed = self.step.shown(batch) != batch["tokens"]
        self.assertEqual(changed.sum(1).tolist()[2], 0)
        self.assertGreater(changed.sum(1).tolist()[0], 6)
        control = batch["tokens"] < 284
        self.assertFalse((changed & control).any())


if __name__ == "__main__":
    unittest.main()
