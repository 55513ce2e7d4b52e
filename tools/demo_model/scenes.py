"""Scenes: which things lie where in a picture, and the one sentence that says so.

A scene's sentence follows from its things alone, so that a description can be compared word by word.
Kinds of scenes, with the wording of each:

  single    A small red car on the left.      A dog in the middle.      A big tree.
  group     Three yellow stars.
  relation  A dog to the left of two trees.   A red bus above a house.
  row       A dog, a tree and a red car from left to right.

A picture without any of the things has the sentence of EMPTY; it is for training alone.

In a relation the smaller thing is told first; of a thing and a group, the thing. Where it is (to the
left of, to the right of, above, below) is then seen from the other one. All lengths are pixels."""

import dataclasses
import re

from . import drawing, sentences, sprites

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
SIDES = ("to the left of", "to the right of", "above", "below")
PLACES = {"on the left": (0.16, 0.28), "in the middle": (0.45, 0.55), "on the right": (0.72, 0.84)}
KINDS = {"single": 0.25, "group": 0.15, "relation": 0.3, "row": 0.3}     # rows are told worst: three things each
COLOURED_SHARE = 0.35
HELD_SHARE = 0.1         # of all sentences that a scene may have


@dataclasses.dataclass(frozen=True)
class Thing:
    """So many of a noun, with a colour if the noun has one, and `small`, `big` or nothing."""
    word: str
    colour: str = ""
    count: int = 1
    size: str = ""


@dataclasses.dataclass(frozen=True)
class Mark:
    """One thing's square in the picture: its drawing touches the square's sides, its centre is here."""
    word: str
    colour: str
    x: float
    y: float
    side: float


@dataclasses.dataclass(frozen=True)
class Plan:
    kind: str
    text: str
    marks: tuple


EMPTY = Plan("empty", "An empty picture.", ())


class Vocabulary:
    """The nouns of the sentences: those of text/nouns.yaml and our own shapes."""

    def __init__(self):
        self.nouns = sprites.read_nouns()
        for word in drawing.SHAPES:
            self.nouns[word] = sprites.Noun(word, ["a", word + "s", True, sprites.SAME, sprites.SAME])
        self.coloured = [word for word, noun in self.nouns.items() if noun.is_coloured]
        self.plain = [word for word, noun in self.nouns.items() if not noun.is_coloured]

    def phrase(self, thing):
        """`a small red car`, `two trees`."""
        noun = self.nouns[thing.word]
        words = [*filter(None, (thing.size, thing.colour)), noun.plural if thing.count > 1 else noun.word]
        if thing.count > 1:
            first = NUMBERS[thing.count]
        elif words[0] == noun.word:
            first = noun.article
        else:
            first = "an" if words[0][0] in "aeiou" else "a"
        return " ".join((first, *words))

    def choose(self, random, **settings):
        """A thing of any noun."""
        if random.random() < COLOURED_SHARE:
            return Thing(random.choice(self.coloured), random.choice(sorted(drawing.COLOURS)), **settings)
        return Thing(random.choice(self.plain), **settings)


def sentence(text):
    return text[0].upper() + text[1:] + "."


def mark(thing, x, y, side):
    return Mark(thing.word, thing.colour, x, y, side)


def plan_single(vocabulary, random, width, height):
    short = min(width, height)
    size = random.choices(("small", "", "big"), (0.35, 0.4, 0.25))[0]
    low, high = {"small": (0.26, 0.36), "": (0.5, 0.64), "big": (0.86, 0.99)}[size]
    side = random.uniform(low, high) * short
    thing = vocabulary.choose(random, size=size)
    if size == "big":
        place, x = "", random.uniform(0.44, 0.56) * width
        y = height / 2 + random.uniform(-0.5, 0.5) * (height - side)
    else:
        place, (left, right) = random.choice(sorted(PLACES.items()))
        x = random.uniform(left, right) * width
        y = height / 2 + random.uniform(-0.35, 0.35) * (height - side)
    x = min(max(x, 0.5 * side), width - 0.5 * side)
    text = sentence(" ".join(filter(None, (vocabulary.phrase(thing), place))))
    return Plan("single", text, (mark(thing, x, y, side),))


def plan_group(vocabulary, random, width, height):
    """In cells of a grid, some of which may stay empty."""
    count = random.choices((2, 3, 4, 5), (0.28, 0.28, 0.24, 0.2))[0]
    grids = [(rows, columns) for rows in range(1, 4) for columns in range(1, 6)
             if count <= rows * columns <= count + 2 and min(width / columns, height / rows) > 0.3 * min(width, height)]
    rows, columns = random.choice(grids)
    cell_width, cell_height = width / columns, height / rows
    side = min(random.uniform(0.6, 0.85) * min(cell_width, cell_height), 0.55 * min(width, height))
    thing = vocabulary.choose(random, count=count)
    marks = []
    for cell in sorted(random.sample(range(rows * columns), count)):
        row, column = divmod(cell, columns)
        own = side * random.uniform(0.9, 1.0)
        x = (column + 0.5) * cell_width + random.uniform(-0.45, 0.45) * (cell_width - own)
        y = (row + 0.5) * cell_height + random.uniform(-0.45, 0.45) * (cell_height - own)
        marks.append(mark(thing, x, y, own))
    return Plan("group", sentence(vocabulary.phrase(thing)), tuple(marks))


def spread(thing, x, y, side, across):
    """The marks of a group in a line through (x, y)."""
    steps = [(number - (thing.count - 1) / 2) * 1.08 * side for number in range(thing.count)]
    return [mark(thing, x + step * across, y + step * (not across), side) for step in steps]


def plan_relation(vocabulary, random, width, height):
    short, side_word = min(width, height), random.choice(SIDES)
    beside = side_word in SIDES[:2]
    count = random.choices((1, 2, 3), (0.6, 0.25, 0.15))[0]
    ground, figure = vocabulary.choose(random, count=count), vocabulary.choose(random)
    while figure.word == ground.word:
        figure = vocabulary.choose(random)
    figure_side = random.uniform(0.28, 0.36) * short
    room = 0.97 * (width if beside else height) - figure_side      # for the ground, along the relation
    across_room = 0.97 * (height if beside else width)
    if count == 1:
        ground_side = min(random.uniform(0.6, 0.85) * short, room, across_room)
        block, lies_across = ground_side, True
    else:
        lies_across = not beside or room > across_room        # whether the group is a row, not a column
        along, other = (room, across_room) if lies_across == beside else (across_room, room)
        ground_side = min(random.uniform(0.3, 0.4) * short, along / (1.08 * count), other)
        block = 1.08 * count * ground_side if lies_across == beside else ground_side
    spare = (width if beside else height) - figure_side - block
    margin, gap = sorted((random.random(), random.random()))
    margin, gap = margin * spare, (gap - margin) * spare
    figure_first = side_word in ("to the left of", "above")
    figure_at = margin + figure_side / 2 if figure_first else margin + block + gap + figure_side / 2
    ground_at = margin + figure_side + gap + block / 2 if figure_first else margin + block / 2
    other_size = height if beside else width
    reach = (1.08 * count * ground_side if count > 1 and lies_across != beside else ground_side) / 2
    ground_other = min(max(other_size * random.uniform(0.35, 0.65), reach), other_size - reach)
    figure_other = ground_other + random.uniform(-0.3, 0.3) * reach
    figure_other = min(max(figure_other, figure_side / 2), other_size - figure_side / 2)
    figure_place = (figure_at, figure_other) if beside else (figure_other, figure_at)
    ground_place = (ground_at, ground_other) if beside else (ground_other, ground_at)
    marks = [mark(figure, *figure_place, figure_side), *spread(ground, *ground_place, ground_side, lies_across)]
    text = sentence(f"{vocabulary.phrase(figure)} {side_word} {vocabulary.phrase(ground)}")
    return Plan("relation", text, tuple(marks))


def plan_row(vocabulary, random, width, height):
    things = []
    while len(things) < 3:
        thing = vocabulary.choose(random)
        if thing.word not in [other.word for other in things]:
            things.append(thing)
    side = min(random.uniform(0.3, 0.46) * min(width, height), 0.31 * width)
    marks = []
    for place, thing in enumerate(things):
        x = (place + 0.5) * width / 3 + random.uniform(-0.45, 0.45) * (width / 3 - side)
        y = height / 2 + random.uniform(-0.3, 0.3) * (height - side)
        marks.append(mark(thing, x, y, side * random.uniform(0.9, 1.0)))
    first, second, third = map(vocabulary.phrase, things)
    return Plan("row", sentence(f"{first}, {second} and {third} from left to right"), tuple(marks))


PLANNERS = {"single": plan_single, "group": plan_group, "relation": plan_relation, "row": plan_row}


def plan(vocabulary, random, width, height, split, kind=None):
    """A scene for a picture of this size whose sentence is on this side, `train` or `held`."""
    while True:
        chosen = kind or random.choices(list(KINDS), list(KINDS.values()))[0]
        made = PLANNERS[chosen](vocabulary, random, width, height)
        if sentences.split_of(made.text, HELD_SHARE) == split:
            return made


# Sentences read back


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a sentence says: things in the order told, and how they lie (`on the left`, `above` …)."""
    things: tuple
    relation: str


class Reader:
    """Reads sentences of the wordings above; another sentence has no facts."""

    def __init__(self, vocabulary):
        self.singular = {noun.word: word for word, noun in vocabulary.nouns.items()}
        self.plural = {noun.plural: word for word, noun in vocabulary.nouns.items()}
        names = sorted({*self.singular, *self.plural}, key=len, reverse=True)
        self.thing = re.compile(rf"(an?|two|three|four|five)(?: (small|big))?(?: ({'|'.join(drawing.COLOURS)}))?"
                                rf" ({'|'.join(names)})")
        self.count = {"a": 1, "an": 1, **{word: number for number, word in NUMBERS.items()}}

    def thing_of(self, text):
        """The Thing of a phrase, or None."""
        match = self.thing.fullmatch(text)
        if not match:
            return None
        count = self.count[match[1]]
        names = self.singular if count == 1 else self.plural
        if match[4] not in names:
            return None
        return Thing(names[match[4]], match[3] or "", count, match[2] or "")

    def read(self, text):
        """Facts of a sentence, or None."""
        text = text.strip().removesuffix(".")
        text = text[:1].lower() + text[1:]
        relation, parts = "", [text]
        if text.endswith(" from left to right"):
            parts, relation = re.split(", | and ", text.removesuffix(" from left to right")), "from left to right"
        for place in PLACES:
            if text.endswith(" " + place):
                parts, relation = [text.removesuffix(" " + place)], place
        for side in SIDES:
            if f" {side} " in text:
                parts, relation = text.split(f" {side} ", 1), side
        things = tuple(map(self.thing_of, parts))
        return None if None in things else Facts(things, relation)
