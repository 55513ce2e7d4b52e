"""Made-up sounds without words: music, typing, knocks. For examples with an empty transcript, and for
the background of speech. All randomness comes from the generator that is handed in."""

import numpy

from . import store

RATE = store.RATE_HZ
SECONDS = 10
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
CHORD = (0, 2, 4)                       # steps of the scale


def hertz(note):
    """Of a MIDI note number."""
    return 440.0 * 2 ** ((note - 69) / 12)


class Instrument:
    """Overtones, attack and decay, drawn once."""

    def __init__(self, random):
        number = random.integers(2, 12)
        self.overtones = random.uniform(0, 1, number) / numpy.arange(1, number + 1) ** random.uniform(0.5, 2)
        self.overtones[0] = 1
        self.attack_s, self.decay_s = random.uniform(0.003, 0.15), random.uniform(0.08, 2.0)
        self.vibrato, self.detune = random.choice([0, 0, 0.004, 0.01]), random.uniform(0, 0.004)
        self.random = random

    def tone(self, note, seconds):
        """float [N] of one note."""
        time_s = numpy.arange(int(seconds * RATE)) / RATE
        phase = hertz(note) * (time_s + self.vibrato / 30 * numpy.sin(2 * numpy.pi * 5.5 * time_s))
        wave = numpy.zeros(len(time_s))
        for number, strength in enumerate(self.overtones, 1):
            if number * hertz(note) < 7500:
                wave += strength * numpy.sin(2 * numpy.pi * number * (1 + self.detune * number) * phase)
        fade = numpy.minimum(1, (time_s[-1] - time_s) / 0.02) if len(time_s) else 1
        return wave * numpy.minimum(1, time_s / self.attack_s) * numpy.exp(-time_s / self.decay_s) * fade


def add(wave, at_s, sound, gain):
    first = int(at_s * RATE)
    end = min(len(wave), first + len(sound))
    if end > first:
        wave[first:end] += gain * sound[:end - first]


def drum(random):
    """A beat: noise that dies out, over a falling tone."""
    seconds = random.uniform(0.03, 0.35)
    time_s = numpy.arange(int(seconds * RATE)) / RATE
    tone = numpy.sin(2 * numpy.pi * random.uniform(50, 250) * time_s * numpy.exp(-4 * time_s))
    noise = random.normal(0, 1, len(time_s))
    if random.random() < 0.5:
        noise = numpy.convolve(noise, numpy.ones(8) / 3, "same")
    mix = random.random()
    return (mix * tone + (1 - mix) * noise) * numpy.exp(-time_s / (seconds / 4))


def tune(random):
    """Chords, a bass, a melody and drums, each there or not."""
    wave = numpy.zeros(SECONDS * RATE)
    beat_s, scale, key = random.uniform(0.25, 0.9), SCALES[random.integers(len(SCALES))], random.integers(45, 60)

    def note(step, octave=0):
        return key + 12 * (octave + step // len(scale)) + scale[step % len(scale)]

    chords, lead, bass = Instrument(random), Instrument(random), Instrument(random)
    kick, hat = drum(random), drum(random)
    parts = random.random(5) < (0.8, 0.7, 0.6, 0.5, 0.4)
    parts[random.integers(2)] = True
    at, step, place = 0.0, 0, int(random.integers(0, 7))
    while at < SECONDS:
        if step % 4 == 0:
            root = int(random.integers(0, 7))
            for degree in CHORD if parts[0] else ():
                add(wave, at, chords.tone(note(root + degree), 4 * beat_s), 0.3)
            if parts[2]:
                add(wave, at, bass.tone(note(root, -2), 2 * beat_s), 0.6)
        if parts[1] and random.random() < 0.8:
            place = max(0, min(13, place + int(random.integers(-2, 3))))
            add(wave, at, lead.tone(note(place, 1), beat_s * random.choice([0.5, 1, 1, 2])), 0.5)
        if parts[3] and step % 2 == 0:
            add(wave, at, kick, 0.8)
        if parts[4]:
            add(wave, at + beat_s / 2, hat, 0.3)
        at, step = at + beat_s, step + 1
    return wave


def typing(random):
    """Clicks of keys, at an uneven pace."""
    wave, at = random.normal(0, 0.002, SECONDS * RATE), random.uniform(0, 1)
    pace = random.uniform(0.06, 0.3)
    ring = numpy.sin(2 * numpy.pi * random.uniform(800, 4000) * numpy.arange(400) / RATE)
    while at < SECONDS:
        size = int(random.integers(60, 400))
        click = random.normal(0, 1, size) * numpy.exp(-numpy.arange(size) / (size / 5)) + 0.3 * ring[:size]
        add(wave, at, click, random.uniform(0.2, 1))
        at += random.exponential(pace) + 0.03 + (random.random() < 0.05) * random.uniform(0.3, 1.5)
    return wave


def knocks(random):
    """Single dull or sharp sounds with long pauses: doors, steps, cups."""
    wave, at = random.normal(0, 0.001, SECONDS * RATE), random.uniform(0, 1)
    while at < SECONDS:
        add(wave, at, drum(random), random.uniform(0.1, 1))
        at += random.exponential(random.choice([0.3, 0.6, 1.5]))
    return wave


def warble(random):
    """Tones that glide and stop: alarms, whistles, ringing."""
    time_s = numpy.arange(SECONDS * RATE) / RATE
    base, depth, pace = random.uniform(200, 3000), random.uniform(0, 0.5), random.uniform(0.2, 12)
    phase = numpy.cumsum(base * (1 + depth * numpy.sin(2 * numpy.pi * pace * time_s))) / RATE
    gate = (numpy.sin(2 * numpy.pi * random.uniform(0.2, 4) * time_s) > random.uniform(-1, 0.7)).astype(float)
    return numpy.sin(2 * numpy.pi * phase) * numpy.convolve(gate, numpy.ones(160) / 160, "same")


def at_some_level(random, wave, low=-2.2, high=-0.1):
    """int16 like wave, whose peak is 10 to a random power of full scale."""
    level = 10 ** random.uniform(low, high)
    return (wave / (numpy.abs(wave).max() + 1e-9) * level * 32767).astype(numpy.int16)


def make_one(random):
    """int16 [SECONDS * RATE] of one of all kinds, at a random level."""
    kind = random.choice([tune, tune, tune, typing, knocks, warble])
    return at_some_level(random, kind(random))
