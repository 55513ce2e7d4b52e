"""Batches of examples as arrays: where samples come from, tokens, labels and helper targets."""

import random

import numpy

from . import examples

LETTERS = " abcdefghijklmnopqrstuvwxyz'"


class Layout:
    """Token ids of one example: prompt, audio frames, end of the prompt, transcript, end of turn."""

    def __init__(self, tokenizer, before, after, audio_id, end_id):
        self.tokenizer, self.before, self.after = tokenizer, before, after
        self.audio_id, self.end_id = audio_id, end_id

    def transcript(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids + [self.end_id]

    def size(self, frames, transcript):
        return len(self.before) + frames + len(self.after) + len(transcript)


def group(sizes, budget):
    """Numbers of items in groups of similar size whose padded size stays within the budget."""
    groups, current = [], []
    for number in sorted(range(len(sizes)), key=lambda number: sizes[number]):
        if current and (len(current) + 1) * sizes[number] > budget:
            groups.append(current)
            current = []
        current.append(number)
    return groups + [current] if current else groups


def collate(chosen, transcripts, layout):
    """Arrays of a batch of B examples with up to K segments, L tokens:

    source int64 [B, K], begin, length int64 [B, K] (samples), rate float32 [B], frames int64 [B],
    tokens int64 [B, L], label_at int64 [N] (flat positions that predict), labels int64 [N],
    letters int64 [sum], letter_count int64 [B]."""
    rows = len(chosen)
    width = max(layout.size(example.frames, ids) for example, ids in zip(chosen, transcripts))
    width = -(-width // 16) * 16
    places = max([1] + [len(example.segments) for example in chosen])
    source, begin, length = (numpy.zeros((rows, places), numpy.int64) for _ in range(3))
    tokens = numpy.zeros((rows, width), numpy.int64)
    labels, label_at, letters, counts = [], [], [], []
    for row, (example, ids) in enumerate(zip(chosen, transcripts)):
        for place, segment in enumerate(example.segments):
            source[row, place], begin[row, place] = segment.source, segment.begin
            length[row, place] = segment.length
        line = layout.before + [layout.audio_id] * example.frames + layout.after
        tokens[row, :len(line)] = line
        tokens[row, len(line):len(line) + len(ids)] = ids
        labels += ids
        label_at += range(row * width + len(line) - 1, row * width + len(line) - 1 + len(ids))
        spoken = examples.spoken_letters(example.text, LETTERS)
        letters += spoken
        counts.append(len(spoken))
    return {"source": source, "begin": begin, "length": length,
            "rate": numpy.array([example.rate for example in chosen], numpy.float32),
            "frames": numpy.array([example.frames for example in chosen], numpy.int64),
            "tokens": tokens, "labels": numpy.array(labels, numpy.int64),
            "label_at": numpy.array(label_at, numpy.int64), "letters": numpy.array(letters, numpy.int64),
            "letter_count": numpy.array(counts, numpy.int64)}


def stream(planner, layout, settings, seed, is_short):
    """Batches without end. is_short(): whether short examples are wanted now."""
    chooser = random.Random(seed)
    while True:
        chosen = [planner.make(chooser, is_short()) for _ in range(settings["pool"])]
        transcripts = [layout.transcript(example.text) for example in chosen]
        sizes = [layout.size(example.frames, ids) for example, ids in zip(chosen, transcripts)]
        groups = group(sizes, settings["tokens_per_batch"])
        chooser.shuffle(groups)
        for numbers in groups:
            yield collate([chosen[n] for n in numbers], [transcripts[n] for n in numbers], layout)
