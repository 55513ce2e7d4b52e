"""Pieces of the Kokoro-82M network that need no text: weights, masked layers, source and transforms.

The network is that of the package kokoro 0.9.4 (Apache-2.0), written anew so that a batch of padded
items gives what each item alone would give. B items, C channels, T positions, F frames of 600
samples at 24 kHz."""

import json
import lzma
import math

import torch
from torch.nn import functional

RATE_HZ = 24000
HARMONICS = 9
SOURCE_FRAME = 300      # samples of one frame of the pitch curve
WINDOW, STEP = 20, 5    # samples of the short Fourier transform
KINDS = {"I8": torch.int8, "F16": torch.float16, "F32": torch.float32}


def load_weights(files):
    """Safetensors files (or their .xz) -> NAME: float32 tensor; int8 weights times their scales."""
    raw = {}
    for name in files:
        with (lzma.open if name.endswith(".xz") else open)(name, "rb") as file:
            data = bytearray(file.read())
        head = 8 + int.from_bytes(data[:8], "little")
        for key, entry in json.loads(bytes(data[8:head])).items():
            begin, end = entry["data_offsets"]
            kind = KINDS[entry["dtype"]]
            raw[key] = torch.frombuffer(data, dtype=kind, count=(end - begin) // kind.itemsize,
                                        offset=head + begin).view(entry["shape"])

    def full(key, value):
        if value.dtype != torch.int8:
            return value.float()
        return value.float() * raw[key + "|scale"].view(-1, *[1] * (value.dim() - 1))
    return {key: full(key, value) for key, value in raw.items() if "|" not in key}


def mask(number, size):
    """number [B, 1, 1] -> [B, 1, size]: ones before the item's end, zeros from there."""
    return (torch.arange(size, device=number.device) < number).float()


def snake(x, scale, shift, alpha, keep):
    """The affine map of adaptive instance norm, the snake activation, zeros past each item's end."""
    x = torch.addcmul(shift, x, scale)
    return torch.addcmul(x, torch.sin(x * alpha).square(), 1 / alpha) * keep


def adaptive_norm(x, style, number):
    """Instance norm over each item's own frames, as a scale and a shift of x [B, C, F].

    style: (1 + gamma, beta), each [B, C, 1]; x is zero past `number` [B, 1, 1] frames."""
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    stretch = x.shape[-1] / number
    inverse = torch.rsqrt(stretch * (variance - mean * mean * (stretch - 1)) + 1e-5)
    scale = style[0] * inverse
    return scale, style[1] - mean * stretch * scale


def harmonic_source(pitch, weight, bias, noise):
    """Pitch [B, L] in hertz of 300-sample frames, zero past the end -> excitation [B, 300 L].

    Nine harmonics where there is a pitch, noise elsewhere; phases run linearly between the middles
    of frames. The sum of nine independent noises, one a harmonic, is one noise."""
    device = pitch.device
    turns = (pitch[..., None] * torch.arange(1, HARMONICS + 1, device=device) / RATE_HZ % 1).double()
    base = (SOURCE_FRAME * turns.cumsum(1) % 1).float()
    step = (SOURCE_FRAME * turns).float()
    half = SOURCE_FRAME // 2
    place = ((torch.arange(half, device=device) + 0.5) / SOURCE_FRAME)[:, None]
    before = torch.cat([base[:, :1], base[:, :-1]], 1)[:, :, None]
    first = before + (place + 0.5) * functional.pad(step[:, 1:], (0, 0, 1, 0))[:, :, None]
    second = base[:, :, None] + place * functional.pad(step[:, 1:], (0, 0, 0, 1))[:, :, None]
    voiced = (pitch > 10)[..., None].float()
    wave = torch.sin(2 * math.pi * torch.cat([first, second], 2)) @ weight[0] * 0.1 * voiced
    if noise:
        level = voiced * 0.003 + (1 - voiced) * (0.1 / 3)
        wave = wave + noise * weight.norm() * level * torch.randn_like(wave)
    return torch.tanh(wave + bias).flatten(1)


class ShortFourier:
    """Magnitude and phase of 20 samples every 5, and back."""

    def __init__(self, device):
        bins = torch.arange(WINDOW // 2 + 1, device=device, dtype=torch.float64)[:, None]
        angle = bins * torch.arange(WINDOW, device=device) * (2 * math.pi / WINDOW)
        window = torch.hann_window(WINDOW, device=device, dtype=torch.float64)
        imaginary = -angle.sin()
        imaginary[[0, WINDOW // 2]] = 0
        twice = torch.full((WINDOW // 2 + 1, 1), 2.0, device=device, dtype=torch.float64)
        twice[[0, WINDOW // 2]] = 1
        self.forward_matrix = (torch.cat([angle.cos(), imaginary]) * window).float().T
        self.inverse_matrix = (torch.cat([angle.cos() * twice, imaginary * twice]) * window / WINDOW).float()
        self.window_squared = window.float().square()

    def forward(self, x, number):
        """x [B, S] with number [B, 1] samples each -> [B, 22, S / 5 + 1], mirrored at each item's
        own ends."""
        half = WINDOW // 2
        place = torch.arange(-half, x.shape[1] + half, device=x.device).abs()
        place = torch.where(place < number, place, 2 * (number - 1) - place).clamp(0)
        parts = x.gather(1, place).unfold(1, WINDOW, STEP) @ self.forward_matrix
        real, imaginary = parts.transpose(1, 2).chunk(2, 1)
        phase = torch.atan2(imaginary + 0.0, real)                         # + 0: never minus zero
        return torch.cat([(real * real + imaginary * imaginary).sqrt(), phase], 1)

    def inverse(self, x, keep):
        """[B, 22, N] log magnitude and arcsine of the phase, keep [B, 1, N] -> [B, 5 (N - 1)]."""
        magnitude, phase = x[:, :WINDOW // 2 + 1].exp() * keep, x[:, WINDOW // 2 + 1:].sin()
        spectrum = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1).transpose(1, 2)
        pieces = (spectrum @ self.inverse_matrix).unflatten(-1, (WINDOW // STEP, STEP))
        weights = keep.transpose(1, 2)[..., None] * self.window_squared.view(WINDOW // STEP, STEP)
        return self.overlap(pieces) / self.overlap(weights).clamp(min=1e-8)

    @staticmethod
    def overlap(pieces):
        """Adds windows [B, N, 4, 5] that overlap by three quarters -> [B, 5 (N - 1)]."""
        shifted = sum(functional.pad(pieces[:, :, part], (0, 0, part, 3 - part)) for part in range(4))
        return shifted.flatten(1)[:, WINDOW // 2:-WINDOW // 2]
