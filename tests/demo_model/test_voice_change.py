"""Changed voices: what is kept, what is moved, and that rows of any length come back whole. Needs torch."""

import importlib.util
import math
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
RATE_HZ = 16000


@unittest.skipIf(importlib.util.find_spec("torch") is None, "not installed: torch")
class Voices(unittest.TestCase):
    def setUp(self):
        import torch

        from tools.demo_model import voice_change
        torch.manual_seed(4)
        self.torch, self.change = torch, voice_change

    def vowel(self, pitch_hz, resonance_hz, samples=16000):
        """Harmonics of a pitch under one resonance, [1, samples]."""
        time_s = self.torch.arange(samples) / RATE_HZ
        wave = sum(math.exp(-((pitch_hz * number - resonance_hz) / 400) ** 2) * self.torch.sin(
            2 * math.pi * pitch_hz * number * time_s) for number in range(1, int(7000 / pitch_hz)))
        return 0.1 * wave[None] / wave.abs().max()

    def spectrum(self, wave):
        return self.torch.fft.rfft(wave[0, :16000]).abs()          # a bin a hertz

    def centre(self, wave):
        """Mean frequency by power, in hertz."""
        power = self.spectrum(wave).square()
        return ((self.torch.arange(len(power)) * power).sum() / power.sum()).item()

    def test_windows_of_any_number_of_samples_come_back_as_they_were(self):
        for samples in (640, 1024, 5000, 16000):
            wave = self.torch.randn(3, samples)
            self.torch.testing.assert_close(self.change.waves_of(self.change.windows(wave), samples), wave,
                                            atol=1e-5, rtol=0)

    def test_an_unmoved_mouth_changes_nothing(self):
        wave = self.vowel(120, 1500)
        self.torch.testing.assert_close(self.change.with_mouth(wave, self.torch.ones(1)), wave, atol=1e-4, rtol=0)

    def test_a_moved_mouth_moves_the_resonance_and_keeps_the_pitch(self):
        wave = self.vowel(120, 1500)
        for factor in (0.8, 1.25):
            moved = self.change.with_mouth(wave, self.torch.tensor([factor]))
            self.assertAlmostEqual(self.centre(moved) / self.centre(wave), factor, delta=0.08)
            levels = self.spectrum(moved)
            harmonics = levels[120:6000:120].square().sum()
            self.assertGreater(harmonics / levels[60:6060].square().sum(), 0.8)

    def test_pulses_come_once_a_period_and_between_samples_where_a_period_ends_there(self):
        pulses = self.change.pulses(self.torch.full((1, 16000), 100.0))[0]
        self.assertAlmostEqual(pulses.sum().item(), 100, delta=1.5)
        uneven = self.change.pulses(self.torch.full((1, 16000), 130.0))[0]
        self.assertAlmostEqual(uneven.sum().item(), 130, delta=1.5)
        self.assertGreater((uneven > 0).sum(), 200)              # most lie on two samples
        self.assertGreaterEqual(uneven.min().item(), 0)

    def test_another_source_keeps_the_resonance_and_the_power(self):
        wave = self.vowel(120, 1500)
        for whispered in (0.0, 1.0):
            made = self.change.with_source(wave, self.torch.ones(1), whispered)
            self.assertAlmostEqual(self.centre(made) / self.centre(wave), 1.0, delta=0.12)
            self.assertAlmostEqual((made.square().mean() / wave.square().mean()).item(), 1.0, delta=1e-3)
            self.assertGreater((made - wave).abs().max(), 0.02)

    def test_silence_stays_silent_and_everything_is_finite(self):
        wave = self.torch.zeros(4, 3200)
        wave[1] = self.torch.randn(3200)
        for change in (self.change.new_mouths, self.change.machines):
            made = change(wave)
            self.assertEqual(made.shape, wave.shape)
            self.assertTrue(self.torch.isfinite(made).all())
            self.assertFalse(made[[0, 2, 3]].any())

    def test_voiced_is_what_is_low(self):
        low, high = (self.change.voiced(self.change.windows(self.vowel(120, hertz))) for hertz in (500, 5000))
        self.assertGreater(low[0, 8:-8].mean(), 0.9)
        self.assertLess(high[0, 8:-8].mean(), 0.1)


if __name__ == "__main__":
    unittest.main()
