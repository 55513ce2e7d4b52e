"""`make-pictures`: painted scenes with their sentences, in files that training maps into memory.

A folder scenes-K holds what one process made:
  patches.u8     uint8 [sum of rows, 6912], the patches of all scenes one after another
  labels.i16     int16 [sum of rows, 2], what lies on each patch: numbers of its noun and colour
  index.npz      start int64 [S] first row, rows int32 [S], columns int16 [S] of the grid
  sentences.txt  one line a scene
A folder of videos.py has frames int8 [S] in index.npz: the rows are those of so many frames of one grid.
"""

import dataclasses
import math
import multiprocessing
import os
import pathlib
import random as random_module
import time

import numpy

from . import drawing, patches, scenes, sprites

# (columns, rows) -> share. Grids of videos of 16:9, 4:3, 1:1, 16:10, 2.35:1 and 9:16 within 70 soft
# tokens, and of the first two within 140.
GRIDS = {(11, 6): 0.45, (9, 7): 0.2, (8, 8): 0.1, (10, 6): 0.05, (12, 5): 0.03, (6, 11): 0.03,
         (15, 8): 0.08, (13, 10): 0.06}
EMPTY_SHARE = 0.03   # of the pictures for training: videos begin and end with nothing
COVERED = 0.15       # share of a patch from which a thing lies on it


@dataclasses.dataclass
class Scene:
    patches: numpy.ndarray     # uint8 [N, 6912], row by row; of a video [F, N, 6912]
    labels: numpy.ndarray      # int16 [N, 2], see LABELS; of a video [F, N, 2]
    columns: int
    text: str
    kind: str = ""


class Labels:
    """What lies on the patches of a picture, for a helper loss: 0 is nothing, then the nouns in the
    order of the vocabulary, and 0 no colour, then COLOURS in their order."""

    def __init__(self, vocabulary):
        self.noun = {word: number for number, word in enumerate(vocabulary.nouns, 1)}
        self.colour = {"": 0, **{word: number for number, word in enumerate(drawing.COLOURS, 1)}}
        self.sizes = len(self.noun) + 1, len(self.colour)

    def of(self, marks, covers, columns, rows):
        """int16 [rows * columns, 2]; covers: (alpha [h, w], left, top) of each mark on the picture.

        A patch has the label of the thing that covers most of it; every thing has one patch at least."""
        labels = numpy.zeros((rows * columns, 2), numpy.int16)
        if not marks:
            return labels
        shares = numpy.stack([patch_shares(*cover, columns, rows) for cover in covers])
        winner, most = shares.argmax(0), shares.max(0)
        for number, (mark, own) in enumerate(zip(marks, shares)):
            chosen = (winner == number) & (most >= COVERED)
            chosen[own.argmax()] = True
            labels[chosen] = self.noun[mark.word], self.colour[mark.colour]
        return labels


def patch_shares(alpha, left, top, columns, rows):
    """float32 [rows * columns]: the share of each patch that a sprite of this alpha covers."""
    whole = numpy.zeros((rows * patches.SIDE, columns * patches.SIDE), numpy.float32)
    y0, x0 = max(0, top), max(0, left)
    part = alpha[y0 - top:, x0 - left:][:whole.shape[0] - y0, :whole.shape[1] - x0]
    whole[y0:y0 + part.shape[0], x0:x0 + part.shape[1]] = part
    sums = whole.reshape(rows, patches.SIDE, -1).sum(1).reshape(rows, columns, patches.SIDE).sum(2)
    return sums.ravel() / patches.SIDE**2


class Painter:
    """Paints scenes of one side of the split in these drawing styles."""

    def __init__(self, sprite_file, split="train", styles=sprites.SEEN_STYLES):
        self.sprites, self.split, self.styles = sprites.Sprites(sprite_file), split, styles
        self.vocabulary = scenes.Vocabulary()
        self.labels = Labels(self.vocabulary)
        missing = set(styles) - set(self.sprites.styles)
        if missing:
            raise ValueError(f"{sprite_file} lacks the drawing styles {sorted(missing)}")

    def style_of(self, word, style, random):
        """`style`, or another one where it lacks the word; our own shapes are the same in all."""
        if word in drawing.SHAPES or self.sprites.has(style, word):
            return style
        return random.choice([other for other in self.styles if self.sprites.has(other, word)])

    def sprite(self, word, colour, style, generator):
        if word in drawing.SHAPES:
            return drawing.shape(word, drawing.COLOURS[colour], generator)
        sprite = self.sprites.of(style, word)
        if colour:
            return drawing.tinted(sprite, drawing.COLOURS[colour], generator)
        return drawing.varied(sprite, generator)

    def dressed(self, marks, random, generator):
        """noun -> (its sprite, how much wider than drawn) of the things of one picture or video."""
        mixed, style = random.random() < 0.2, random.choice(self.styles)
        ready = {}
        for mark in marks:
            if mark.word not in ready:
                style = random.choice(self.styles) if mixed else style
                chosen = self.style_of(mark.word, style, random)
                sprite = self.sprite(mark.word, mark.colour, chosen, generator)
                if random.random() < 0.5:
                    sprite = sprite[:, ::-1]
                if random.random() < 0.3:
                    sprite = drawing.turned(sprite, random.uniform(-14, 14))
                ready[mark.word] = sprite, random.uniform(0.9, 1.1)
        return ready

    @staticmethod
    def pasted(canvas, marks, ready):
        """Puts the things on the canvas; (alpha, left, top) of the sprite of each mark."""
        covers = []
        for mark in marks:
            sprite, stretch = ready[mark.word]
            tall, wide = sprite.shape[0], sprite.shape[1] * stretch
            scale = mark.side / max(tall, wide)
            tall, wide = max(4, round(tall * scale)), max(4, round(wide * scale))
            scaled = drawing.scaled_sprite(sprite, tall, wide)
            left, top = round(mark.x - wide / 2), round(mark.y - tall / 2)
            drawing.paste(canvas, scaled, left, top)
            covers.append((scaled[..., 3], left, top))
        return covers

    def paint(self, plan, width, height, random):
        """(uint8 [height, width, 3], (alpha, left, top) of the sprite of each mark).

        Things of a picture share a style, mostly; those of one noun look alike."""
        generator = numpy.random.default_rng(random.getrandbits(64))
        canvas = drawing.background(generator, height, width)
        if not plan.marks and random.random() < 0.5:
            canvas = numpy.broadcast_to(drawing.bare_colour(generator), canvas.shape).copy()
        covers = self.pasted(canvas, plan.marks, self.dressed(plan.marks, random, generator))
        return drawing.filmed(canvas, generator), covers

    def make(self, random, kind=None, grid=None):
        """A Scene; `random` is the only source of chance."""
        columns, rows = grid or random.choices(list(GRIDS), list(GRIDS.values()))[0]
        width, height = columns * patches.SIDE, rows * patches.SIDE
        if kind is None and self.split == "train" and random.random() < EMPTY_SHARE:
            plan = scenes.EMPTY
        else:
            plan = scenes.plan(self.vocabulary, random, width, height, self.split, kind)
        picture, covers = self.paint(plan, width, height, random)
        labels = self.labels.of(plan.marks, covers, columns, rows)
        return Scene(patches.cut(picture), labels, columns, plan.text, plan.kind)


def write(sprite_file, folder, seed, seconds, number):
    """One process: scenes until the time is over or so many are made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    painter, random = Painter(sprite_file), random_module.Random(seed)
    begun, starts, rows, columns, texts = time.time(), [], [], [], []
    with open(folder / "patches.u8", "wb") as file, open(folder / "labels.i16", "wb") as labels:
        while len(texts) < number and time.time() - begun < seconds:
            scene = painter.make(random)
            starts.append(sum(rows[-1:]) + (starts[-1] if starts else 0))
            rows.append(len(scene.patches))
            columns.append(scene.columns)
            texts.append(scene.text)
            file.write(scene.patches.tobytes())
            labels.write(scene.labels.tobytes())
    numpy.savez(folder / "index.npz", start=numpy.array(starts, numpy.int64), rows=numpy.array(rows, numpy.int32),
                columns=numpy.array(columns, numpy.int16))
    (folder / "sentences.txt").write_text("".join(text + "\n" for text in texts), encoding="utf-8")


def _write_videos(*arguments):
    from . import videos      # which is made of this module
    videos.write(*arguments)


def make(settings, out, seconds, processes, number):
    """`processes` folders of at most `number` scenes each, within about so many seconds; one of the
    two may be None, no limit.

    settings: `seed` and `sprites`, the file of sprites.py; `video_share` of the folders, the last ones, hold
    videos."""
    if seconds is None and number is None:
        raise ValueError("make-pictures needs an end: give --seconds or --number")
    seconds, number = (math.inf if limit is None else limit for limit in (seconds, number))
    out, begun = pathlib.Path(out), time.time()
    # Matrices here are small: threads of 40 processes would only wait for each other. Processes that
    # are spawned read these when they load numpy.
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})
    context = multiprocessing.get_context("spawn")
    moving = round(settings.get("video_share", 0.0) * processes)
    makers = [write] * (processes - moving) + [_write_videos] * moving
    running = [context.Process(target=makers[place], args=(settings["sprites"], out / f"scenes-{place}",
                                                   settings["seed"] * 1000 + place, seconds, number))
               for place in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    failed = [process.exitcode for process in running if process.exitcode]
    if failed:
        raise RuntimeError(f"make-pictures: {len(failed)} of {processes} processes failed")
    made = Scenes(out)
    print(f"make-pictures: {len(made)} scenes, {made.bytes / 1e9:.1f} GB in {time.time() - begun:.0f} s", flush=True)
    return made


LABELS = Labels(scenes.Vocabulary()).sizes      # numbers of different noun and colour labels


class Scenes:
    """All scenes of a folder's scenes-K, mapped into memory; `[i]` is a Scene whose patches are a view."""

    def __init__(self, folder):
        folders = sorted(path.parent for path in pathlib.Path(folder).glob("scenes-*/index.npz"))
        if not folders:
            raise FileNotFoundError(f"{folder} holds no scenes-K/index.npz: run make-pictures first")
        self.maps, self.label_maps, self.texts, parts = [], [], [], []
        for place, part in enumerate(folders):
            index = numpy.load(part / "index.npz")
            self.maps.append(numpy.memmap(part / "patches.u8", numpy.uint8, "r").reshape(-1, patches.BYTES))
            self.label_maps.append(numpy.memmap(part / "labels.i16", numpy.int16, "r").reshape(-1, 2))
            lines = (part / "sentences.txt").read_text(encoding="utf-8").splitlines()
            if not len(lines) == len(index["start"]) or not (
                    len(self.maps[-1]) == len(self.label_maps[-1]) == index["rows"].sum()):
                raise ValueError(f"{part}: its patches, index and sentences are of different numbers of scenes")
            self.texts += lines
            frames = index["frames"] if "frames" in index else numpy.ones(len(lines), numpy.int8)
            parts.append((numpy.full(len(lines), place), index["start"], index["rows"], index["columns"], frames))
        self.map_of, self.start, self.rows, self.columns, self.frames = (
            numpy.concatenate(arrays) for arrays in zip(*parts))
        self.bytes = sum(one.nbytes for one in self.maps)

    def __len__(self):
        return len(self.texts)

    def shape(self, number):
        """(rows, columns) of a picture's grid, (rows, columns, frames) of a video."""
        columns, frames = int(self.columns[number]), int(self.frames[number])
        grid = int(self.rows[number]) // columns // frames, columns
        return grid if frames == 1 else (*grid, frames)

    def groups(self):
        """`shape` -> numbers of the scenes that have it."""
        keys = (self.rows.astype(numpy.int64) * 1000 + self.columns) * 100 + self.frames
        return {self.shape(int((keys == key).argmax())): (keys == key).nonzero()[0] for key in numpy.unique(keys)}

    def __getitem__(self, number):
        start, rows = int(self.start[number]), int(self.rows[number])
        part, place = slice(start, start + rows), self.map_of[number]
        seen, labels, frames = self.maps[place][part], self.label_maps[place][part], int(self.frames[number])
        if frames > 1:
            seen, labels = seen.reshape(frames, -1, patches.BYTES), labels.reshape(frames, -1, 2)
        return Scene(seen, labels, int(self.columns[number]), self.texts[number])


def write_sentences(path, number, seed):
    """So many different training sentences, one a line, for the tokenizer."""
    vocabulary, random, texts = scenes.Vocabulary(), random_module.Random(seed), {}
    while len(texts) < number:
        texts[scenes.plan(vocabulary, random, 528, 288, "train").text] = None
    pathlib.Path(path).write_text("".join(text + "\n" for text in texts), encoding="utf-8")
