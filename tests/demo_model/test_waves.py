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

    def test_several_segments_are_read_at_the_rate_of_their_row(self):
        torch = self.torch
        flat = torch.randint(-9000, 9000, (4000,), dtype=torch.int16)
        source, begin, length = [700, 1500, 0], [11, 160, 0], [100, 300, 0]
        wave = self.waves.compose(flat, *(torch.tensor([one] * 2) for one in (source, begin, length)),
                                  torch.tensor([1.0, 1.5]), 640)
        for rate, row in zip((1.0, 1.5), wave):
            wanted = torch.zeros(640)
            for place in range(2):
                for sample in range(length[place]):
                    at = source[place] + sample * rate
                    low, high = flat[int(at)].float(), flat[int(at) + 1].float()
                    wanted[begin[place] + sample] = low + (high - low) * (at - int(at))
            torch.testing.assert_close(row * 32768, wanted, atol=0.01, rtol=0)

    def test_sizes_of_transforms_are_even_and_have_small_factors_alone(self):
        self.assertEqual([self.waves.fast_size(least) for least in (1, 7, 11, 13, 97, 641)], [2, 8, 12, 16, 100, 648])

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
                out = self.waves.disturb(self.speech[:rows], self.has_words[:rows],
                                         lambda number: torch.randn(number, 640 * 20))
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
