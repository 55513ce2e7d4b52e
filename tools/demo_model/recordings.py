"""`pack-recordings`: the recordings that `evaluate` needs packages and engines for, as one zip of FLAC files
with `items.tsv`: FILE, SET, VOICE, TEXT. With it a machine that has none of them evaluates the same samples."""

import io
import pathlib
import zipfile

import soundfile

from . import people, quiet, store, unseen_engine

PIPER = "a Piper voice, never heard"
ENGINE = "an engine never heard in training"


def gather(arguments, texts, number, seed):
    """set -> [(voice, text, samples int16)] of what the arguments of `evaluate` name; texts: the sentences
    that engines speak so many of."""
    out = {}
    if arguments.unseen_voice:
        made = unseen_engine.piper_recordings(texts, arguments.espeak, arguments.unseen_voice, number, seed)
        out[PIPER] = [("", text, samples) for text, samples in made]
    if arguments.unseen_engine:
        out[ENGINE] = unseen_engine.recordings(texts, arguments.unseen_engine, number, seed)
    if arguments.people:
        for name, items in people.sets(pathlib.Path(arguments.people)):
            out[name] = [("", text, samples) for text, samples in items]
    if arguments.sounds:
        for kind, samples in quiet.recorded(pathlib.Path(arguments.sounds), seed):
            out.setdefault(kind, []).append(("", "", samples))
    return out


def write(sets, path):
    """Writes the zip; the samples come back as they are."""
    lines = []
    with zipfile.ZipFile(path, "w") as archive:
        for name, items in sets.items():
            for voice, text, samples in items:
                if any(mark in text for mark in "\t\n"):
                    raise ValueError(f"{name}: a text with a tab or a line end: {text!r}")
                packed = io.BytesIO()
                soundfile.write(packed, samples, store.RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=1.0)
                lines.append(f"{len(lines):04d}.flac\t{name}\t{voice}\t{text}")
                archive.writestr(zipfile.ZipInfo(lines[-1].partition("\t")[0]), packed.getvalue())
        archive.writestr(zipfile.ZipInfo("items.tsv"), "\n".join(lines) + "\n")
    print(f"{path}: {len(lines)} recordings, " + ", ".join(f"{len(items)} {name}" for name, items in sets.items()))


def read(path):
    """What `gather` gave to `write`."""
    out = {}
    with zipfile.ZipFile(path) as archive:
        for line in archive.read("items.tsv").decode().splitlines():
            file, name, voice, text = line.split("\t")
            samples, rate_hz = soundfile.read(io.BytesIO(archive.read(file)), dtype="int16")
            if rate_hz != store.RATE_HZ:
                raise ValueError(f"{path}: {file} has {rate_hz} Hz instead of {store.RATE_HZ}; pack it anew")
            out.setdefault(name, []).append((voice, text, samples))
    return out
