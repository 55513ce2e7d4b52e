"""Other voices out of recorded ones, on the accelerator: other vocal tracts, other pitches, and the
buzzing or whispering sources of old synthesisers.

A voice is a source (the vocal cords, or noise) and a filter (the mouth). In short windows the filter is
the smooth part of the logarithmic spectrum; all that is done to it here is linear in that spectrum, so
one matrix for each row does it. R rows, N samples, F windows, K frequencies."""

import functools
import math

import torch
from torch.nn import functional

WINDOW, HOP = 512, 128            # samples
BINS = WINDOW // 2 + 1
SMOOTH = (26, 42)                 # quefrencies in samples: kept below the first, gone from the second on
FLOOR = 1e-4                      # of a magnitude, about the rounding of 16-bit samples
TRANSFORMS = 1024                 # the number of transforms is a multiple of this: fewer Fourier plans
RATE_HZ = 16000


@functools.lru_cache(maxsize=4)
def smoother(device):
    """[K, K]: logarithmic spectrum -> its smooth part, by leaving out high quefrencies."""
    quefrency = torch.arange(WINDOW, dtype=torch.float64)
    quefrency = torch.minimum(quefrency, WINDOW - quefrency)
    low, high = SMOOTH
    kept = 0.5 + 0.5 * torch.cos(math.pi * ((quefrency - low) / (high - low)).clamp(0, 1))
    return torch.fft.rfft(torch.fft.irfft(torch.eye(BINS, dtype=torch.float64), WINDOW) * kept).real.float().to(device)


@functools.lru_cache(maxsize=4)
def phase_of_least_delay(device):
    """[K, K]: smooth logarithmic spectrum -> the phase of the filter that answers soonest."""
    sign = torch.zeros(WINDOW, dtype=torch.float64)
    sign[1:WINDOW // 2], sign[WINDOW // 2 + 1:] = 1, -1
    return torch.fft.rfft(torch.fft.irfft(torch.eye(BINS, dtype=torch.float64), WINDOW) * sign).imag.float().to(device)


def stretched(factor):
    """factor [R]: 1.2 moves what is at 1000 Hz to 1200 Hz -> [R, K, K], to be multiplied from the right."""
    bins = torch.arange(BINS, device=factor.device, dtype=torch.float32)
    source = (bins / factor[:, None]).clamp(max=BINS - 1)            # where each new frequency is read
    return (1 - (bins[None, :, None] - source[:, None]).abs()).clamp(min=0)


def random(*shape, device):
    return torch.rand(*shape, device=device)


def windows(waves):
    """Spectra [R, F, K] of waves [R, N], F a multiple of four."""
    rows, samples = waves.shape
    count = -(-(samples + WINDOW) // WINDOW) * 4
    padded = functional.pad(waves, (WINDOW, (count - 1) * HOP + WINDOW - samples - WINDOW))
    cut = padded.unfold(1, WINDOW, HOP) * torch.hann_window(WINDOW, device=waves.device)
    flat = functional.pad(cut.reshape(-1, WINDOW), (0, 0, 0, -(rows * count) % TRANSFORMS))
    return torch.fft.rfft(flat)[:rows * count].view(rows, count, BINS)


def waves_of(spectra, samples):
    """The inverse of `windows`, [R, samples]."""
    rows, count, _ = spectra.shape
    flat = torch.view_as_real(spectra.flatten(0, 1))
    flat = torch.view_as_complex(functional.pad(flat, (0, 0, 0, 0, 0, -(rows * count) % TRANSFORMS)))
    cut = torch.fft.irfft(flat, WINDOW)[:rows * count].view(rows, count, WINDOW)
    cut = cut * (torch.hann_window(WINDOW, device=spectra.device) / 1.5)      # the squares add up to 1.5
    out = torch.zeros(rows, count * HOP + WINDOW, device=spectra.device)
    for first in range(4):
        part = cut[:, first::4].reshape(rows, -1)
        out[:, first * HOP:first * HOP + part.shape[1]] += part
    return out[:, WINDOW:WINDOW + samples]


def level(spectra):
    """Logarithms of magnitudes."""
    return torch.log(spectra.abs() + FLOOR)


def as_loud(waves, others):
    """The waves with the power that each row of `others` has."""
    power, wanted = (one.square().mean(1, keepdim=True) for one in (waves, others))
    return waves * (wanted / (power + 1e-12)).sqrt()


def drawn_factor(rows, device, strongest=0.223):
    """Factors from 0.8 to 1.25, [R]."""
    return torch.exp((2 * random(rows, device=device) - 1) * strongest)


def with_mouth(waves, factor):
    """The waves [R, N] with every resonance `factor` [R] times as high, and the same source."""
    spectra, smooth = windows(waves), smoother(waves.device)
    change = torch.bmm(level(spectra), smooth @ stretched(factor) - smooth)
    return as_loud(waves_of(spectra * torch.exp(change.clamp(-4, 4)), waves.shape[1]), waves)


def pulses(pitch_hz):
    """A pulse at the beginning of each period of a pitch [R, N]."""
    phase = torch.cumsum(pitch_hz / RATE_HZ, 1)
    whole = phase.floor()
    begins = functional.pad((whole[:, 1:] > whole[:, :-1]).float(), (1, 0))
    late = ((phase - whole) * RATE_HZ / pitch_hz).clamp(0, 1) * begins       # samples since the pulse
    return begins - late + functional.pad(late[:, 1:], (0, 1))


def drawn_pitch(rows, samples, device):
    """A pitch in hertz, [R, samples]: 70 to 330 Hz, flat in a third of the rows, slowly moving in others."""
    points = torch.randn(rows, 1, max(2, samples // 4000), device=device) * (random(rows, 1, 1, device=device) < 0.67)
    moves = functional.interpolate(points, size=samples, mode="linear", align_corners=True)[:, 0]
    spread = 0.25 * random(rows, 1, device=device)
    return 70 * 4.7 ** random(rows, 1, device=device) * torch.exp((moves * spread).clamp(-0.5, 0.5))


def voiced(spectra):
    """How sure it is that a window [R, F, K] has a pitch, [R, F, 1], by how much of it is low."""
    power = spectra.abs().square()
    low = power[..., 3:32].sum(-1, keepdim=True)           # 100 to 1000 Hz
    high = power[..., 96:].sum(-1, keepdim=True)           # from 3000 Hz on
    return torch.sigmoid(2 * torch.log((low + FLOOR) / (high + FLOOR)))


def with_source(waves, factor, whispered=0.15):
    """The waves [R, N] spoken by a machine: a train of pulses or noise through the filter of each
    window, its resonances `factor` [R] times as high. A share of the rows is only whispered."""
    rows, samples = waves.shape
    device, smooth = waves.device, smoother(waves.device)
    spectra = windows(waves)
    wanted = torch.bmm(level(spectra), smooth @ stretched(factor))
    buzz = windows(pulses(drawn_pitch(rows, samples, device)))
    hiss = windows(torch.randn_like(waves))
    has_voice = voiced(spectra) * (random(rows, 1, 1, device=device) >= whispered)
    rough = 0.3 * random(rows, 1, 1, device=device)
    high = torch.linspace(0, 1, BINS, device=device).square() * random(rows, 1, 1, device=device)
    clear = has_voice * (1 - rough) * (1 - high)           # share of the pulses in each frequency
    source = (hiss * ((1 - clear) * torch.exp(-level(hiss) @ smooth))
              + buzz * (clear * torch.exp(-level(buzz) @ smooth)))
    phase = (wanted @ phase_of_least_delay(device)) * (random(rows, 1, 1, device=device) < 0.6)
    made = source * torch.polar(torch.exp(wanted.clamp(max=12)), phase)
    return as_loud(waves_of(made, samples), waves)


def new_mouths(waves):
    return with_mouth(waves, drawn_factor(len(waves), waves.device))


def machines(waves):
    return with_source(waves, drawn_factor(len(waves), waves.device, 0.15))
