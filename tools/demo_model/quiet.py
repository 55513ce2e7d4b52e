"""Evaluation without words: silence, noise, hum, music and typing, in which nothing is said.

Made sounds come from a fixed seed; recorded ones from the unpacked Debian packages
asterisk-moh-opsound-g722 (music) and bucklespring-data (keys), which training never hears."""

import numpy
import soundfile

from . import music, sounds, store

RATE = store.RATE_HZ
MADE_KINDS = ("digital silence", "hiss", "low-passed noise", "mains hum")
WIDER = "wider made sounds"           # since the third run
MUSIC, KEYS = "usr/share/asterisk/moh", "usr/share/buckle/wav"
MUSIC_SECONDS = 8
RECORDED = ("recorded music", "recorded typing")


def made(generator, hours):
    """(kind, samples int16) of 1 to 12 s, the MADE_KINDS in turn."""
    total, number = 0.0, 0
    while total < hours * 3600:
        size = int(generator.uniform(1, 12) * RATE)
        time_s = numpy.arange(size) / RATE
        level = 10 ** generator.uniform(-4, -1)
        hiss = generator.normal(0, 1, size)
        waves = (numpy.zeros(size), hiss, numpy.convolve(hiss, numpy.ones(24) / 5, "same"),
                 numpy.sin(2 * numpy.pi * 50 * time_s) + 0.3 * numpy.sin(2 * numpy.pi * 150 * time_s))
        wave = waves[number % len(waves)] * level
        yield MADE_KINDS[number % len(waves)], (wave.clip(-1, 1) * 32767).astype(numpy.int16)
        total, number = total + size / RATE, number + 1


def made_music(number, seed):
    """(kind, samples): sounds like those that training hears, of another seed."""
    generator = numpy.random.default_rng(seed)
    for _ in range(number):
        yield "made music and typing", music.make_one(generator)


def recorded_music(folder, pieces_each):
    """(kind, samples) of 8 s from all parts of each piece."""
    from .people import read_media
    for path in sorted((folder / MUSIC).glob("*.g722")):
        wave = read_media(path)
        size = MUSIC_SECONDS * RATE
        for begin in numpy.linspace(0, len(wave) - size, pieces_each).astype(int):
            yield RECORDED[0], wave[begin:begin + size]


def recorded_typing(folder, number, seed):
    """(kind, samples) of 5 s of recorded keys at an uneven pace, at a random level."""
    generator, keys = numpy.random.default_rng(seed), []
    for path in sorted((folder / KEYS).glob("*.wav")):
        wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        places = numpy.arange(int(len(wave) * RATE / rate_hz)) * rate_hz / RATE
        keys.append(numpy.interp(places, numpy.arange(len(wave)), wave.mean(1)))
    for _ in range(number):
        wave, at = numpy.zeros(5 * RATE), 0
        while at < len(wave):
            key = keys[generator.integers(len(keys))][:len(wave) - at]
            wave[at:at + len(key)] += key
            at += int((0.05 + generator.exponential(0.12)) * RATE)
        yield RECORDED[1], music.at_some_level(generator, wave, -2, -0.3)


def made_sounds(number, seed):
    """(kind, samples): the same of the wider kinds of sounds.py."""
    generator = numpy.random.default_rng(seed)
    for _ in range(number):
        yield WIDER, sounds.make_one(generator)


def recorded(folder, seed):
    """(kind, samples) of the packages' recordings."""
    yield from recorded_music(folder, 5)
    yield from recorded_typing(folder, 15, seed)


def sets(seed, hours):
    """kind -> list of made recordings."""
    generator, out = numpy.random.default_rng(seed), {}
    for kind, samples in (*made(generator, hours), *made_music(20, seed), *made_sounds(44, seed)):
        out.setdefault(kind, []).append(samples)
    return out
