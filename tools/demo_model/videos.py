"""Painted videos: the frames of a motion.Video with the same things, background and camera.

A video is stored as a picture is (pictures.py), its frames one after another, and `frames` in index.npz
says how many; a folder without `frames` holds pictures. Every frame is within 70 soft tokens."""

import pathlib
import random as random_module
import time

import numpy

from . import drawing, motion, patches, pictures

# (columns, rows) -> share. Few, because training records a graph for each of them and each number of frames.
GRIDS = {(11, 6): 0.6, (9, 7): 0.25, (8, 8): 0.15}
GRAIN = 0.01             # noise that differs between frames, at most


class Painter(pictures.Painter):
    """Paints videos of one side of the split in these drawing styles."""

    def paint_frames(self, plan, width, height, random):
        """(pictures, covers of each) of the frames: nothing differs but what the plan moves, and a little grain."""
        generator = numpy.random.default_rng(random.getrandbits(64))
        ground = drawing.background(generator, height, width)
        every = dict.fromkeys(mark for marks in plan.frames for mark in marks)
        ready = self.dressed(every, random, generator)
        camera, level, out = random.getrandbits(64), random.uniform(0, GRAIN), []
        for marks in plan.frames:
            canvas = ground.copy()
            covers = self.pasted(canvas, marks, ready)
            drawing.grainy(canvas, generator, level)
            out.append((drawing.filmed(canvas, numpy.random.default_rng(camera)), covers))
        return out

    def make(self, random, kind=None, grid=None, number=None):
        """A pictures.Scene of several frames; `random` is the only source of chance."""
        columns, rows = grid or random.choices(list(GRIDS), list(GRIDS.values()))[0]
        width, height = columns * patches.SIDE, rows * patches.SIDE
        plan = motion.plan(self.vocabulary, random, width, height, self.split, kind, number)
        shown = self.paint_frames(plan, width, height, random)
        labels = [self.labels.of(marks, covers, columns, rows) for marks, (_, covers) in zip(plan.frames, shown)]
        return pictures.Scene(numpy.stack([patches.cut(picture) for picture, _ in shown]), numpy.stack(labels),
                              columns, plan.text, plan.kind)


def write(sprite_file, folder, seed, seconds, number):
    """One process: videos until the time is over or so many are made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    painter, random = Painter(sprite_file), random_module.Random(seed)
    until, index, texts = time.time() + seconds, [], []
    with open(folder / "patches.u8", "wb") as file, open(folder / "labels.i16", "wb") as labels:
        while len(texts) < number and time.time() < until:
            clip = painter.make(random)
            frames, soft = clip.patches.shape[:2]
            start = index[-1][0] + index[-1][1] if index else 0
            index.append((start, frames * soft, clip.columns, frames))
            texts.append(clip.text)
            file.write(clip.patches.tobytes())
            labels.write(clip.labels.tobytes())
    start, rows, columns, frames = numpy.array(index, numpy.int64).reshape(-1, 4).T
    numpy.savez(folder / "index.npz", start=start, rows=rows.astype(numpy.int32),
                columns=columns.astype(numpy.int16), frames=frames.astype(numpy.int8))
    (folder / "sentences.txt").write_text("".join(text + "\n" for text in texts), encoding="utf-8")
