"""A store of recordings: one flat file of samples and an index, in a folder.

  speech.i16   int16 samples at 16 kHz, one recording after the other
  index.npz    start      int64 [U]    first sample of each recording
               length     int32 [U]    its samples
               sentence   int32 [U]    its row in the table of sentences, or -1: no words in it
               speaker    int16 [U]    number of its voice, unique over all stores, or -1: unknown
               engine     int8  [U]    number of its engine in ENGINES
               words_at   int64 [U+1]  its part of the two arrays below (empty: no word times)
               word_begin int32 [W]    sample where a word begins, from the recording's start
               word_end   int32 [W]    sample where it ends

A store may be read while it is written: the index is always whole, and true of the samples so far.
"""

import os
import pathlib

import numpy

RATE_HZ = 16000
ENGINES = ("kokoro", "espeak-ng", "flite", "person", "rhvoice", "pico", "background")
FIELDS = {"start": numpy.int64, "length": numpy.int32, "sentence": numpy.int32,
          "speaker": numpy.int16, "engine": numpy.int8}


class Writer:
    """Appends recordings to a folder; `close` (or `flush`) writes the index."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.samples = open(self.folder / "speech.i16", "wb")
        self.rows = {name: [] for name in FIELDS}
        self.words, self.words_at, self.total = [], [0], 0

    def add(self, samples, sentence, speaker, engine, word_times=()):
        """samples int16 [N]; word_times: (begin, end) in samples of each word, or nothing."""
        self.samples.write(samples.tobytes())
        row = (self.total, len(samples), sentence, speaker, ENGINES.index(engine))
        for name, value in zip(FIELDS, row):
            self.rows[name].append(value)
        self.words += word_times
        self.words_at.append(len(self.words))
        self.total += len(samples)

    def flush(self):
        self.samples.flush()
        words = numpy.array(self.words, numpy.int32).reshape(-1, 2)
        arrays = {name: numpy.array(self.rows[name], kind) for name, kind in FIELDS.items()}
        fresh = self.folder / "index-new.npz"
        numpy.savez(fresh, words_at=numpy.array(self.words_at, numpy.int64),
                    word_begin=words[:, 0], word_end=words[:, 1], **arrays)
        os.replace(fresh, self.folder / "index.npz")

    def close(self):
        self.flush()
        self.samples.close()

    @property
    def hours(self):
        return self.total / RATE_HZ / 3600


class Index:
    """The indices of several stores as one; `parts` lists (samples file, first sample in it, samples)
    in the order of `start`."""

    def __init__(self, folders=()):
        self.parts, self.samples_total, self.known = [], 0, {}
        for name in (*FIELDS, "word_begin", "word_end"):
            setattr(self, name, numpy.zeros(0, FIELDS.get(name, numpy.int32)))
        self.words_at = numpy.zeros(1, numpy.int64)
        self.append([(folder, None) for folder in folders])

    def append(self, stores):
        """Adds the recordings that each of (folder, rows) has beyond those added before, up to so many
        rows of the store, or all of them (None)."""
        added = {name: [getattr(self, name)] for name in (*FIELDS, "word_begin", "word_end", "words_at")}
        words = len(self.word_begin)
        for folder, rows in stores:
            with numpy.load(pathlib.Path(folder) / "index.npz") as file:
                arrays = dict(file)
            new = slice(self.known.get(str(folder), 0), rows)
            pieces = {name: arrays[name][new] for name in FIELDS}
            if not len(pieces["start"]):
                continue
            first, size = int(pieces["start"][0]), int(pieces["length"].sum())
            self.parts.append((pathlib.Path(folder) / "speech.i16", first, size))
            self.known[str(folder)] = new.start + len(pieces["start"])
            pieces["start"] = pieces["start"] - first + self.samples_total
            ends = arrays["words_at"][new.start:self.known[str(folder)] + 1]
            for name in ("word_begin", "word_end"):
                pieces[name] = arrays[name][ends[0]:ends[-1]]
            pieces["words_at"] = ends[1:] - ends[0] + words
            self.samples_total += size
            words += len(pieces["word_begin"])
            for name, piece in pieces.items():
                added[name].append(piece)
        for name, pieces in added.items():
            setattr(self, name, numpy.concatenate(pieces))

    def __len__(self):
        return len(self.start)

    def word_times(self, number):
        """(begins, ends) of a recording's words in samples; empty arrays if unknown."""
        part = slice(int(self.words_at[number]), int(self.words_at[number + 1]))
        return self.word_begin[part], self.word_end[part]

    def read(self, number):
        """Samples of one recording, int16 [N]."""
        start, length = int(self.start[number]), int(self.length[number])
        for path, first, size in self.parts:
            if start < size:
                return numpy.fromfile(path, numpy.int16, count=length, offset=2 * (first + start))
            start -= size
        raise IndexError(f"recording {number} is outside the store")
