"""`make-word-times`: when each word of the held-out set is said, as assets/evaluation/english-words.tsv.

The set is spoken again by the same voices at the same pace (the choices of evaluation_set.make_set are
drawn again), and the voices tell the times. One line a recording: FILE and BEGIN:END of each word of its
text, in samples at 16 kHz; a recording whose words have no times of their own has none."""

import pathlib
import random

from . import phonemes, store

BATCH = 20                       # as in evaluation_set.make_set
TOLERANCE = store.RATE_HZ // 10  # between the lengths of a recording and of its repetition


def jobs_of(items, british_share, chooser):
    """(words, aligned, voice, speed, place) of items of the set."""
    phonemiser = {"a": phonemes.Phonemiser(False), "b": phonemes.Phonemiser(True)}
    for place, (_, voice, text, _) in enumerate(items):
        spoken = phonemiser[phonemes.accent_of(text, british_share)](text)
        aligned = not spoken.startswith(phonemes.UNALIGNED)
        words = spoken.lstrip(phonemes.UNALIGNED).split("|")
        yield words, aligned, voice, chooser.uniform(0.85, 1.2), place


def times(items, settings, british_share, material, number):
    """For each of the first `number` items of the set a list of (begin, end)."""
    from . import evaluation_set, voices
    model, styles = evaluation_set.speaker(material, settings["seed"])
    chooser, out = random.Random(settings["seed"]), []
    for at in range(0, number, BATCH):
        part = items[at:at + BATCH]
        jobs = list(jobs_of(part, british_share, chooser))
        for job, samples, spans in voices.speak(model, styles, jobs, material.vocabulary, chooser, 12.0):
            wave = part[job[4]][3]
            if abs(len(samples) - len(wave)) > TOLERANCE:
                raise ValueError(f"recording {at + job[4]} has {len(wave)} samples and its repetition {len(samples)}: "
                                 "the set was made with other settings than those of this configuration")
            if spans and len(spans) != len(part[job[4]][2].split()):
                raise ValueError(f"recording {at + job[4]} has {len(spans)} times for {part[job[4]][2]!r}")
            out.append(spans)
        print(f"make-word-times: {len(out)} of {number}", flush=True)
    return out


def make(config, work, set_path, number):
    """Writes english-words.tsv beside the set."""
    from . import evaluate, speech
    material = speech.Material(config["speech"], pathlib.Path(work))
    spans = times(evaluate.read_set(set_path), config["evaluation"], config["text"]["british_share"], material, number)
    path = path_of(set_path)
    path.write_text("".join(f"{place:03d}.opus\t" + " ".join(f"{begin}:{end}" for begin, end in one) + "\n"
                            for place, one in enumerate(spans)), encoding="utf-8")
    print(f"{path}: times of {sum(map(bool, spans))} of {len(spans)} recordings")


def path_of(set_path):
    set_path = pathlib.Path(set_path)
    return set_path.with_name(f"{set_path.stem}-words.tsv")


def read(set_path):
    """For each recording of the table a list of (begin, end) in samples; nothing without a table."""
    path = path_of(set_path)
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [[tuple(map(int, pair.split(":"))) for pair in line.partition("\t")[2].split()] for line in lines]
