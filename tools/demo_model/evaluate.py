"""`evaluate`: word error rates of a Hugging Face folder through transformers.

Noise is made with a fixed seed. Bounds are the 95 % interval of 2,000 bootstrap samples over
utterances."""

import io
import math
import pathlib
import time
import zipfile

import numpy
import soundfile

from . import errors, people, quiet, recordings, store, truncation, word_times
from .captioner import Captioner

SILENCE_HOURS = 0.1
QUIET_SEED = 5
NOISY_ITEMS = 100


def read_set(path):
    """(source, voice, text, samples int16) of every item of the held-out set."""
    items = []
    with zipfile.ZipFile(path) as archive:
        for line in archive.read("items.tsv").decode().splitlines():
            name, source, voice, text = line.split("\t")
            samples, rate_hz = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            assert rate_hz in (store.RATE_HZ, 48000), rate_hz
            if rate_hz == 48000:
                from scipy import signal
                samples = signal.resample_poly(samples, 1, 3)
            items.append((source, voice, text, (samples.clip(-1, 1) * 32767).astype(numpy.int16)))
    return items


def interval(counts, seed=0, draws=2000):
    """95 % bounds of the error rate of (errors, words) pairs, by bootstrap over utterances."""
    table = numpy.array(counts)
    chosen = numpy.random.default_rng(seed).integers(0, len(table), (draws, len(table)))
    rates = table[chosen, 0].sum(1) / numpy.maximum(1, table[chosen, 1].sum(1))
    return numpy.quantile(rates, (0.025, 0.975))


def line(name, counts):
    low, high = interval(counts)
    words = sum(words for _, words in counts)
    return (f"{name:34} WER {100 * errors.rate(counts):5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]  "
            f"{len(counts)} utterances, {words} words")


def with_noise(samples, decibels, generator):
    """White noise at a ratio to the power of the recording."""
    wave = samples.astype(numpy.float32)
    level = numpy.sqrt(numpy.mean(wave**2)) * 10 ** (-decibels / 20)
    return (wave + generator.normal(0, level, len(wave))).clip(-32768, 32767).astype(numpy.int16)


def score(captioner, name, items, log):
    """Prints the error rate of (text, samples) items and returns the counts."""
    heard = captioner.transcribe([samples for _, samples in items])
    counts = [errors.count(text, one) for (text, _), one in zip(items, heard)]
    print(line(name, counts), flush=True)
    log += [f"{name}\t{text}\t{one}" for (text, _), one in zip(items, heard)]
    return counts


def score_quiet(captioner, sounds, log):
    """Prints how many words are heard where nobody speaks. sounds: kind -> recordings."""
    totals = {}
    for kind, waves in sounds.items():
        heard = captioner.transcribe(waves)
        words, seconds = sum(len(one.split()) for one in heard), sum(map(len, waves)) / store.RATE_HZ
        totals[kind] = words, seconds
        print(f"{kind:34} {words} invented words in {seconds:.0f} s, {len(waves)} recordings, "
              f"{sum(map(bool, heard))} of them with words", flush=True)
        log += [f"{kind}\t\t{one}" for one in heard if one]
    for name, kinds in (("all without words", totals), ("the same without " + quiet.WIDER, totals.keys() - {quiet.WIDER})):
        words, seconds = (sum(totals[kind][place] for kind in kinds) for place in (0, 1))
        print(f"{name:34} {words / seconds * 3600:.0f} invented words an hour ({words} in {seconds:.0f} s)", flush=True)


def score_truncated(captioner, items, spans, log):
    """Prints which words of the answers to cut recordings, and to the same ones whole, are invented and which
    are misheard (see truncation.py). spans: the words' times of each of the items, or nothing."""
    parts = {"cut in the middle": truncation.cut(items, QUIET_SEED),
             "the same, whole": [(place, *item) for place, item in enumerate(items)]}
    for name, part in parts.items():
        heard = captioner.transcribe([samples for _, _, samples in part])
        judged = [truncation.judged(text, spans[place] if place < len(spans) else [],
                                    len(samples) if part is parts["cut in the middle"] else math.inf, one)
                  for (place, text, samples), one in zip(part, heard)]
        old = [truncation.unexplained(text, one) for (_, text, _), one in zip(part, heard)]
        timed = sum(1 for place, _, _ in part if place < len(spans) and spans[place])
        print(f"{name:34} {len(part)} utterances, {timed} of them with known times of words", flush=True)
        for title, counts in (("invented", [(one[0], one[2]) for one in judged]),
                              ("misheard", [(one[1], one[2]) for one in judged]), ("unexplained", old)):
            low, high = interval(counts)
            print(f"  {title:32} {100 * errors.rate(counts):5.1f} % of {sum(words for _, words in counts)} words  "
                  f"[{100 * low:.1f}, {100 * high:.1f}]", flush=True)
        log += [f"{name}\t{text}\t{one}" for (_, text, _), one in zip(part, heard)]


class Peer:
    """pocketsphinx with its English model, asked as a Captioner is."""

    @staticmethod
    def transcribe(recordings):
        from . import cascade
        return cascade.transcribe(recordings)


def packed_sets(arguments, texts):
    """set -> [(voice, text, samples)] of the zip of `pack-recordings`, or made here as the arguments say."""
    if arguments.recordings:
        out = recordings.read(arguments.recordings)
    else:
        out = recordings.gather(arguments, texts, NOISY_ITEMS, QUIET_SEED)
    if arguments.characters:
        out[people.CHARACTERS_SET] = [("", text, samples) for text, samples in
                                      people.packed_characters(pathlib.Path(arguments.characters))]
    return out


def pack(arguments):
    """Writes the zip that --recordings takes; the characters of the game are in the zip of `pack-people`."""
    sets = recordings.gather(arguments, [item[2] for item in read_set(arguments.set)], NOISY_ITEMS, QUIET_SEED)
    sets.pop(people.CHARACTERS_SET, None)
    recordings.write(sets, arguments.out)


def captioner_of(arguments):
    """Who is asked: the peer that --peer names, or the folder."""
    if arguments.peer == "whisper":
        from . import whisper_peer
        return whisper_peer.Whisper(arguments.work)
    return Peer() if arguments.peer else Captioner(arguments.model, device=arguments.device)


def report(arguments):
    """The whole report on standard output."""
    started, log = time.time(), []
    captioner, items = captioner_of(arguments), read_set(arguments.set)
    counts = score(captioner, "held-out sentences and voices", [(item[2], item[3]) for item in items], log)
    for place, title in ((0, "sentences"), (1, "voice")):
        for value in sorted({item[place] for item in items}):
            part = [count for item, count in zip(items, counts) if item[place] == value]
            print("  " + line(f"{title} {value}", part))
    spoken = [(text, samples) for _, _, text, samples in items[:NOISY_ITEMS]]
    if arguments.noise:
        generator = numpy.random.default_rng(QUIET_SEED)
        print(line(f"the first {NOISY_ITEMS}, clean", counts[:NOISY_ITEMS]))
        for decibels in (20, 10, 5):
            noisy = [(text, with_noise(samples, decibels, generator)) for text, samples in spoken]
            score(captioner, f"the same, white noise at {decibels} dB", noisy, log)
        score_truncated(captioner, spoken, word_times.read(arguments.set), log)
    packed = packed_sets(arguments, [item[2] for item in items])
    if arguments.noise:
        quiet_sets = quiet.sets(QUIET_SEED, SILENCE_HOURS)
        for kind in quiet.RECORDED:
            if kind in packed:
                quiet_sets[kind] = [samples for _, _, samples in packed[kind]]
        score_quiet(captioner, quiet_sets, log)
    for name in [one for one in packed if one not in quiet.RECORDED]:
        counts = score(captioner, name, [one[1:] for one in packed[name]], log)
        for voice in sorted({one[0] for one in packed[name]} - {""}):
            print("  " + line(f"voice {voice}", [count for one, count in zip(packed[name], counts) if one[0] == voice]))
    seconds = sum(len(item[3]) for item in items) / store.RATE_HZ
    print(f"{seconds:.0f} s of speech in the set; all in {time.time() - started:.0f} s of wall time")
    if arguments.out:
        pathlib.Path(arguments.out).write_text("\n".join(log) + "\n", encoding="utf-8")
