"""Waveforms of a batch on the accelerator: put together from the flat samples, then disturbed."""

import math

import torch
from torch.nn import functional

from .frames import FRAME

ROOM = 11200   # samples of a room's echo
SPECTRUM = 512   # samples of the windows that a codec works on
TRANSFORMS = 1024   # the number of short Fourier transforms is a multiple of this
ROWS = 16        # and that of long ones of this: see `whole_rows`


def compose(flat, source, begin, length, rate, samples):
    """flat int16 [S]; source, begin, length int64 [B, K]; rate float [B] -> float32 [B, samples].

    Sample i of a segment is the flat array at source + i * rate, interpolated linearly. The segments of
    a row follow each other; those of no length come last."""
    place = torch.arange(samples, device=flat.device)[None]
    begin = torch.where(length > 0, begin, samples)
    end, rate = begin + length, rate.double()[:, None]
    first = source - begin * rate             # where a segment's sample 0 of the row would be
    start, stop = first[:, :1], end[:, :1]
    for segment in range(1, source.shape[1]):
        later = place >= begin[:, segment, None]
        start = torch.where(later, first[:, segment, None], start)
        stop = torch.where(later, end[:, segment, None], stop)
    valid = (place >= begin[:, :1]) & (place < stop)
    position = torch.where(valid, torch.addcmul(start, place.double(), rate), 0.0)
    index = position.long()
    part = (position - index).float()
    index = index.clamp(max=len(flat) - 2)
    value = torch.lerp(flat[index].float(), flat[index + 1].float(), part)
    return value * (valid / 32768)


def random(*shape, device):
    return torch.rand(*shape, device=device)


def power(waves):
    """Root of the mean square of each row, [B, 1]."""
    return waves.square().mean(1, keepdim=True).sqrt()


def decibels(low, high, rows, device):
    """A random amplitude factor for each row, [B, 1]."""
    return 10 ** ((low + (high - low) * random(rows, 1, device=device)) / 20)


def fast_size(least):
    """The smallest even number from `least` on that has no prime factor above 5: quick to transform."""
    size = least + least % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def room(rows, device):
    """Impulse responses [B, ROOM]: the direct sound, single reflections, and a decaying tail."""
    time_s = torch.arange(ROOM, device=device) / 16000
    decay = 0.08 + 0.9 * random(rows, 1, device=device) ** 1.5
    echo = torch.randn(rows, ROOM, device=device) * torch.exp(-6.9 * time_s / decay)
    echo[:, :40] = 0
    echo = echo / (power(echo) + 1e-9) / ROOM**0.5 * decibels(-22, 0, rows, device)
    early = torch.zeros_like(echo).scatter_add_(
        1, (16 + random(rows, 6, device=device) * 900).long(), torch.randn(rows, 6, device=device))
    echo = echo + early * decibels(-26, -6, rows, device)
    echo = echo * (random(rows, 1, device=device) < 0.55)
    echo[:, 0] = 1
    return echo


def equaliser(rows, bins, device):
    """Gains [B, bins] from 0 to 8 kHz: a smooth curve, a tilt, a band that is missing in some rows, and
    limits of the band."""
    hertz = torch.linspace(0, 8000, bins, device=device)[None]
    points = (random(rows, 1, 10, device=device) * 24 - 12) * (random(rows, 1, 1, device=device) < 0.7)
    curve = functional.interpolate(points, size=bins, mode="linear", align_corners=True)[:, 0]
    curve = curve + (random(rows, 1, device=device) * 16 - 8) * (hertz / 4000 - 1)
    chance = random(rows, 1, device=device)
    low_pass = torch.where(chance < 0.4, 2600 + 4800 * random(rows, 1, device=device), 9000.0)
    low_pass = torch.where(chance < 0.15, 3400.0, low_pass)
    high_pass = torch.where(random(rows, 1, device=device) < 0.5,
                            50 + 300 * random(rows, 1, device=device), -1000.0)
    missing = torch.where(random(rows, 1, device=device) < 0.15, 300 * 20 ** random(rows, 1, device=device), -2000.0)
    width = 100 + 500 * random(rows, 1, device=device)
    curve = curve - 30 * torch.sigmoid((width - (hertz - missing).abs()) / 30)
    return 10 ** (curve / 20) * torch.sigmoid((low_pass - hertz) / 90) * torch.sigmoid((hertz - high_pass) / 20)


def rooms_and_filters(waves):
    """Rooms for half of the rows, equalisers and band limits for most."""
    rows, samples = waves.shape
    size = fast_size(samples + ROOM)
    response = torch.fft.rfft(room(rows, waves.device), size)
    gain = equaliser(rows, response.shape[1], waves.device)
    return torch.fft.irfft(torch.fft.rfft(waves, size) * response * gain, size)[:, :samples]


def spectra(blocks):
    """rfft of blocks [R, B, S]; the number of transforms is rounded up, because each number of them
    costs a plan of its own the first time."""
    flat = blocks.flatten(0, 1)
    padded = functional.pad(flat, (0, 0, 0, -len(flat) % TRANSFORMS))
    return torch.fft.rfft(padded)[:len(flat)].view(*blocks.shape[:2], -1)


def blocks_of(spectrum):
    """The inverse of `spectra`."""
    flat = spectrum.flatten(0, 1)
    padded = functional.pad(torch.view_as_real(flat), (0, 0, 0, 0, 0, -len(flat) % TRANSFORMS))
    return torch.fft.irfft(torch.view_as_complex(padded), SPECTRUM)[:len(flat)].view(*spectrum.shape[:2], SPECTRUM)


def rounded(spectrum, lost, step):
    """Spectra [R, B, F] without bins weaker than `lost` of the strongest, the others in steps of `step`
    of the strongest nearby; both [R, 1]."""
    level = spectrum.abs()
    nearby = functional.max_pool2d(level[:, None], (1, 9), 1, (0, 4))[:, 0]
    size = nearby * step[:, :, None] + 1e-6
    real, imaginary = (torch.round(part / size) * size for part in (spectrum.real, spectrum.imag))
    return torch.complex(real, imaginary) * (level > level.amax(2, keepdim=True) * lost[:, :, None])


def recoded(waves, lost=(-60, -26), step=(-20, -6)):
    """What a lossy codec leaves: in each short window weak bins are lost and the others are rounded,
    coarsely in some rows and finely in others (decibels). waves [B, N]."""
    rows, samples = waves.shape
    lost, step = (decibels(*limits, rows, waves.device) for limits in (lost, step))
    window = torch.hann_window(SPECTRUM, device=waves.device).sqrt()
    out = torch.zeros_like(waves)
    for shift in (0, SPECTRUM // 2):          # two rows of windows, whose squares add up to one
        padded = functional.pad(waves, (shift, SPECTRUM - (samples + shift) % SPECTRUM))
        spectrum = rounded(spectra(padded.view(rows, -1, SPECTRUM) * window), lost, step)
        out += (blocks_of(spectrum) * window).view(rows, -1)[:, shift:shift + samples]
    return out


def thinned(waves):
    """8 kHz by leaving every other sample out, and back by straight lines: cheap hardware."""
    return functional.interpolate(waves[:, None, ::2], size=waves.shape[1], mode="linear",
                                  align_corners=False)[:, 0]


def coloured_noise(rows, samples, device):
    """Noise of unit power, float [B, samples]: white to brownish, some of it only in a band, some
    of it swelling and fading."""
    size = fast_size(samples)
    spectrum = torch.view_as_complex(torch.randn(rows, size // 2 + 1, 2, device=device))
    hertz = torch.linspace(0, 8000, spectrum.shape[1], device=device)[None]
    limit = torch.where(random(rows, 1, device=device) < 0.4,
                        150 * 40 ** random(rows, 1, device=device), 20000.0)
    shape = torch.sigmoid((limit - hertz) / (0.1 * limit)) / (1 + hertz / 100) ** (1.6 * random(rows, 1, device=device))
    points = (random(rows, 1, 12, device=device) * 24 - 12) * (random(rows, 1, 1, device=device) < 0.5)
    curve = functional.interpolate(points, size=spectrum.shape[1], mode="linear", align_corners=True)[:, 0]
    noise = torch.fft.irfft(spectrum * (shape * 10 ** (curve / 20) * size**0.5), size)[:, :samples]
    noise = changed(noise, 0.3, swelling)
    return noise / (power(noise) + 1e-6)


def swelling(noise):
    """Noise that gets louder and quieter about twice a second."""
    rows, samples = noise.shape
    levels = random(rows, 1, max(2, samples // 8000), device=noise.device)
    return noise * (0.1 + functional.interpolate(levels, size=samples, mode="linear", align_corners=True)[:, 0])


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


def some(rows, share, device):
    """bool [B, 1], true for about this share of the rows."""
    return random(rows, 1, device=device) < share


def sample(rows, share, device):
    """Numbers of this share of the rows (one at least). So many and not each by chance: nobody has to
    wait for the accelerator to tell how many."""
    return random(rows, device=device).argsort()[:max(1, round(share * rows))]


def changed(waves, share, change):
    """The waves with this share of the rows changed by `change`."""
    rows = sample(len(waves), share, waves.device)
    return waves.index_copy(0, rows, change(waves[rows]))


def babble(waves, has_words, level):
    """The waves with the voices of two other rows behind a share of those with words."""
    rows = sample(len(waves), 0.15, waves.device)
    first, second = ((rows + step) % len(waves) for step in (1, 2))
    voices = ((waves[first] * has_words[first, None]).roll(4001, 1)
              + (waves[second] * has_words[second, None]).roll(9001, 1))
    factor = level[rows] * decibels(-30, -10, len(rows), waves.device) * has_words[rows, None]
    return waves.index_add(0, rows, voices * (factor / (power(voices) + 1e-5)))


def backgrounds(waves, has_words, level, noise_low):
    """Noise, hum, and the voices of other rows, against a level [B, 1]; rows without words get
    noise of any level, and no voices."""
    rows, samples = waves.shape
    device = waves.device
    noise = coloured_noise(rows, samples, device)
    noise = changed(noise, 0.2, torch.randn_like)          # white, as amplifiers make it
    noise = changed(noise, 0.1, lambda part: hum(len(part), samples, device))
    return babble(torch.addcmul(waves, noise, level * decibels(noise_low, -2, rows, device)), has_words, level)


def with_music(waves, level, music):
    """The waves with what `music` gives for a number of rows behind a share of them."""
    rows = sample(len(waves), 0.12, waves.device)
    sound = music(len(rows))
    return waves.index_add(0, rows, sound * (
        level[rows] * decibels(-30, -8, len(rows), waves.device) / (power(sound) + 1e-5)))


def disturb_rows(waves, has_words, music):
    """`disturb` of any number of rows."""
    rows, device = len(waves), waves.device
    waves = rooms_and_filters(waves)
    level = torch.where(has_words[:, None], power(waves), 0.3 * decibels(-60, 0, rows, device)) + 1e-5
    waves = backgrounds(waves, has_words, level, -45)
    if music is not None:
        waves = with_music(waves, level, music)
    for share, change in ((0.2, recoded), (0.12, companded), (0.04, thinned)):
        if share * rows >= 0.5:
            waves = changed(waves, share, change)
    gain = decibels(-26, 4, rows, device) * torch.where(some(rows, 0.1, device), 3.0, 1.0)
    return (waves * gain).clamp(-1, 1)


def lightly_noisy_rows(waves, has_words):
    """`lightly_noisy` of any number of rows."""
    rows, samples = waves.shape
    device = waves.device
    quiet = torch.randn_like(waves) * decibels(-90, -50, rows, device)
    any_noise = coloured_noise(rows, samples, device) * decibels(-90, -12, rows, device)
    return waves + torch.where(has_words[:, None], quiet, any_noise * ~some(rows, 0.2, device))


def whole_rows(change, waves, has_words, *others):
    """`change` of the waves with silent rows added up to a multiple of ROWS: each number of rows costs
    Fourier plans of its own the first time, which made the first minute of a run three times slower."""
    missing = -len(waves) % ROWS
    return change(functional.pad(waves, (0, 0, 0, missing)), functional.pad(has_words, (0, missing)),
                  *others)[:len(waves)]


def disturb(waves, has_words, music=None):
    """Everything that a microphone, a room and a line may add. waves [B, N], has_words bool [B],
    music: number of rows -> float [rows, N] that may play in the background."""
    return whole_rows(disturb_rows, waves, has_words, music)


def lightly_noisy(waves, has_words):
    """White noise at a random, mostly low level; rows without words get noise of any colour and
    level, or none."""
    return whole_rows(lightly_noisy_rows, waves, has_words)


def drop_frames(frames, share, longest=3):
    """Zeroes a stretch of at most so many frames in some rows: what lost packets sound like. frames
    [B, T, 640]."""
    rows, count, _ = frames.shape
    device = frames.device
    at = (random(rows, 1, device=device) * count).long()
    length = 1 + (random(rows, 1, device=device) * longest).long()
    place = torch.arange(count, device=device)[None]
    lost = (place >= at) & (place < at + length) & (random(rows, 1, device=device) < share)
    return frames.masked_fill(lost[..., None], 0)


def to_frames(waves):
    """float [B, T * 640] -> [B, T, 640]."""
    return waves.view(len(waves), -1, FRAME)
