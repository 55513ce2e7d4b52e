"""More made-up sounds without words than music.py has: tunes of other instruments, singing and murmuring
without words, telephones, machines, weather, and what people do with their hands and feet. All randomness
comes from the generator that is handed in."""

import numpy
from scipy import signal

from . import music, store

RATE = store.RATE_HZ
SECONDS = music.SECONDS
SIZE = SECONDS * RATE
SCALES = (*music.SCALES, (0, 2, 3, 5, 7, 9, 10), (0, 1, 4, 5, 7, 8, 11), (0, 2, 4, 6, 8, 10), (0, 3, 5, 6, 7, 10),
          (0, 1, 3, 5, 7, 8, 10), tuple(range(12)))
# The first three resonances of vowels, in hertz, for a long vocal tract; a short one has them higher.
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410), (640, 1190, 2390))
DTMF = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))


def seconds(number):
    return numpy.arange(int(number * RATE)) / RATE


def smooth(random, size, pace_s, low, high):
    """float [size] that wanders between two values."""
    points = random.uniform(low, high, max(2, int(size / RATE / pace_s) + 2))
    return numpy.interp(numpy.linspace(0, len(points) - 1, size), numpy.arange(len(points)), points)


def glottal(hertz):
    """A buzz whose pitch is hertz [N], as vocal cords or a bowed string make it."""
    phase = numpy.cumsum(hertz) / RATE % 1.0
    return phase**2 * (1 - phase) * 6.75 - 0.5625


def vocal_tract(buzz, formants, widths=(80, 110, 160)):
    """The buzz through three resonances."""
    out = numpy.zeros(len(buzz))
    for centre, width, gain in zip(formants, widths, (1.0, 0.6, 0.3)):
        radius = numpy.exp(-numpy.pi * width / RATE)
        angle = 2 * numpy.pi * min(centre, 7000) / RATE
        out += gain * signal.lfilter([1 - radius], [1, -2 * radius * numpy.cos(angle), radius**2], buzz)
    return out


def syllables(random, hertz, pause_share):
    """float [N]: vowel after vowel on a melody, hertz [N], each a moment long; no consonants, no words."""
    buzz, size = glottal(hertz), random.uniform(0.85, 1.25)
    breath = random.uniform(0, 0.08) * random.normal(0, 1, len(hertz))
    out, at = numpy.zeros(len(hertz)), 0
    while at < len(hertz):
        end = min(len(hertz), at + int(random.uniform(0.12, 0.9) * RATE))
        if random.random() > pause_share:
            formants = [size * one for one in VOWELS[random.integers(len(VOWELS))]]
            piece = vocal_tract(buzz[at:end] + breath[at:end], formants)
            out[at:end] = piece * signal.windows.tukey(end - at, random.uniform(0.2, 0.9))
        at = end
    return out


def melody(random, beat_s):
    """hertz [SIZE] of a tune of held notes with vibrato."""
    scale, key = SCALES[random.integers(len(SCALES))], random.integers(45, 70)
    place, hertz, at = int(random.integers(0, 8)), numpy.zeros(SIZE), 0
    while at < SIZE:
        end = min(SIZE, at + int(beat_s * random.choice([0.5, 1, 1, 2, 4]) * RATE))
        place = max(0, min(13, place + int(random.integers(-3, 4))))
        hertz[at:end] = music.hertz(key + 12 * (place // len(scale)) + scale[place % len(scale)])
        at = end
    hertz = signal.lfilter([0.004], [1, -0.996], hertz - hertz[0]) + hertz[0]          # glides from note to note
    vibrato = random.choice([0, 0.006, 0.015]) * numpy.sin(2 * numpy.pi * random.uniform(4.5, 6.5) * seconds(SECONDS))
    return hertz * (1 + vibrato)


def singing(random):
    """One to four voices that sing vowels."""
    hertz, wave = melody(random, random.uniform(0.3, 1.0)), 0
    for part in range(random.integers(1, 5)):
        wave = wave + syllables(random, hertz * random.choice([0.5, 1, 1, 1.25, 1.5]) * (1 + 0.003 * part), 0.15)
    return wave


def murmur(random):
    """A crowd of which no word can be understood: many voices of vowels and breath."""
    wave = numpy.zeros(SIZE)
    for _ in range(random.integers(5, 14)):
        pitch = random.uniform(85, 260) * smooth(random, SIZE, 0.35, 0.8, 1.25)
        wave += random.uniform(0.3, 1) * syllables(random, pitch, 0.35)
    rustle = signal.lfilter([0.2], [1, -0.8], random.normal(0, 1, SIZE)) * smooth(random, SIZE, 0.3, 0, 0.05)
    return wave + rustle * numpy.abs(wave).max()


def pluck(random, hertz, length_s):
    """A plucked string: noise that goes round in a loop and grows dull."""
    period = max(2, int(RATE / hertz))
    burst = numpy.zeros(int(length_s * RATE))
    burst[:period] = random.uniform(-1, 1, min(period, len(burst)))
    loop = numpy.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -0.498, -0.498
    return signal.lfilter([1.0], loop, burst)


def bell(random, hertz, length_s):
    """Frequency modulation: bells, electric pianos, brass."""
    time_s = seconds(length_s)
    ratio, depth = random.choice([0.5, 1, 1.4, 2, 3, 3.5]), random.uniform(0.5, 6)
    envelope = numpy.exp(-time_s / random.uniform(0.1, 1.2))
    return numpy.sin(2 * numpy.pi * hertz * time_s + depth * envelope * numpy.sin(
        2 * numpy.pi * hertz * ratio * time_s)) * envelope


def edged(random, hertz, length_s):
    """A square or saw-toothed tone through a filter that opens and closes."""
    time_s = seconds(length_s)
    wave = signal.square(2 * numpy.pi * hertz * time_s) if random.random() < 0.5 else signal.sawtooth(
        2 * numpy.pi * hertz * time_s)
    low = random.uniform(0.05, 0.6)
    return signal.lfilter([low], [1, low - 1], wave) * signal.windows.tukey(len(time_s), 0.15)


def arpeggio(random):
    """Broken chords of one instrument over a beat and a bass, each there or not."""
    wave, beat_s = numpy.zeros(SIZE), random.uniform(0.1, 0.45)
    scale, key = SCALES[random.integers(len(SCALES))], random.integers(40, 64)
    voice = (pluck, bell, edged)[random.integers(3)]
    beats, bass = [music.drum(random) for _ in range(3)], random.random() < 0.5
    pattern, drums = random.integers(0, 8, random.integers(3, 9)), random.random((3, 8)) < random.uniform(0, 0.6)
    root, at, step = 0, 0.0, 0
    while at < SECONDS:
        if step % 8 == 0:
            root = int(random.integers(0, 7))
        place = root + int(pattern[step % len(pattern)])
        note = key + 12 * (place // len(scale)) + scale[place % len(scale)]
        music.add(wave, at, voice(random, music.hertz(note), beat_s * random.choice([1, 2, 4])), 0.5)
        if bass and step % 4 == 0:
            music.add(wave, at, edged(random, music.hertz(key + scale[root % len(scale)] - 12), 4 * beat_s), 0.3)
        for beat, hits in zip(beats, drums):
            if hits[step % 8]:
                music.add(wave, at, beat, 0.5)
        at, step = at + beat_s, step + 1
    return wave


def pad(random):
    """Slow chords of many detuned tones, as films begin."""
    wave, at = numpy.zeros(SIZE), 0.0
    while at < SECONDS:
        length_s, key = random.uniform(2, 6), random.integers(40, 62)
        for step in random.choice([0, 3, 4, 7, 10, 11, 14], random.integers(2, 6), replace=False):
            for detune in random.normal(1, 0.004, 3):
                tone = signal.sawtooth(2 * numpy.pi * music.hertz(key + step) * detune * seconds(length_s))
                music.add(wave, at, signal.lfilter([0.08], [1, -0.92], tone) * signal.windows.hann(len(tone)), 0.2)
        at += length_s * 0.7
    return wave


def telephone(random):
    """Dialling, ringing, busy tones and beeps."""
    wave, at = numpy.zeros(SIZE), random.uniform(0, 1)
    kind, pair = random.integers(4), random.choice([350, 400, 425, 440, 480, 620, 1000, 2100], 2)
    on_s, off_s = ((0.08, 0.08), (2.0, 4.0), (0.5, 0.5), (random.uniform(0.05, 0.6), random.uniform(0.1, 2)))[kind]
    while at < SECONDS:
        if kind == 0:
            pair = DTMF[0][random.integers(4)], DTMF[1][random.integers(4)]
        tone = sum(numpy.sin(2 * numpy.pi * hertz * seconds(on_s)) for hertz in pair)
        music.add(wave, at, tone * signal.windows.tukey(len(tone), 0.05), 0.5)
        at += on_s + off_s * random.uniform(0.9, 1.4)
    return wave


def machine(random):
    """A motor, a fan or a drill: a hum with overtones and noise that beats with it."""
    hertz = random.uniform(18, 160) * smooth(random, SIZE, random.uniform(0.5, 5), 0.8, 1.3)
    phase, wave = 2 * numpy.pi * numpy.cumsum(hertz) / RATE, numpy.zeros(SIZE)
    for number in range(1, random.integers(4, 25)):
        wave += random.uniform(0, 1) / number ** random.uniform(0.3, 1.5) * numpy.sin(number * phase + random.uniform(0, 6))
    noise = signal.lfilter(*signal.butter(2, sorted(random.uniform(0.02, 0.9, 2) + (0, 0.05)), "band"),
                           random.normal(0, 1, SIZE))
    return wave + random.uniform(0, 6) * noise * (1 + random.uniform(0, 1) * numpy.sin(phase))


def weather(random):
    """Wind, rain, surf, a fire: noise that swells, with drops or cracks in it."""
    wave = numpy.zeros(SIZE)
    for _ in range(random.integers(1, 4)):
        centre = random.uniform(100, 3000)
        band = signal.butter(1, [centre / 8000 * 0.6, min(0.98, centre / 8000 * 1.6)], "band")
        wave += signal.lfilter(*band, random.normal(0, 1, SIZE)) * smooth(random, SIZE, random.uniform(0.3, 3), 0, 1) ** 2
    drops = (random.random(SIZE) < random.choice([0, 0.0005, 0.004, 0.02])) * random.exponential(1, SIZE)
    return wave + random.uniform(0.5, 3) * signal.lfilter([1], [1, -random.uniform(-0.5, 0.8)], drops)


def strokes(random):
    """Steps, claps, a clock, a saw, paper: short noises of one kind at their own pace."""
    wave, at = random.normal(0, 0.001, SIZE), random.uniform(0, 1)
    pace_s, uneven, length_s = random.choice([0.02, 0.12, 0.5, 0.6, 1.0]), random.uniform(0, 0.6), random.uniform(0.01, 0.3)
    band = signal.butter(1, sorted(random.uniform(0.02, 0.95, 2) + (0, 0.04)), "band")
    while at < SECONDS:
        size = int(length_s * random.uniform(0.6, 1.4) * RATE) + 32
        burst = signal.lfilter(*band, random.normal(0, 1, size)) * numpy.exp(-numpy.arange(size) / (size / random.uniform(2, 6)))
        music.add(wave, at, burst, random.uniform(0.4, 1))
        at += pace_s * random.uniform(1 - uneven, 1 + uneven) + 0.005
    return wave


def calls(random):
    """Birds, dogs, sirens, squeaks: short gliding cries with pauses."""
    wave, at = numpy.zeros(SIZE), random.uniform(0, 1)
    centre, length_s, deep = 10 ** random.uniform(2.2, 3.6), random.uniform(0.04, 0.7), random.random() < 0.5
    while at < SECONDS:
        size = int(length_s * random.uniform(0.5, 1.5) * RATE) + 64
        hertz = centre * numpy.linspace(1, random.uniform(0.6, 1.7), size) * smooth(random, size, 0.05, 0.9, 1.1)
        cry = glottal(hertz) if deep else numpy.sin(2 * numpy.pi * numpy.cumsum(hertz) / RATE)
        if deep:
            cry = vocal_tract(cry, [random.uniform(0.7, 1.4) * one for one in VOWELS[random.integers(len(VOWELS))]])
            cry = cry / (numpy.abs(cry).max() + 1e-9)
        music.add(wave, at, cry * signal.windows.hann(size), random.uniform(0.4, 1))
        at += random.exponential(random.choice([0.15, 0.5, 1.5])) + 0.05
    return wave


KINDS = (singing, singing, murmur, arpeggio, arpeggio, pad, telephone, machine, weather, strokes, calls)


def make_one(random):
    """int16 [SIZE] of one kind, or of two at once, at a random level; a third are those of music.py."""
    if random.random() < 0.33:
        return music.make_one(random)
    wave = numpy.zeros(SIZE)
    for _ in range(1 + (random.random() < 0.25)):
        one = KINDS[random.integers(len(KINDS))](random)
        wave += one / (numpy.abs(one).max() + 1e-9) * random.uniform(0.3, 1)
    return music.at_some_level(random, wave)


def write_store(folder, number, seed):
    """A store of so many sounds without words."""
    random, writer = numpy.random.default_rng(seed), store.Writer(folder)
    for place in range(number):
        writer.add(make_one(random), -1, -1, "background")
        if place % 50 == 49:
            writer.flush()
    writer.close()
    print(f"background: {writer.hours:.2f} h", flush=True)
