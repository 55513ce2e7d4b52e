"""Motion: what changes between the frames of a short video, and the one sentence that says so.

A video is one scene in two or three frames; what changes follows from the marks of the frames alone.
Kinds, with the wording of each:

  shift    A red bus moves to the left.        A dog moves up.
  pass     A red bus moves to the right of two trees.        (it was on the other side of them)
  size     A big tree comes closer.            A yellow star moves away.
  appear   A dog appears above two trees.      A red bus appears.
  vanish   A dog disappears.
  count    Two red cars become four.
  still    Nothing moves: a red bus above two trees.

Things are the words of scenes.py. All lengths are pixels."""

import dataclasses
import re

from . import scenes, sentences

KINDS = {"shift": 0.22, "pass": 0.15, "size": 0.12, "appear": 0.11, "vanish": 0.08, "count": 0.1, "still": 0.22}
DIRECTIONS = {"to the left": (-1, 0), "to the right": (1, 0), "up": (0, -1), "down": (0, 1)}
SIZES = {"comes closer": (0.3, 0.75), "moves away": (0.75, 0.3)}     # share of the shorter side, first and last
NOTHING = "Nothing moves: "
ALONE = 0.35             # of what appears or vanishes, with nothing beside it
FRAMES = {2: 0.7, 3: 0.3}


@dataclasses.dataclass(frozen=True)
class Video:
    """frames: for each frame the tuple of its marks (scenes.Mark)."""
    kind: str
    text: str
    frames: tuple


def between(first, last, number):
    """`number` tuples of marks from `first` to `last`, evenly; both have the same things."""
    out = []
    for place in range(number):
        part = place / (number - 1)
        out.append(tuple(dataclasses.replace(one, **{name: (1 - part) * getattr(one, name) + part * getattr(other, name)
                                                     for name in ("x", "y", "side")})
                         for one, other in zip(first, last)))
    return tuple(out)


def switched(before, after, number, random):
    """`number` frames, first `before`, from a frame of chance on `after`."""
    change = random.randint(1, number - 1)
    return (before,) * change + (after,) * (number - change)


def plan_shift(vocabulary, random, width, height, number):
    thing = vocabulary.choose(random)
    words, (across, down) = random.choice(sorted(DIRECTIONS.items()))
    side = random.uniform(0.28, 0.45) * min(width, height)
    room = (width if across else height) - side
    move = random.uniform(0.4, 0.95) * room
    begin = side / 2 + random.uniform(0, room - move)        # of the way, at its left or upper end
    other = random.uniform(side / 2, (height if across else width) - side / 2)
    ends = (begin, begin + move) if across + down > 0 else (begin + move, begin)
    first, last = ((scenes.mark(thing, *((at, other) if across else (other, at)), side),) for at in ends)
    return Video("shift", scenes.sentence(f"{vocabulary.phrase(thing)} moves {words}"), between(first, last, number))


def plan_pass(vocabulary, random, width, height, number):
    """Past a thing or a group that stands in the middle; where it arrives is told."""
    word = random.choice(scenes.SIDES)
    beside = word in scenes.SIDES[:2]
    count = random.choices((1, 2, 3), (0.6, 0.25, 0.15))[0]
    ground, figure = vocabulary.choose(random, count=count), vocabulary.choose(random)
    while figure.word == ground.word:
        figure = vocabulary.choose(random)
    along, across = (width, height) if beside else (height, width)
    small = random.uniform(0.24, 0.3) * min(width, height)
    large = min(random.uniform(0.28, 0.38) * along, 0.94 * across / (1.08 * count), along - 2.1 * small)
    reach = ((count - 1) * 1.08 + 1) * large / 2
    middle = random.uniform(reach, across - reach)
    stand = scenes.spread(ground, *((along / 2, middle) if beside else (middle, along / 2)), large, not beside)
    low = (small / 2 + along / 2 - large / 2) / 2 + random.uniform(-0.1, 0.1) * small
    low, other = max(low, small / 2), random.uniform(small / 2, across - small / 2)
    ends = (along - low, low) if word in ("to the left of", "above") else (low, along - low)
    first, last = ((scenes.mark(figure, *((at, other) if beside else (other, at)), small), *stand) for at in ends)
    text = f"{vocabulary.phrase(figure)} moves {word} {vocabulary.phrase(ground)}"
    return Video("pass", scenes.sentence(text), between(first, last, number))


def plan_size(vocabulary, random, width, height, number):
    thing = vocabulary.choose(random)
    words, shares = random.choice(sorted(SIZES.items()))
    sides = [share * random.uniform(0.85, 1.15) * min(width, height) for share in shares]
    reach = max(sides) / 2
    x, y = random.uniform(reach, width - reach), random.uniform(reach, height - reach)
    first, last = ((scenes.mark(thing, x, y, side),) for side in sides)
    return Video("size", scenes.sentence(f"{vocabulary.phrase(thing)} {words}"), between(first, last, number))


def plan_appear(vocabulary, random, width, height, number, alone=None):
    """Alone, or beside something that was there before; `alone` says which, None leaves it to chance."""
    if random.random() < ALONE if alone is None else alone:
        scene = scenes.plan_single(vocabulary, random, width, height)
        text = scene.text.removesuffix(".") + " appears."
        return Video("appear", text, switched((), scene.marks, number, random))
    scene = scenes.plan_relation(vocabulary, random, width, height)
    side = next(side for side in scenes.SIDES if f" {side} " in scene.text)
    text = scene.text.replace(f" {side} ", f" appears {side} ", 1)
    return Video("appear", text, switched(scene.marks[1:], scene.marks, number, random))


def plan_vanish(vocabulary, random, width, height, number, alone=None):
    """Alone, or the first thing of a relation: what stays is not told. `alone` as above."""
    if random.random() < ALONE if alone is None else alone:
        scene = scenes.plan_single(vocabulary, random, width, height)
        text = scene.text.removesuffix(".") + " disappears."
        return Video("vanish", text, switched(scene.marks, (), number, random))
    scene = scenes.plan_relation(vocabulary, random, width, height)
    side = next(side for side in scenes.SIDES if f" {side} " in scene.text)
    text = scene.text.split(f" {side} ", 1)[0] + " disappears."
    return Video("vanish", text, switched(scene.marks, scene.marks[1:], number, random))


def plan_count(vocabulary, random, width, height, number):
    """A group of one noun gets or loses some; those that stay do not move."""
    scene = scenes.plan_group(vocabulary, random, width, height)
    while len(scene.marks) < 3:
        scene = scenes.plan_group(vocabulary, random, width, height)
    many, few = len(scene.marks), random.randint(2, len(scene.marks) - 1)
    kept = tuple(scene.marks[place] for place in sorted(random.sample(range(many), few)))
    thing = scenes.Thing(scene.marks[0].word, scene.marks[0].colour)
    grows = random.random() < 0.5
    before, after = (kept, scene.marks) if grows else (scene.marks, kept)
    told = vocabulary.phrase(dataclasses.replace(thing, count=len(before)))
    text = scenes.sentence(f"{told} become {scenes.NUMBERS[len(after)]}")
    return Video("count", text, switched(before, after, number, random))


def plan_still(vocabulary, random, width, height, number):
    kind = random.choices(list(scenes.KINDS), list(scenes.KINDS.values()))[0]
    scene = scenes.PLANNERS[kind](vocabulary, random, width, height)
    return Video("still", NOTHING + scene.text[0].lower() + scene.text[1:], (scene.marks,) * number)


PLANNERS = {"shift": plan_shift, "pass": plan_pass, "size": plan_size, "appear": plan_appear,
            "vanish": plan_vanish, "count": plan_count, "still": plan_still}


def plan(vocabulary, random, width, height, split, kind=None, number=None):
    """A video of frames of this size whose sentence is on this side, `train` or `held`.

    A sentence of `still` is on the side of the sentence of its picture, which is trained on too."""
    number = number or random.choices(list(FRAMES), list(FRAMES.values()))[0]
    while True:
        chosen = kind or random.choices(list(KINDS), list(KINDS.values()))[0]
        made = PLANNERS[chosen](vocabulary, random, width, height, number)
        if sentences.split_of(made.text.removeprefix(NOTHING), scenes.HELD_SHARE) == split:
            return made


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a sentence says: its kind, how things move (`to the left`, `comes closer`, `above`, `four`; "" where
    the kind has none), and what is told of things (scenes.Facts), or None."""
    kind: str
    change: str
    things: object


class Reader:
    """Reads sentences of the wordings above; another sentence has no facts."""

    def __init__(self, vocabulary):
        self.scenes = scenes.Reader(vocabulary)
        ways = "|".join(map(re.escape, DIRECTIONS))
        sides = "|".join(map(re.escape, scenes.SIDES))
        numbers = "|".join(scenes.NUMBERS.values())
        self.forms = (("pass", rf"(.+) moves ({sides}) (.+)"), ("shift", rf"(.+) moves ({ways})"),
                      ("size", rf"(.+) ({'|'.join(SIZES)})"), ("appear", rf"(.+) appears (?:({sides}) (.+))"),
                      ("appear", r"(.+) appears()"), ("vanish", r"(.+) disappears()"),
                      ("count", rf"(.+) become ({numbers})"))

    def read(self, text):
        """Facts of a sentence, or None."""
        text = text.strip()
        if text.startswith(NOTHING):
            things = self.scenes.read(text.removeprefix(NOTHING))
            return things and Facts("still", "", things)
        for kind, form in self.forms:
            match = re.fullmatch(form, text.removesuffix("."))
            if match:
                told = f"{match[1]} {match[2]} {match[3]}" if match.lastindex == 3 else match[1]
                things = self.scenes.read(told)
                return things and Facts(kind, match[2], things)
        return None
