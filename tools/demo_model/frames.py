"""The framing of a waveform: 640 samples at 16 kHz are one audio token (40 ms)."""

import numpy

FRAME = 640


def count(samples):
    """Frames of so many samples; the last one may be padded."""
    return -(-samples // FRAME)


def cut(samples):
    """float or int16 [N] -> float32 [T, 640] in [-1, 1]; zeros fill the last frame."""
    samples = numpy.asarray(samples)
    scale = 32768.0 if samples.dtype == numpy.int16 else 1.0
    out = numpy.zeros(count(len(samples)) * FRAME, numpy.float32)
    out[:len(samples)] = samples.astype(numpy.float32) / scale
    return out.reshape(-1, FRAME)
