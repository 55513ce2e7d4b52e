"""Training examples: recordings joined, cut in the middle, or without words, with the words that are
heard and sometimes their translation.

An example is a plan; the samples are put together later, on the accelerator. All times are samples
at 16 kHz of the example's own clock, all randomness comes from the generator that is handed in."""

import dataclasses
import re

import numpy

from . import frames, sentences, store

RATE = store.RATE_HZ
WORD_TOLERANCE = RATE // 20       # a word counts as spoken up to 50 ms before its computed end
PAUSE_OF_MARK = RATE // 4         # a mark after the last word is heard only in a pause this long
TRANSCRIBE, DIRECT, FOLLOW_UP = "transcribe", "direct", "follow up"   # what the model is asked for
ABBREVIATION = re.compile(r"\w\.\w\.$")


@dataclasses.dataclass
class Segment:
    """A piece of the flat array of samples and its place in the example."""
    source: int           # first sample in the flat array
    begin: int            # first sample in the example
    length: int           # samples in the example; it covers length * rate samples of the source


@dataclasses.dataclass
class Example:
    """segments, samples in all, playing rate (1.1: faster and higher), transcript; for the forms
    other than TRANSCRIBE also the language (an English name) and the translation."""
    segments: list
    length: int
    rate: float
    text: str
    form: str = TRANSCRIBE
    language: str = ""
    translation: str = ""
    has_words: bool = True       # whether there is a voice in the segments

    @property
    def frames(self):
        return frames.count(self.length)

    @property
    def heard(self):
        """Whether the transcript is to be heard; otherwise it is given, for its translation."""
        return self.form != FOLLOW_UP or self.has_words


def without_last_mark(text):
    """The text without punctuation at its end; abbreviations such as 'a.m.' keep theirs."""
    return text if ABBREVIATION.search(text) else text.rstrip(".,;:?!-")


def words_until(words, ends, limit, whole):
    """The words that end by `limit`, as a caption shows them while the sentence goes on.

    whole: the text if nothing is missing. Times are samples of the recording."""
    if not len(ends) or limit >= ends[-1] + PAUSE_OF_MARK:
        return whole
    number = sum(1 for end in ends if end <= limit + WORD_TOLERANCE)
    if not number:
        return ""
    text = " ".join(words[:number])
    heard_pause = limit - ends[number - 1] >= PAUSE_OF_MARK
    return text if heard_pause else without_last_mark(text)


class Planner:
    """Makes examples from an index of recordings and the table of sentences."""

    def __init__(self, index, texts, settings, translations=None):
        """texts: transcript of each row of the table of sentences; translations: row ->
        {language: text}, of training rows alone."""
        self.index, self.texts, self.settings = index, texts, settings
        self.translations = translations or {}
        self.by_speaker, self.spoken, self.wordless, self.people, self.translated = {}, [], [], [], []
        self.short, self.taken = [], 0
        self.take()

    def take(self):
        """Takes the recordings that the index got since the last time."""
        index, first, short = self.index, self.taken, self.settings["short_samples"]
        engines = getattr(index, "engine", numpy.zeros(len(index), numpy.int8))
        for number, (speaker, row, engine) in enumerate(zip(
                index.speaker[first:].tolist(), index.sentence[first:].tolist(), engines[first:].tolist()), first):
            (self.spoken if row >= 0 else self.wordless).append(number)
            if row >= 0 and speaker >= 0:
                self.by_speaker.setdefault(speaker, []).append(number)
            if engine == store.ENGINES.index("person"):
                self.people.append(number)
            if row in self.translations:
                self.translated.append(number)
            if row >= 0 and index.length[number] <= short:
                self.short.append(number)
        self.taken = len(index)

    def rate(self, random, varied):
        share = self.settings["rate_share"] if varied else 0.0
        return random.uniform(self.settings["rate_min"], self.settings["rate_max"]) if random.random() < share else 1.0

    def edge(self, random):
        """Samples of silence at an end; any number, so that frames begin anywhere in the wave."""
        longest = 1.6 if random.random() < 0.15 else 0.45
        return int(random.uniform(0, longest) * RATE)

    def short_example(self, random):
        """One whole short recording."""
        number = random.choice(self.short)
        lead, length = random.randint(0, 2560), int(self.index.length[number])
        text = self.texts[self.index.sentence[number]]
        return Example([Segment(int(self.index.start[number]), lead, length)],
                       lead + length + random.randint(0, 2560), 1.0, text)

    def wordless_example(self, random):
        """Nothing, or music or typing, with nothing to say; what else is added comes later."""
        length = random.randint(RATE // 3, 9 * RATE)
        if not self.wordless or random.random() < self.settings["silent_share"]:
            return Example([], length, 1.0, "", has_words=False)
        number = random.choice(self.wordless)
        length = min(length, int(self.index.length[number]))
        first = random.randint(0, int(self.index.length[number]) - length)
        segment = Segment(int(self.index.start[number]) + first, 0, length)
        return Example([segment], length, 1.0, "", has_words=False)

    def fragment(self, random, number):
        """(first source sample, samples, words, word ends, has its beginning) of a recording or,
        sometimes, of its rest from a random word on."""
        words = self.texts[self.index.sentence[number]].split()
        begins, ends = self.index.word_times(number)
        begins, ends = begins.tolist(), ends.tolist()
        length = int(self.index.length[number])
        if len(ends) > 3 and random.random() < self.settings["late_start_share"]:
            first = random.randint(1, len(ends) - 2)
            at = max(ends[first - 1], begins[first] - random.randint(160, 800))
            return at, length - at, words[first:], [end - at for end in ends[first:]]
        return 0, length, words, ends

    def next_number(self, random, number):
        """Another recording, of the same speaker where that is known and chance wants it."""
        same = self.by_speaker.get(int(self.index.speaker[number]))
        if same and random.random() < 0.7:
            return random.choice(same)
        return random.choice(self.spoken)

    def first_number(self, random):
        """A recording; people, of whom there are few, more often than by their number."""
        if self.people and random.random() < self.settings["people_share"]:
            return random.choice(self.people)
        return random.choice(self.spoken)

    def pause(self, random):
        return int(random.uniform(0.02, 0.7) * RATE)

    def joined(self, random):
        """One to several recordings with pauses, [(segment, words, word ends at rate 1)], samples."""
        rate, at, parts = self.rate(random, True), self.edge(random), []
        wanted = random.uniform(1.0, self.settings["seconds_max"]) * RATE
        limit = self.settings["seconds_max"] * RATE
        number = self.first_number(random)
        join = random.random() < self.settings["join_share"]
        while True:
            offset, length, words, ends = self.fragment(random, number)
            size = int(length / rate)
            if at + size > limit:
                break
            parts.append((Segment(int(self.index.start[number]) + offset, at, size), words, ends))
            at += size
            if not join or at > wanted or len(parts) == self.settings["segments_max"]:
                break
            at += self.pause(random)
            number = self.next_number(random, number)
        return rate, at + self.edge(random), parts

    def translated_example(self, random):
        """One or two whole recordings whose sentences have a translation, or a given transcript
        with hardly any audio, which teaches the translation alone."""
        chosen = [random.choice(self.translated)]
        if random.random() < self.settings["translated_pair_share"]:
            chosen.append(random.choice(self.translated))
        rows = [int(self.index.sentence[number]) for number in chosen]
        languages = sorted(set(self.translations[rows[0]]).intersection(*(self.translations[row] for row in rows)))
        if not languages:
            chosen, rows, languages = chosen[:1], rows[:1], sorted(self.translations[rows[0]])
        language = random.choice(languages)
        form = DIRECT if random.random() < self.settings["direct_share"] else FOLLOW_UP
        text = " ".join(self.texts[row] for row in rows)
        translation = " ".join(self.translations[row][language] for row in rows)
        if form == FOLLOW_UP and random.random() < self.settings["unheard_share"]:
            return Example([], random.randint(1, RATE // 4), 1.0, text, form, language, translation, has_words=False)
        rate, at, segments = self.rate(random, True), self.edge(random), []
        for number in chosen:
            size = int(int(self.index.length[number]) / rate)
            segments.append(Segment(int(self.index.start[number]), at, size))
            at += size + self.pause(random)
        if at > self.settings["seconds_max"] * RATE:
            return None
        return Example(segments, at + self.edge(random), rate, text, form, language, translation)

    def text_until(self, parts, rate, limit):
        """Transcript of the parts heard before `limit` (samples of the example)."""
        out = []
        for segment, words, ends in parts:
            if segment.begin >= limit:
                break
            if segment.begin + segment.length <= limit:
                out.append(" ".join(words))
            else:
                heard = int((limit - segment.begin) * rate)
                out.append(words_until(words, ends, heard, " ".join(words)))
        return " ".join(piece for piece in out if piece)

    def heard_example(self, random):
        """What a live caption meets: joined and cut."""
        rate, length, parts = self.joined(random)
        while not parts:
            rate, length, parts = self.joined(random)
        length = min(length, int(self.settings["seconds_max"] * RATE))
        if random.random() < self.settings["cut_share"] and all(len(ends) for _, _, ends in parts):
            length = random.randint(min(RATE // 4, length - 1), length)
        segments = []
        for segment, _, _ in parts:
            if segment.begin < length:
                segments.append(Segment(segment.source, segment.begin, min(segment.length, length - segment.begin)))
        return Example(segments, length, rate, self.text_until(parts, rate, length))

    def full_example(self, random):
        """One of all kinds."""
        chance = random.random()
        if chance < self.settings["silence_share"]:
            return self.wordless_example(random)
        if self.translated and chance > 1 - self.settings["translated_share"]:
            return self.translated_example(random) or self.heard_example(random)
        return self.heard_example(random)

    def make(self, random, short):
        return self.short_example(random) if short else self.full_example(random)


def spoken_letters(text, letters):
    """Numbers (from 1) of the letters of a text as it is spoken; for the helper loss."""
    return [letters.index(letter) + 1 for letter in sentences.normalise(text) if letter in letters]
