"""Batches of examples as arrays: where samples come from, tokens, labels and helper targets."""

import dataclasses
import functools
import itertools
import random

import numpy

from . import examples, prompt

NO_LABEL = -100     # a label that is not counted
SEGMENTS = 4        # recordings in an example, at most
SCENE_WORDS = 40    # word pieces of a scene's sentence and its end, at most
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


@dataclasses.dataclass
class Row:
    """Token ids of one example: before the soft tokens, how many of those, and after them.

    learnt: for each id of `after`, whether the model has to say it."""
    before: list
    soft: int
    after: list
    learnt: list

    def __len__(self):
        return len(self.before) + self.soft + len(self.after)


class Layout:
    """Lays examples out as token ids, as captiond lays its requests out."""

    def __init__(self, tokenizer, language):
        token = tokenizer.token_to_id
        self.tokenizer, self.language = tokenizer, language
        self.audio_id, self.image_id = token(prompt.AUDIO_FRAME), token(prompt.IMAGE_PATCH)
        self.video_id, self.end_id = token(prompt.VIDEO_PATCH), token(prompt.TURN_END)
        self.before, self.after = prompt.transcription_tokens(tokenizer, language)
        self.translation_before = {target: prompt.translation_tokens(tokenizer, target, language)[0]
                                   for target in prompt.LANGUAGES if target != language}
        self.follow_up = {target: prompt.follow_up_parts(tokenizer, target, language)
                          for target in self.translation_before}
        self.scene_before, self.scene_after = prompt.scene_tokens(tokenizer)
        self.video_parts = functools.cache(lambda frames: prompt.video_tokens(tokenizer, range(frames)))

    def ids(self, text):
        return prompt.encode(self.tokenizer, text)

    def speech_row(self, example):
        """The question about speech that the example's form asks, and its answer."""
        transcript = self.ids(example.text)
        if example.form == examples.DIRECT:
            answer = transcript + self.ids(f"\n{example.language}: {example.translation}") + [self.end_id]
            return Row(self.translation_before[example.language], example.frames, self.after + answer,
                       [False] * len(self.after) + [True] * len(answer))
        after, learnt = self.after + transcript, [False] * len(self.after) + [example.heard] * len(transcript)
        if example.form == examples.TRANSCRIBE:
            return Row(self.before, example.frames, after + [self.end_id], learnt + [True])
        asked, begun = self.follow_up[example.language]
        asked = asked + transcript + begun
        answer = self.ids(" " + example.translation) + [self.end_id]
        # The first token asked is the end of the turn, which is learnt if the transcript is.
        return Row(self.before, example.frames, after + asked + answer,
                   learnt + [example.heard] + [False] * (len(asked) - 1) + [True] * len(answer))

    def scene_row(self, patches, text):
        answer = self.ids(text) + [self.end_id]
        return Row(self.scene_before, patches, self.scene_after + answer,
                   [False] * len(self.scene_after) + [True] * len(answer))


    def video_before(self, frames, count):
        """Token ids before the last frame's `count` soft tokens."""
        *before, last = self.video_parts(frames)[:-1]
        return [one for part in before for one in part + [self.video_id] * count] + last

    def video_begins(self, frames, count):
        """First soft position of each frame."""
        ends = itertools.accumulate(len(part) + count for part in self.video_parts(frames)[:-1])
        return tuple(end - count for end in ends)

    def video_row(self, frames, count, text):
        after, answer = self.video_parts(frames)[-1], self.ids(text) + [self.end_id]
        return Row(self.video_before(frames, count), count, after + answer,
                   [False] * len(after) + [True] * len(answer))


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a batch: rows, positions of a row, frames of a row, labels in all."""
    rows: int
    width: int
    frames: int
    labels: int

    def takes(self, row):
        return row.soft <= self.frames and len(row) <= self.width


# Frames and positions of the buckets: few, because each shape is recorded once.
FRAMES = (24, 40, 56, 72, 88, 104, 124, 148, 176, 208, 244, 284, 332, 388)
LABELS = 0.16       # labels a position


def shapes(budget):
    """Shapes of speech batches of about so many positions, the narrowest first."""
    widths = [(-(-int(frames * 1.26 + 34) // 8) * 8, frames) for frames in FRAMES]
    out = []
    for width, frames in widths:
        rows = max(16, round(budget / width / 16) * 16)
        out.append(Shape(rows, width, frames, -(-int(rows * width * LABELS) // 64) * 64))
    return out


class Filler:
    """Sorts rows into batches of fixed shapes. A batch is given out when it is full."""

    def __init__(self, all_shapes):
        self.shapes, self.waiting = all_shapes, [[] for _ in all_shapes]
        self.learnt = [0] * len(all_shapes)

    def add(self, item, row):
        """(shape, items) if the item, whose Row is given, made its batch full; items that no shape
        takes are left out."""
        place = next((place for place, shape in enumerate(self.shapes) if shape.takes(row)), None)
        if place is None:
            return None
        shape, labels, out = self.shapes[place], sum(row.learnt), None
        if self.learnt[place] + labels > shape.labels or len(self.waiting[place]) == shape.rows:
            out, self.waiting[place], self.learnt[place] = (shape, self.waiting[place]), [], 0
        self.waiting[place].append(item)
        self.learnt[place] += labels
        return out


def token_arrays(rows, soft_id, shape):
    """tokens int64 [B, L], label_at int64 [K] (flat positions that predict), labels int64 [K], with
    NO_LABEL where there are fewer labels."""
    tokens = numpy.zeros((shape.rows, shape.width), numpy.int64)
    labels, label_at = [], []
    for number, row in enumerate(rows):
        line = row.before + [soft_id] * row.soft + row.after
        tokens[number, :len(line)] = line
        first = number * shape.width + len(row.before) + row.soft - 1
        for place, (token, learnt) in enumerate(zip(row.after, row.learnt)):
            if learnt:
                labels.append(token)
                label_at.append(first + place)
    missing = shape.labels - len(labels)
    return {"tokens": tokens, "labels": numpy.array(labels + [NO_LABEL] * missing, numpy.int64),
            "label_at": numpy.array(label_at + [0] * missing, numpy.int64)}


def collate(chosen, rows, layout, shape):
    """Arrays of a batch of at most B examples of speech; besides `token_arrays`:

    source int64 [B, SEGMENTS], begin, length int64 [B, SEGMENTS] (samples), rate float32 [B],
    frames int64 [B], soft_at int64 [B] (first audio position), has_words bool [B], letters int64 [sum],
    letter_count int64 [B], frame_places int64 [] (T). Rows without an example hear and say nothing."""
    source, begin, length = (numpy.zeros((shape.rows, SEGMENTS), numpy.int64) for _ in range(3))
    rate, counts = numpy.ones(shape.rows, numpy.float32), numpy.zeros(shape.rows, numpy.int64)
    soft, soft_at = numpy.ones(shape.rows, numpy.int64), numpy.zeros(shape.rows, numpy.int64)
    has_words, letters = numpy.zeros(shape.rows, bool), []
    for number, (example, row) in enumerate(zip(chosen, rows)):
        for place, segment in enumerate(example.segments):
            source[number, place], begin[number, place] = segment.source, segment.begin
            length[number, place] = segment.length
        spoken = examples.spoken_letters(example.text, LETTERS) if example.heard else []
        letters += spoken
        counts[number], rate[number], has_words[number] = len(spoken), example.rate, example.has_words
        soft[number], soft_at[number] = row.soft, len(row.before)
    return token_arrays(rows, layout.audio_id, shape) | {
        "source": source, "begin": begin, "length": length, "rate": rate, "frames": soft, "soft_at": soft_at,
        "has_words": has_words, "letters": numpy.array(letters, numpy.int64), "letter_count": counts,
        "frame_places": numpy.array(shape.frames, numpy.int64)}


def collate_scenes(scenes, layout):
    """Arrays of a batch of scenes of one grid: `token_arrays`, patches uint8 [B, N, 6912], things
    int64 [B, N, 2] (numbers of the noun and the colour on each patch) and columns, the grid's width. Of videos
    with F frames patches are [B, F, N, 6912] and things [B, F, N, 2]."""
    *frames, count, _ = scenes[0].patches.shape
    if frames:
        rows, soft_id = [layout.video_row(*frames, count, scene.text) for scene in scenes], layout.video_id
    else:
        rows, soft_id = [layout.scene_row(count, scene.text) for scene in scenes], layout.image_id
    asked = max(len(row) - sum(row.learnt) for row in rows)
    width = -(-(asked + SCENE_WORDS) // 8) * 8
    return token_arrays(rows, soft_id, Shape(len(rows), width, count, len(rows) * SCENE_WORDS)) | {
        "patches": numpy.stack([scene.patches for scene in scenes]),
        "things": numpy.stack([scene.labels for scene in scenes]).astype(numpy.int64),
        "columns": numpy.array(scenes[0].columns, numpy.int64)}


class SceneBatches:
    """Batches of pictures from `scenes` (pictures.Scenes), each of one shape; video_share of them are videos."""

    def __init__(self, scenes, layout, budget, chooser, video_share=0.0):
        self.scenes, self.layout, self.budget, self.chooser = scenes, layout, budget, chooser
        groups = scenes.groups()
        self.groups = list(groups.values())
        moving = [len(shape) == 3 for shape in groups]
        sums = {kind: sum(len(one) for one, own in zip(self.groups, moving) if own == kind) for kind in (False, True)}
        if video_share and not sums[True]:
            raise ValueError(f"a share {video_share} of the scenes shall be videos, and there are none: "
                             "give pictures.video_share to make-pictures")
        shares = {True: video_share, False: 1 - video_share}
        self.weights = [shares[own] * len(one) / sums[own] for one, own in zip(self.groups, moving)]

    def fits(self, scene):
        return len(self.layout.ids(scene.text)) < SCENE_WORDS

    def next(self):
        numbers = self.chooser.choices(self.groups, self.weights)[0]
        rows, columns, *frames = self.scenes.shape(int(numbers[0]))
        row = (self.layout.video_row(*frames, rows * columns, "") if frames
               else self.layout.scene_row(rows * columns, ""))
        places = len(row) + 23
        size, chosen = max(1, self.budget // places), []
        while len(chosen) < size:
            scene = self.scenes[int(self.chooser.choice(numbers))]
            if self.fits(scene):
                chosen.append(scene)
        return collate_scenes(chosen, self.layout)


def speech_stream(planner, layout, settings, seed, is_short, budget):
    """Batches of speech of about `budget` positions, without end. is_short(): whether short examples are
    wanted now."""
    chooser, filler = random.Random(seed), Filler(shapes(budget))
    while True:
        example = planner.make(chooser, is_short())
        row = layout.speech_row(example)
        full = filler.add((example, row), row)
        if full:
            shape, items = full
            yield collate([item[0] for item in items], [item[1] for item in items], layout, shape)


def scene_stream(scenes, layout, seed, budget, video_share=0.0):
    """Batches of pictures of about `budget` positions, without end."""
    pictures = SceneBatches(scenes, layout, budget, random.Random(seed), video_share)
    while True:
        yield pictures.next()
