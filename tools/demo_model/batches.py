"""Batches of examples as arrays: where samples come from, tokens, labels and helper targets."""

import dataclasses
import random

import numpy

from . import examples, prompt

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
        self.end_id = token(prompt.TURN_END)
        self.before, self.after = prompt.transcription_tokens(tokenizer, language)
        self.translation_before = {target: prompt.translation_tokens(tokenizer, target, language)[0]
                                   for target in prompt.LANGUAGES if target != language}
        self.follow_up = {target: prompt.follow_up_parts(tokenizer, target, language)
                          for target in self.translation_before}
        self.scene_before, self.scene_after = prompt.scene_tokens(tokenizer)

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


def group(sizes, budget):
    """Numbers of items in groups of similar size whose padded size stays within the budget."""
    groups, current = [], []
    for number in sorted(range(len(sizes)), key=lambda number: sizes[number]):
        if current and (len(current) + 1) * sizes[number] > budget:
            groups.append(current)
            current = []
        current.append(number)
    return groups + [current] if current else groups


def token_arrays(rows, soft_id):
    """tokens int64 [B, L], label_at int64 [N] (flat positions that predict), labels int64 [N]."""
    width = -(-max(map(len, rows)) // 16) * 16
    tokens = numpy.zeros((len(rows), width), numpy.int64)
    labels, label_at = [], []
    for number, row in enumerate(rows):
        line = row.before + [soft_id] * row.soft + row.after
        tokens[number, :len(line)] = line
        first = number * width + len(row.before) + row.soft - 1
        for place, (token, learnt) in enumerate(zip(row.after, row.learnt)):
            if learnt:
                labels.append(token)
                label_at.append(first + place)
    return {"tokens": tokens, "labels": numpy.array(labels, numpy.int64),
            "label_at": numpy.array(label_at, numpy.int64)}


def collate(chosen, rows, layout):
    """Arrays of a batch of B examples of speech with up to K segments; besides `token_arrays`:

    source int64 [B, K], begin, length int64 [B, K] (samples), rate float32 [B], frames int64 [B],
    soft_at int64 [B] (first audio position), has_words bool [B], letters int64 [sum],
    letter_count int64 [B]."""
    places = max([1] + [len(example.segments) for example in chosen])
    source, begin, length = (numpy.zeros((len(rows), places), numpy.int64) for _ in range(3))
    letters, counts = [], []
    for row, example in enumerate(chosen):
        for place, segment in enumerate(example.segments):
            source[row, place], begin[row, place] = segment.source, segment.begin
            length[row, place] = segment.length
        spoken = examples.spoken_letters(example.text, LETTERS) if example.heard else []
        letters += spoken
        counts.append(len(spoken))
    return token_arrays(rows, layout.audio_id) | {
        "source": source, "begin": begin, "length": length,
        "rate": numpy.array([example.rate for example in chosen], numpy.float32),
        "frames": numpy.array([example.frames for example in chosen], numpy.int64),
        "soft_at": numpy.array([len(row.before) for row in rows], numpy.int64),
        "has_words": numpy.array([example.has_words for example in chosen], bool),
        "letters": numpy.array(letters, numpy.int64), "letter_count": numpy.array(counts, numpy.int64)}


def collate_scenes(scenes, layout):
    """Arrays of a batch of scenes of one grid: `token_arrays`, patches uint8 [B, N, 6912], things
    int64 [B, N, 2] (numbers of the noun and the colour on each patch) and columns, the grid's width."""
    rows = [layout.scene_row(len(scene.patches), scene.text) for scene in scenes]
    return token_arrays(rows, layout.image_id) | {
        "patches": numpy.stack([scene.patches for scene in scenes]),
        "things": numpy.stack([scene.labels for scene in scenes]).astype(numpy.int64),
        "columns": numpy.array(scenes[0].columns, numpy.int64)}


class SceneBatches:
    """Batches of pictures from `scenes` (pictures.Scenes), each of one grid."""

    def __init__(self, scenes, layout, budget, chooser):
        self.scenes, self.layout, self.budget, self.chooser = scenes, layout, budget, chooser
        self.groups = [numbers for numbers in scenes.groups().values() if len(numbers)]
        self.weights = [len(numbers) for numbers in self.groups]

    def next(self):
        numbers = self.chooser.choices(self.groups, self.weights)[0]
        rows, _ = self.scenes.shape(int(numbers[0]))
        size = max(1, self.budget // (rows + len(self.layout.scene_before) + len(self.layout.scene_after) + 24))
        chosen = [self.scenes[int(self.chooser.choice(numbers))] for _ in range(size)]
        return collate_scenes(chosen, self.layout)


def stream(planner, layout, settings, seed, is_short, scenes=None):
    """Batches without end. is_short(): whether short examples are wanted now; then there are no
    scenes either."""
    chooser = random.Random(seed)
    pictures = SceneBatches(scenes, layout, settings["scene_tokens_per_batch"], chooser) if scenes else None
    while True:
        chosen = [planner.make(chooser, is_short()) for _ in range(settings["pool"])]
        rows = [layout.speech_row(example) for example in chosen]
        groups = group([len(row) for row in rows], settings["tokens_per_batch"])
        chooser.shuffle(groups)
        for numbers in groups:
            if pictures and not is_short() and chooser.random() < settings["scene_share"]:
                yield pictures.next()
            yield collate([chosen[n] for n in numbers], [rows[n] for n in numbers], layout)
