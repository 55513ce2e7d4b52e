"""`make-evaluation`: held-out sentences in held-out voices, and the sample recording.

The set is a zip of Ogg Opus files (16 kHz mono, about 24 kbit/s) with `items.tsv`: FILE, SOURCE,
VOICE, TEXT. The sample is FLAC with its text beside it."""

import io
import pathlib
import random
import re
import zipfile

import numpy
import soundfile
import torch

from . import kokoro, phonemes, sentences, speech, store, voices

OPUS_LEVEL = 0.9      # libsndfile's scale from best (0) to smallest (1)


def choose_rows(material, counts, seed):
    """Row numbers: so many held-out sentences of each source."""
    chooser, chosen = random.Random(seed), []
    for source, number in sorted(counts.items()):
        rows = [row for row in material.rows_of("held") if material.rows[row][0] == source
                and len(material.rows[row][2].split()) <= 26]
        chosen += chooser.sample(rows, number)
    chooser.shuffle(chosen)
    return chosen


def speaker(material, seed):
    """The Kokoro network on the CPU and its voice styles."""
    torch.manual_seed(seed)
    files = sorted(map(str, material.kokoro.glob("*.safetensors*")))
    return kokoro.Kokoro(files, "cpu"), kokoro.Voices(str(material.kokoro / "voices"))


def to_opus(samples):
    """int16 [N] at 16 kHz -> Ogg Opus bytes."""
    out = io.BytesIO()
    soundfile.write(out, samples, store.RATE_HZ, format="OGG", subtype="OPUS",
                    compression_level=OPUS_LEVEL)
    return out.getvalue()


def make_set(settings, speech_settings, work, path):
    """Writes the zip of the held-out set."""
    material = speech.Material(speech_settings, pathlib.Path(work))
    rows = choose_rows(material, settings["sentences"], settings["seed"])
    chooser = random.Random(settings["seed"])
    model, styles = speaker(material, settings["seed"])
    held = material.voices["held"]
    lines, files = [], {}
    for at in range(0, len(rows), 20):
        jobs = []
        for place, row in enumerate(rows[at:at + 20], at):
            _, words, aligned = material.phonemes[row]
            jobs.append((words, aligned, held[place % len(held)], chooser.uniform(0.85, 1.2), row))
        for job, samples, _ in voices.speak(model, styles, jobs, material.vocabulary, chooser, 12.0):
            name = f"{len(files):03d}.opus"
            files[name] = to_opus(samples)
            lines.append("\t".join((name, material.rows[job[4]][0], job[2], material.rows[job[4]][2])))
        print(f"make-evaluation: {len(files)} of {len(rows)}", flush=True)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [("items.tsv", "\n".join(lines) + "\n"), *files.items()]:
            archive.writestr(zipfile.ZipInfo(name), data)    # ZipInfo: no clock in the file


def make_sample(settings, speech_settings, work, voice, path):
    """Speaks the sample's sentences with pauses; refuses sentences that training has seen."""
    material = speech.Material(speech_settings, pathlib.Path(work))
    known = {sentences.normalise(row[2]) for row in material.rows}
    parts = re.split(r"\[(\d+\.\d+)\]", settings["text"])
    model, styles = speaker(material, settings["seed"])
    chooser, phonemiser = random.Random(settings["seed"]), phonemes.Phonemiser(voice[0] == "b")
    pieces, spoken = [numpy.zeros(store.RATE_HZ // 2, numpy.int16)], []
    for text, pause_s in zip(parts[0::2], parts[1::2]):
        text = " ".join(text.split())
        if sentences.normalise(text) in known:
            raise ValueError(f"the sample's sentence is in the table of sentences: {text}")
        job = (phonemiser(text).lstrip(phonemes.UNALIGNED).split("|"), False, voice, 1.0, 0)
        for _, samples, _ in voices.speak(model, styles, [job], material.vocabulary, chooser, 12.0):
            pieces += [samples, numpy.zeros(int(float(pause_s) * store.RATE_HZ), numpy.int16)]
        spoken.append(text)
    samples = numpy.concatenate(pieces)
    noise = numpy.random.default_rng(settings["seed"]).normal(0, settings["noise_level"], len(samples))
    samples = (samples + noise * 32768).clip(-32768, 32767).astype(numpy.int16)
    soundfile.write(path, samples, store.RATE_HZ)
    pathlib.Path(path).with_suffix(".txt").write_text(" ".join(spoken) + "\n", encoding="utf-8")
    print(f"{path}: {len(samples) / store.RATE_HZ:.1f} s")
