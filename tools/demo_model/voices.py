"""Choice of Kokoro voices and mixtures, and speech with the times of its words."""

import math

import numpy
import torch
from torch.nn import functional

from . import store

FRAME_16K = 400        # samples at 16 kHz of one frame of Kokoro's durations (25 ms)
SILENCE_LEVEL = 0.004  # of full scale
STYLE_HALF = 128       # of a style's 256 numbers: the first half is heard by the decoder, the second by what plans


def resample_24_to_16_khz(samples, taps=24):
    """float [N] at 24 kHz -> float [2 N / 3] at 16 kHz, by a windowed sinc of 2 `taps` + 1 samples.

    Output 2 m is at input 3 m, output 2 m + 1 at input 3 m + 1.5: two filters, stride three."""
    positions = torch.arange(-taps, taps + 2, device=samples.device, dtype=torch.float64)
    filters = []
    for offset in (0.0, 1.5):
        x = positions - offset
        window = torch.cos(math.pi * x / (2 * taps + 4)).clamp(min=0) ** 2
        filters.append(torch.sinc(x * (2 / 3) * 0.97) * (2 / 3) * 0.97 * window)
    kernel = torch.stack(filters).to(samples.dtype)[:, None]
    padded = functional.pad(samples[None, None], (taps, taps + 4))
    return functional.conv1d(padded, kernel, stride=3)[0].T.reshape(-1)


def mixture(random, names, settings):
    """A voice name, or a mixture {name: weight} of two or three voices whose weights sum to 1; some lie
    beyond one of two voices, away from the other."""
    if random.random() >= settings["mixed_share"]:
        return random.choice(names)
    if random.random() < settings.get("beyond_share", 0.0):
        beyond = random.uniform(0.1, settings["beyond_max"])
        return dict(zip(random.sample(names, 2), (1 + beyond, -beyond)))
    number = 3 if random.random() < settings.get("three_share", 0.0) else 2
    shares = [random.uniform(0.2, 0.8) for _ in range(number)]
    chosen = random.sample(names, number)
    weights = [round(share / sum(shares), 3) for share in shares[1:]]
    return dict(zip(chosen, [round(1 - sum(weights), 3), *weights]))


def choose_voice(random, names, settings):
    """What `mixture` gives, or sometimes a pair of such: (who it sounds like, whose melody and pace)."""
    voice = mixture(random, names, settings)
    if random.random() < settings.get("two_part_share", 0.0):
        return voice, mixture(random, names, settings)
    return voice


def style_of(styles, voice, phonemes):
    """float32 [256] of a choice of `choose_voice`; the halves of a style are sound and manner."""
    if not isinstance(voice, tuple):
        return styles(voice, phonemes)
    sound, manner = (styles(part, phonemes) for part in voice)
    return torch.cat((sound[:STYLE_HALF], manner[STYLE_HALF:]))


def word_spans(words, vocabulary, durations):
    """(begin, end) of each word in samples at 16 kHz, before any trimming.

    words: the phonemes of each word; durations: frames of each phoneme id, with one more at both
    ends. Punctuation and the space after a word do not belong to it."""
    spans, frame, at = [], int(durations[0]), 1
    for number, word in enumerate(words):
        begin = end = frame
        for symbol in word:
            if symbol not in vocabulary:
                continue
            frame += int(durations[at])
            at += 1
            if symbol.isalpha() or symbol in "ˈˌːᵊᵻ":
                end = frame
        if number + 1 < len(words):                    # the space between two words
            frame += int(durations[at])
            at += 1
        spans.append((begin * FRAME_16K, end * FRAME_16K))
    return spans


def ids_of(words, vocabulary):
    """Phoneme ids of a sentence."""
    return [vocabulary[symbol] for symbol in " ".join(words) if symbol in vocabulary]


def trim(samples, spans, random):
    """Cuts silence at both ends down to a random rest; returns int16 samples and moved spans."""
    loud = numpy.flatnonzero(numpy.abs(samples) > SILENCE_LEVEL)
    if len(loud) < store.RATE_HZ // 10:
        return None, []
    begin = max(0, int(loud[0]) - random.randint(300, 3200))
    end = min(len(samples), int(loud[-1]) + random.randint(600, 4000))
    cut = (samples[begin:end].clip(-1, 1) * 32767).astype(numpy.int16)
    limit = int(loud[-1]) + 1 - begin                  # the last phoneme may reach into the silence
    moved = [(min(max(a - begin, 0), limit), min(max(b - begin, 0), limit)) for a, b in spans]
    return cut, moved


def speak(kokoro, styles, jobs, vocabulary, random, batch_seconds):
    """Yields (job, samples int16 [N] at 16 kHz, word spans) for (words, aligned, voice, speed) jobs."""
    ids = [ids_of(job[0], vocabulary) for job in jobs]
    waves = kokoro.synthesise(ids, [style_of(styles, job[2], len(i)) for job, i in zip(jobs, ids)],
                              [job[3] for job in jobs], batch_seconds=batch_seconds)
    sizes = [len(wave) // 3 * 3 + 300 for wave in waves]
    joined = torch.cat([functional.pad(wave[:size - 300], (0, 300)) for wave, size in zip(waves, sizes)])
    resampled = resample_24_to_16_khz(joined.to(kokoro.device)).cpu().numpy()
    at = 0
    for job, size, durations in zip(jobs, sizes, kokoro.durations):
        samples = resampled[at * 2 // 3:(at + size - 300) * 2 // 3]
        at += size
        spans = word_spans(job[0], vocabulary, durations) if job[1] else []
        cut, spans = trim(samples, spans, random)
        if cut is not None:
            yield job, cut, spans
