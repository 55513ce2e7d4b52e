"""Waveforms of a batch: segments in their places, and disturbances that keep shape and sense.
Needs torch."""

import importlib.util
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))


@unittest.skipIf(importlib.util.find_spec("torch") is None, "not installed: torch")
class Waves(unittest.TestCase):
    def setUp(self):
        import torch

        from tools.demo_model import waves
        torch.manual_seed(8)
        self.torch, self.waves = torch, waves
        self.speech = torch.randn(5, 640 * 20) * 0.1
        self.has_words = torch.tensor([True, True, False, True, True])

    def test_segments_lie_where_the_plan_puts_them(self):
        torch = self.torch
        flat = torch.arange(1000, dtype=torch.int16)
        whole = [torch.tensor([[value]]) for value in (100, 20, 10)]
        wave = self.waves.compose(flat, *whole, torch.tensor([1.0]), 640)[0] * 32768
        self.assertFalse(wave[:20].any())
        self.assertTrue(torch.equal(wave[20:30], torch.arange(100.0, 110.0)))
        self.assertFalse(wave[30:].any())

    def test_a_codec_that_loses_nothing_gives_the_wave_back(self):
        out = self.waves.recoded(self.speech, lost=(-300, -300), step=(-120, -120))
        self.torch.testing.assert_close(out, self.speech, atol=1e-4, rtol=0)

    def test_a_coarse_codec_is_worse_than_a_fine_one(self):
        errors = [(self.waves.recoded(self.speech, lost=(-60, -60), step=(step, step)) - self.speech).std().item()
                  for step in (-30, -15, -3)]
        self.assertLess(errors[0], errors[1])
        self.assertLess(errors[1], errors[2])

    def test_disturbed_waves_are_finite_and_within_full_scale_for_any_number_of_rows(self):
        torch = self.torch
        for rows in (1, 5):
            for _ in range(2):
                out = self.waves.disturb(self.speech[:rows], self.has_words[:rows], torch.randn(rows, 640 * 20))
                self.assertEqual(out.shape, (rows, 640 * 20))
                self.assertTrue(torch.isfinite(out).all() and (out.abs() <= 1).all())

    def test_light_noise_leaves_speech_almost_as_it_was(self):
        out = self.waves.lightly_noisy(self.speech, self.has_words)
        self.assertLess((out - self.speech)[self.has_words].abs().max(), 0.05)

    def test_coloured_noise_has_unit_power(self):
        noise = self.waves.coloured_noise(6, 32000, "cpu")
        self.torch.testing.assert_close(noise.square().mean(1), self.torch.ones(6), atol=1e-3, rtol=0)


if __name__ == "__main__":
    unittest.main()
