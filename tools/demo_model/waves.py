"""Waveforms of a batch on the accelerator: put together from the flat samples, then disturbed."""

import math

import torch
from torch.nn import functional

from .frames import FRAME

ROOM = 8000   # samples of a room's echo


def compose(flat, source, begin, length, rate, samples):
    """flat int16 [S]; source, begin, length int64 [B, K]; rate float [B] -> float32 [B, samples].

    Sample i of a segment is the flat array at source + i * rate, interpolated linearly."""
    out = torch.zeros(len(source), samples, device=flat.device)
    place = torch.arange(samples, device=flat.device)[None]
    for segment in range(source.shape[1]):
        inside = place - begin[:, segment, None]
        valid = (inside >= 0) & (inside < length[:, segment, None])
        position = inside.clamp(min=0).double() * rate[:, None].double()
        whole = position.floor()
        part = (position - whole).float()
        index = torch.where(valid, source[:, segment, None] + whole.long(), 0).clamp(max=len(flat) - 2)
        value = torch.lerp(flat[index].float(), flat[index + 1].float(), part)
        out += torch.where(valid, value, 0.0)
    return out / 32768


def random(*shape, device):
    return torch.rand(*shape, device=device)


def power(waves):
    """Root of the mean square of each row, [B, 1]."""
    return waves.square().mean(1, keepdim=True).sqrt()


def decibels(low, high, rows, device):
    """A random amplitude factor for each row, [B, 1]."""
    return 10 ** ((low + (high - low) * random(rows, 1, device=device)) / 20)


def rooms_and_filters(waves):
    """Rooms of 0.1-0.7 s for half of the rows, smooth equalisers and band limits for some."""
    rows, samples = waves.shape
    device = waves.device
    size = 1 << (samples + ROOM - 1).bit_length()
    time_s = torch.arange(ROOM, device=device) / 16000
    decay = 0.1 + 0.6 * random(rows, 1, device=device)
    echo = torch.randn(rows, ROOM, device=device) * torch.exp(-6.9 * time_s / decay)
    echo[:, :40] = 0
    echo = echo / power(echo) / ROOM**0.5 * decibels(-20, -2, rows, device)
    echo = echo * (random(rows, 1, device=device) < 0.5)
    echo[:, 0] = 1
    response = torch.fft.rfft(echo, size)
    hertz = torch.linspace(0, 8000, response.shape[1], device=device)[None]
    points = (random(rows, 1, 8, device=device) * 16 - 8) * (random(rows, 1, 1, device=device) < 0.6)
    curve = functional.interpolate(points, size=response.shape[1], mode="linear", align_corners=True)[:, 0]
    low_pass = torch.where(random(rows, 1, device=device) < 0.25,
                           3400 + 3000 * random(rows, 1, device=device), 9000.0)
    high_pass = torch.where(random(rows, 1, device=device) < 0.4,
                            50 + 250 * random(rows, 1, device=device), -1000.0)
    gain = 10 ** (curve / 20) * torch.sigmoid((low_pass - hertz) / 120) * torch.sigmoid((hertz - high_pass) / 20)
    return torch.fft.irfft(torch.fft.rfft(waves, size) * response * gain, size)[:, :samples]


def coloured_noise(rows, samples, device):
    """Noise of unit power between white and brownish, float [B, samples]."""
    size = 1 << (samples - 1).bit_length()
    spectrum = torch.fft.rfft(torch.randn(rows, size, device=device))
    hertz = torch.linspace(0, 8000, spectrum.shape[1], device=device)[None]
    noise = torch.fft.irfft(spectrum / (1 + hertz / 100) ** (1.2 * random(rows, 1, device=device)), size)
    noise = noise[:, :samples]
    return noise / (power(noise) + 1e-6)


def hum(rows, samples, device):
    """Mains hum of unit power with harmonics, float [B, samples]."""
    base = torch.where(random(rows, 1, device=device) < 0.5, 50.0, 60.0)
    time_s = torch.arange(samples, device=device)[None] / 16000
    wave = sum(torch.sin(2 * math.pi * base * harmonic * time_s) * random(rows, 1, device=device)
               for harmonic in (1, 2, 3, 5))
    return wave / (power(wave) + 1e-6)


def companded(waves):
    """The steps of 8-bit mu-law telephony, for rows scaled to about full scale."""
    peak = waves.abs().amax(1, keepdim=True) + 1e-5
    scaled = waves / peak
    coded = torch.sign(scaled) * torch.log1p(255 * scaled.abs()) / math.log(256)
    coded = torch.round(coded * 127) / 127
    return torch.sign(coded) * torch.expm1(coded.abs() * math.log(256)) / 255 * peak


def disturb(waves, has_speech):
    """Everything that a microphone, a room and a line may add. waves [B, N], has_speech bool [B]."""
    rows, samples = waves.shape
    device = waves.device
    waves = rooms_and_filters(waves)
    level = torch.where(has_speech[:, None], power(waves), 0.05 * decibels(-40, 0, rows, device)) + 1e-5
    noise = coloured_noise(rows, samples, device)
    noise = torch.where(random(rows, 1, device=device) < 0.1, hum(rows, samples, device), noise)
    waves = waves + noise * level * decibels(-42, -2, rows, device)
    babble = waves.roll(1, 0).roll(4001, 1) + waves.roll(2, 0).roll(9001, 1)
    babble = babble / (power(babble) + 1e-5) * level * decibels(-30, -10, rows, device)
    waves = waves + babble * ((random(rows, 1, device=device) < 0.15) & has_speech[:, None])
    waves = torch.where(random(rows, 1, device=device) < 0.1, companded(waves), waves)
    loud = waves * decibels(-26, 4, rows, device)
    return torch.where(random(rows, 1, device=device) < 0.1, loud * 3, loud).clamp(-1, 1)


def lightly_noisy(waves, has_speech):
    """White noise at a random, mostly low level; silent rows get noise of any level or none."""
    rows = len(waves)
    quiet = decibels(-90, -50, rows, waves.device)
    loud = decibels(-90, -16, rows, waves.device) * (random(rows, 1, device=waves.device) > 0.15)
    return waves + torch.randn_like(waves) * torch.where(has_speech[:, None], quiet, loud)


def drop_frames(frames, share):
    """Zeroes short stretches of some rows: what lost packets sound like. frames [B, T, 640]."""
    rows, count, _ = frames.shape
    device = frames.device
    at = (random(rows, 1, device=device) * count).long()
    length = 1 + (random(rows, 1, device=device) * 3).long()
    place = torch.arange(count, device=device)[None]
    lost = (place >= at) & (place < at + length) & (random(rows, 1, device=device) < share)
    return frames.masked_fill(lost[..., None], 0)


def to_frames(waves):
    """float [B, T * 640] -> [B, T, 640]."""
    return waves.view(len(waves), -1, FRAME)
