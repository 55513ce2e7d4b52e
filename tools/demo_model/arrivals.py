"""Recordings that arrive while training goes on: a thread brings what the makers of speech have written
since the last look to the device, then the loader's processes are told that they may use it.

The device's array of samples is made with room, because recorded graphs hold its address."""

import multiprocessing
import pathlib
import threading
import time

import numpy
import torch

from . import store

HELD = "held"         # stores whose name begins so are watched and never trained on
PIECE = 1 << 24       # samples copied at once


def folders(speech):
    """Stores to train on that have an index, in the order of their names."""
    return [path.parent for path in sorted(pathlib.Path(speech).glob("*/index.npz"))
            if not path.parent.name.startswith(HELD)]


class News:
    """Which recordings lie on the device by now: written by one process, read by many.

    path: a text file with a line "rows folder" for each addition, in order."""

    def __init__(self, path):
        self.path, self.lines, self.read = pathlib.Path(path), multiprocessing.Value("l", 0), 0
        self.path.write_text("", encoding="utf-8")

    def tell(self, stores):
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(f"{rows} {folder}\n" for folder, rows in stores)
        self.lines.value += len(stores)

    def apply(self, planner):
        """Gives a planner, which has its own index, what has been told since the last time."""
        if self.lines.value == self.read:
            return
        until = self.lines.value
        lines = self.path.read_text(encoding="utf-8").splitlines()[self.read:until]
        self.read = until
        planner.index.append([(folder, int(rows)) for rows, folder in (line.split(" ", 1) for line in lines)])
        planner.take()


def fill(flat, at, parts):
    """Copies (file, first sample, samples) one after the other to flat[at:]; where they end."""
    for path, first, size in parts:
        whole = numpy.memmap(path, numpy.int16, "r")
        for begin in range(first, first + size, PIECE):
            piece = torch.from_numpy(numpy.array(whole[begin:min(begin + PIECE, first + size)]))
            flat[at:at + len(piece)].copy_(piece)
            at += len(piece)
    return at


class Arrivals:
    """speech: folder of stores; index: store.Index of what flat begins with; flat int16 [S] with room
    after that; news: News; say: prints a line."""

    def __init__(self, speech, index, flat, news, say, every_s=8.0):
        self.speech, self.index, self.flat, self.news, self.say = speech, index, flat, news, say
        self.every_s, self.full = every_s, False
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        try:
            if self.flat.is_cuda:
                with torch.cuda.device(self.flat.device), torch.cuda.stream(torch.cuda.Stream(self.flat.device)):
                    self.watch()
            else:
                self.watch()
        except Exception as error:      # training goes on with what it has
            self.say(f"no more speech is taken: {type(error).__name__}: {error}")

    def watch(self):
        while not self.full:
            time.sleep(self.every_s)
            hours = self.look()
            if hours:
                self.say(f"{hours:.1f} h of speech more, {self.index.samples_total / store.RATE_HZ / 3600:.1f} h in all")

    def grown(self):
        """[(folder, rows)] of stores that have more recordings than were taken, as far as there is room."""
        out, room = [], len(self.flat) - self.index.samples_total
        for folder in folders(self.speech):
            with numpy.load(folder / "index.npz") as file:
                lengths = file["length"]
            size = int(lengths[self.index.known.get(str(folder), 0):].sum())
            if size > room:
                self.full = True
                self.say(f"the {len(self.flat) / store.RATE_HZ / 3600:.0f} h that there is room for are full")
                break
            if size:
                room -= size
                out.append((str(folder), len(lengths)))
        return out

    def look(self):
        """Takes what is new; hours of it."""
        stores, at, parts = self.grown(), self.index.samples_total, len(self.index.parts)
        if not stores:
            return 0.0
        self.index.append(stores)
        end = fill(self.flat, at, self.index.parts[parts:])
        if self.flat.is_cuda:
            torch.cuda.current_stream(self.flat.device).synchronize()
        self.news.tell(stores)
        return (end - at) / store.RATE_HZ / 3600
