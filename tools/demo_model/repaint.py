"""`repaint-pictures`: paints the scenes of a folder anew, again and again, while training reads them.

Few scenes made beforehand are soon known by heart. Each is painted anew in place: with its sentence
and its grid, but another layout, style and background. Training maps the files into memory, so it
sees the new picture; a picture that is read while it is written is torn, which is rare and harmless."""

import functools
import math
import multiprocessing
import os
import pathlib
import random as random_module
import time

import numpy

from . import motion, patches, pictures, scenes, videos


class FixedThings:
    """A vocabulary whose choice is given: the things of a sentence, in the order a planner asks."""

    def __init__(self, vocabulary, things):
        self.vocabulary, self.things, self.place = vocabulary, things, 0

    def phrase(self, thing):
        return self.vocabulary.phrase(thing)

    def choose(self, random, **settings):
        thing = self.things[self.place % len(self.things)]
        self.place += 1
        return scenes.Thing(thing.word, thing.colour, **settings)


def kind_of(facts):
    """The kind of scene that these facts are told of."""
    if facts.relation in scenes.SIDES:
        return "relation"
    if len(facts.things) > 1:
        return "row"
    return "group" if facts.things[0].count > 1 else "single"


def plan_again(vocabulary, reader, text, random, width, height):
    """Another Plan with this sentence."""
    if text == scenes.EMPTY.text:
        return scenes.EMPTY
    facts = reader.read(text)
    if facts is None:
        raise ValueError(f"this sentence is of no scene: {text}")
    kind = kind_of(facts)
    things = facts.things[::-1] if kind == "relation" else facts.things     # it asks for the second one first
    while True:
        plan = scenes.PLANNERS[kind](FixedThings(vocabulary, things), random, width, height)
        if plan.text == text:
            return plan


def video_again(vocabulary, readers, text, random, width, height, number):
    """Another motion.Video with this sentence and number of frames; readers: of scenes and of motion."""
    of_scenes, of_motion = readers
    facts = of_motion.read(text)
    if facts is None:
        raise ValueError(f"this sentence is of no video: {text}")
    if facts.kind == "still":
        told = text.removeprefix(motion.NOTHING)
        scene = plan_again(vocabulary, of_scenes, scenes.sentence(told.removesuffix(".")), random, width, height)
        return motion.Video("still", text, (scene.marks,) * number)
    planner, things = motion.PLANNERS[facts.kind], facts.things.things[::-1]   # it asks for the second one first
    if facts.kind in ("appear", "vanish"):
        alone = facts.things.relation not in scenes.SIDES and (facts.kind == "appear" or _is_placed(facts.things))
        planner = functools.partial(planner, alone=alone)
    hides = facts.kind == "vanish" and not alone        # something stays that is not told
    while True:
        given = things
        while hides and (given == things or given[0].word == things[0].word):
            given = (vocabulary.choose(random), *things)
        plan = planner(FixedThings(vocabulary, given), random, width, height, number)
        if plan.text == text:
            return plan


def _is_placed(facts):
    """Whether a thing's size or place is told, as of one that is alone."""
    return bool(facts.relation or facts.things[0].size)


def readers_of(vocabulary):
    return scenes.Reader(vocabulary), motion.Reader(vocabulary)


def painted_again(painter, readers, text, random, columns, rows, number):
    """(patches uint8 [F * N, 6912], labels int16 [F * N, 2]) of another picture, or video of `number` frames."""
    width, height = columns * patches.SIDE, rows * patches.SIDE
    if number == 1:
        plan = plan_again(painter.vocabulary, readers[0], text, random, width, height)
        shown, frames = [painter.paint(plan, width, height, random)], [plan.marks]
    else:
        plan = video_again(painter.vocabulary, readers, text, random, width, height, number)
        shown, frames = painter.paint_frames(plan, width, height, random), plan.frames
    labels = [painter.labels.of(marks, covers, columns, rows) for marks, (_, covers) in zip(frames, shown)]
    return numpy.concatenate([patches.cut(picture) for picture, _ in shown]), numpy.concatenate(labels)


def repaint(folder, sprite_file, seed, seconds=math.inf, rounds=math.inf):
    """One process, one folder scenes-K: all of its scenes in turn, until the time is over or so many
    rounds are done."""
    folder = pathlib.Path(folder)
    painter, random = videos.Painter(sprite_file), random_module.Random(seed)
    readers, index = readers_of(painter.vocabulary), numpy.load(folder / "index.npz")
    frames = index["frames"].astype(int) if "frames" in index else numpy.ones(len(index["start"]), int)
    texts = (folder / "sentences.txt").read_text(encoding="utf-8").splitlines()
    whole = numpy.memmap(folder / "patches.u8", numpy.uint8, "r+").reshape(-1, patches.BYTES)
    labels = numpy.memmap(folder / "labels.i16", numpy.int16, "r+").reshape(-1, 2)
    until, painted = time.time() + seconds, 0
    while time.time() < until and painted < rounds * len(texts):
        for text, start, size, columns, number in zip(texts, index["start"], index["rows"],
                                                      index["columns"].astype(int), frames):
            if time.time() >= until:
                break
            rows = int(size) // columns // number
            seen, things = painted_again(painter, readers, text, random, columns, rows, number)
            whole[start:start + size], labels[start:start + size] = seen, things
            painted += 1
    print(f"{folder.name}: {painted} scenes painted anew, {painted / max(1, len(texts)):.1f} times each", flush=True)


def run(settings, folder, seconds):
    """A process for each scenes-K of the folder, for so many seconds."""
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})
    context = multiprocessing.get_context("spawn")
    folders = sorted(path.parent for path in pathlib.Path(folder).glob("scenes-*/index.npz"))
    seed = settings["seed"] * 7777
    running = [context.Process(target=repaint, args=(path, settings["sprites"], seed + place, seconds))
               for place, path in enumerate(folders)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise RuntimeError(f"repaint-pictures: a process failed on {folder}")
