"""Training examples: recordings joined, cut in the middle, or silent, with the words that are heard.

An example is a plan; the samples are put together later, on the accelerator. All times are samples
at 16 kHz of the example's own clock, all randomness comes from the generator that is handed in."""

import dataclasses
import re

from . import frames, sentences, store

RATE = store.RATE_HZ
WORD_TOLERANCE = RATE // 50       # a word counts as spoken up to 20 ms before its computed end
PAUSE_OF_MARK = RATE // 4         # a mark after the last word is heard only in a pause this long
ABBREVIATION = re.compile(r"\w\.\w\.$")


@dataclasses.dataclass
class Segment:
    """A piece of the flat array of samples and its place in the example."""
    source: int           # first sample in the flat array
    begin: int            # first sample in the example
    length: int           # samples in the example; it covers length * rate samples of the source


@dataclasses.dataclass
class Example:
    """segments, samples in all, playing rate (1.1: faster and higher), transcript."""
    segments: list
    length: int
    rate: float
    text: str

    @property
    def frames(self):
        return frames.count(self.length)


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

    def __init__(self, index, texts, settings):
        """texts: transcript of each row of the table of sentences."""
        self.index, self.texts, self.settings = index, texts, settings
        self.by_speaker = {}
        for number, speaker in enumerate(index.speaker.tolist()):
            if speaker >= 0:
                self.by_speaker.setdefault(speaker, []).append(number)
        short = settings["short_samples"]
        self.short = [number for number, length in enumerate(index.length.tolist()) if length <= short]

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

    def silence(self, random):
        return Example([], random.randint(RATE // 3, 8 * RATE), 1.0, "")

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
        return random.randrange(len(self.index))

    def joined(self, random):
        """One to several recordings with pauses, [(segment, words, word ends at rate 1)], samples."""
        rate, at, parts = self.rate(random, True), self.edge(random), []
        wanted = random.uniform(1.0, self.settings["seconds_max"]) * RATE
        limit = self.settings["seconds_max"] * RATE
        number = random.randrange(len(self.index))
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
            at += int(random.uniform(0.02, 0.7) * RATE)
            number = self.next_number(random, number)
        return rate, at + self.edge(random), parts

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

    def full_example(self, random):
        """What a live caption meets: joined, cut, silent."""
        if random.random() < self.settings["silence_share"]:
            return self.silence(random)
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

    def make(self, random, short):
        return self.short_example(random) if short else self.full_example(random)


def spoken_letters(text, letters):
    """Numbers (from 1) of the letters of a text as it is spoken; for the helper loss."""
    return [letters.index(letter) + 1 for letter in sentences.normalise(text) if letter in letters]
