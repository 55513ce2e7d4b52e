"""`make-translation-set`: held-out parallel sentences in held-out voices, for evaluation F.

The set is a zip of Ogg Opus files (16 kHz mono) with `items.tsv`: FILE, KIND, VOICE, ENGLISH, GERMAN,
SPANISH. The first four columns are those of english.zip. parallel.KINDS says what KIND means."""

import io
import json
import pathlib
import random
import types
import zipfile

import numpy
import soundfile

from . import evaluation_set, parallel, phonemes, store, voices

SPEEDS = (0.9, 1.2)
JOBS_AT_A_TIME = 10


class Speaker:
    """Kokoro on the CPU; says a sentence in the accent of the voice."""

    def __init__(self, folder, seed):
        self.model, self.styles = evaluation_set.speaker(types.SimpleNamespace(kokoro=folder), seed)
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        self.vocabulary = vocabulary.get("vocab", vocabulary)
        self.phonemisers = {"a": phonemes.Phonemiser(False), "b": phonemes.Phonemiser(True)}
        self.random = random.Random(seed)

    def say(self, jobs):
        """(job, samples int16 [N]) of (sentence, voice) jobs."""
        spoken = [(self.phonemisers[voice[0]](text).lstrip(phonemes.UNALIGNED).split("|"), False, voice,
                   self.random.uniform(*SPEEDS), place) for place, (text, voice) in enumerate(jobs)]
        for job, samples, _ in voices.speak(self.model, self.styles, spoken, self.vocabulary, self.random, 12.0):
            yield jobs[job[4]], samples


def make(settings, held_voices, work, path):
    """Writes the zip. settings: {seed, numbers: {kind: items}, without: sections of templates that are not
    asked for}; work: the folder with parallel.tsv and kokoro/."""
    work, path = pathlib.Path(work), pathlib.Path(path)
    table = [row for row in parallel.read(work / "parallel.tsv") if row[3].split("-")[1] not in settings["without"]]
    chosen = parallel.choose_held(table, settings["numbers"], settings["seed"])
    speaker = Speaker(work / "kokoro", settings["seed"])
    voice_of = {row[0]: sorted(held_voices)[place % len(held_voices)] for place, (_, row) in enumerate(chosen)}
    rows = {row[0]: (kind, row) for kind, row in chosen}
    lines, files, seconds = [], {}, 0.0
    for at in range(0, len(chosen), JOBS_AT_A_TIME):
        jobs = [(row[0], voice_of[row[0]]) for _, row in chosen[at:at + JOBS_AT_A_TIME]]
        for (english, voice), samples in speaker.say(jobs):
            name, (kind, row) = f"{len(files):03d}.opus", rows[english]
            files[name] = evaluation_set.to_opus(samples)
            lines.append("\t".join((name, kind, voice, *row[:3])))
            seconds += len(samples) / store.RATE_HZ
        print(f"make-translation-set: {len(files)} of {len(chosen)}, {seconds:.0f} s of speech", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [("items.tsv", "\n".join(lines) + "\n"), *files.items()]:
            archive.writestr(zipfile.ZipInfo(name), data)    # ZipInfo: no clock in the file


def read(path):
    """(kind, voice, english, german, spanish, samples int16 at 16 kHz) of every item."""
    items = []
    with zipfile.ZipFile(path) as archive:
        for line in archive.read("items.tsv").decode().splitlines():
            name, kind, voice, *texts = line.split("\t")
            samples, rate_hz = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            if rate_hz == 48000:                               # some decoders always give 48 kHz
                from scipy import signal
                samples, rate_hz = signal.resample_poly(samples, 1, 3), store.RATE_HZ
            if rate_hz != store.RATE_HZ or len(texts) != 3:
                raise ValueError(f"{path}, {name}: expected {store.RATE_HZ} Hz and 3 texts, found {rate_hz} Hz and "
                                 f"{len(texts)} texts; make the set again")
            items.append((kind, voice, *texts, (samples.clip(-1, 1) * 32767).astype(numpy.int16)))
    return items
