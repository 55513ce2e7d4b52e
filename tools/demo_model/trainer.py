"""`train`: one process a GPU (torchrun), or one on the CPU; ends by the clock; writes shards."""

import collections
import math
import os
import pathlib
import random
import threading
import time

import torch
from torch import distributed
from torch.multiprocessing import Value
from torch.utils.data import DataLoader, IterableDataset

from . import arrivals, batches, examples, shards, store, text
from .ahead import Ahead, InTime
from .candidates import Choice, Means, questions_later
from .graphs import COMPILED, Graphs, compiled_layer
from .network import Decoder
from .step import CHANGED, DISTURBED, LIGHT, Step
from .watch import Watch
from .weights import FlatWeights


STEPS_OF_RECORDING = 1500       # at first, steps wait for graphs to be recorded and for the makers of speech
MEMORY_FOR_STEPS = 40 << 30     # bytes of the device that samples must leave


class Tensors(IterableDataset):
    """Batches for one process; every worker has its own seed. make: seed -> batches without end."""

    def __init__(self, make, seed):
        self.make, self.seed = make, seed

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        for batch in self.make(self.seed * 100 + (worker.id if worker else 0)):
            yield {name: torch.from_numpy(array) for name, array in batch.items()}


def spoken(planner, layout, settings, short, news, budget):
    """seed -> batches of speech, of what is known to lie on the device."""
    def make(seed):
        for batch in batches.speech_stream(planner, layout, settings, seed, lambda: bool(short.value), budget):
            news.apply(planner)
            yield batch
    return make


def painted(folder, layout, budget, video_share):
    """seed -> batches of pictures from the folder that make-pictures wrote."""
    def make(seed):
        from .pictures import Scenes
        yield from batches.scene_stream(Scenes(folder), layout, seed, budget, video_share)
    return make


class Trainer:
    """One process of a training run."""

    def __init__(self, config, work, speech, out, tokenizer, resume=None, pictures=None, plain=False):
        self.settings, self.out = config["train"], pathlib.Path(out)
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.cuda = torch.cuda.is_available()
        self.tokenizer, self.started, self.saved = tokenizer, time.time(), time.time()
        self.layout = batches.Layout(tokenizer, config["language"])
        rows = text.read(pathlib.Path(work) / "sentences.tsv")
        self.index = store.Index(arrivals.folders(speech))
        held = {path.parent.name: self.load_held(path.parent, rows)
                for path in sorted(pathlib.Path(speech).glob(f"{arrivals.HELD}*/index.npz"))}
        self.short = Value("b", 1, lock=False)
        news = arrivals.News(self.out / f"stores-{self.rank}.txt")
        settings = self.settings["examples"]
        planner = examples.Planner(self.index, [row[2] for row in rows], settings,
                                   text.translations(rows, pathlib.Path(work) / "parallel.tsv"))
        # A step is of one kind on all processes, and they share its positions.
        streams = [(spoken(planner, self.layout, settings, self.short, news, settings["tokens_per_batch"] // self.world),
                    self.settings["loader_processes"])]
        if pictures:
            streams.append((painted(pictures, self.layout, settings["scene_tokens_per_batch"] // self.world,
                                    settings.get("video_share", 0.0)),
                            min(2, self.settings["loader_processes"])))
        loaders = [self.loader(Tensors(make, (config["seed"] * 100 + self.rank) * 10 + place), workers)
                   for place, (make, workers) in enumerate(streams)]
        self.turns = random.Random(config["seed"])      # the same on all processes
        self.start_device()
        self.batches = [Ahead(loader, self.device) if self.cuda else InTime(loader) for loader in loaders]
        torch.manual_seed(config["seed"])
        self.network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS)).to(self.device)
        self.weights = FlatWeights(self.network, torch.bfloat16 if self.cuda else torch.float32, self.settings)
        self.watch = Watch(self.network, self.layout, held, self.device, self.say)
        self.letter_loss, self.listening_at, self.writer = 9.0, None, None
        self.changed_share = self.settings.get("changed_share", 0.0)
        if resume:
            self.resume(resume)
        means = self.settings.get("means")
        self.means = Means(self.weights.master, **means) if means else None
        if means and self.rank == 0:
            self.questions = questions_later(config["pictures"]["sprites"] if pictures else None,
                                             settings.get("video_share", 0.0) > 0)
        flat = self.load_samples()
        self.start_steps(flat, plain)
        loaded = self.index.samples_total
        torch.manual_seed(config["seed"] * 1000 + self.rank)
        self.say(f"{len(self.index)} recordings, {loaded / store.RATE_HZ / 3600:.1f} h, "
                 f"{len(planner.people)} of people, {len(planner.translated)} with translations, "
                 f"{len(planner.wordless)} without words, "
                 f"{sum(p.numel() for _, p in self.network.published()) / 1e6:.2f} M parameters, {self.world} processes")
        if self.room:
            arrivals.Arrivals(speech, self.index, flat, news, self.say)
        if self.graphs and self.world > 1:
            self.record(settings["tokens_per_batch"] // self.world)

    def say(self, line):
        if self.rank == 0:
            print(f"{time.time() - self.started:7.1f} s  {line}", flush=True)

    @staticmethod
    def loader(batches_of_tensors, workers):
        return iter(DataLoader(batches_of_tensors, batch_size=None, num_workers=workers, pin_memory=False,
                               prefetch_factor=4 if workers else None))

    def start_device(self):
        if self.cuda:
            self.device = torch.device("cuda", 0)        # see `see_one_device`
            torch.cuda.set_device(self.device)
        else:
            self.device = torch.device("cpu")
        if self.world > 1:
            distributed.init_process_group("nccl" if self.cuda else "gloo")

    def load_held(self, folder, rows):
        """(samples, text) of the store's recordings."""
        index = store.Index([folder])
        numbers = range(min(len(index), self.settings["held_number"]))
        return [(index.read(number), rows[index.sentence[number]][2]) for number in numbers]

    def load_samples(self):
        """All samples in the memory of the device, int16 [S], with room for those that arrive later."""
        self.room = int(self.settings.get("hours_max", 0) * 3600 * store.RATE_HZ)
        size = max(self.index.samples_total, self.room)
        if self.cuda:     # two bytes a sample; a part of the memory is for training
            size = max(self.index.samples_total, min(size, (torch.cuda.mem_get_info()[0] - MEMORY_FOR_STEPS) // 2))
        flat = torch.zeros(size, dtype=torch.int16, device=self.device)
        arrivals.fill(flat, 0, self.index.parts)
        return flat

    def resume(self, folder):
        """Starts from the weights of an earlier run, with examples of every length at once."""
        tensors, state = shards.load(folder, self.network)
        self.weights.load(torch.cat([tensors[name].float().reshape(-1).to(self.device)
                                     for name, _ in self.network.named_parameters()]))
        self.short.value, self.listening_at = 0, 0.0
        self.say(f"resumed from {folder}: {state}")

    def music_places(self):
        """First samples of the recordings without words, int64 [M] on the device."""
        chosen = self.index.start[self.index.sentence < 0][:-2]    # what follows the last ones is speech
        return torch.from_numpy(chosen).to(self.device)

    def start_steps(self, flat, plain):
        """The functions of a step; on a GPU recorded as graphs unless they are to be plain."""
        fast = self.cuda and not plain
        run_layer = compiled_layer() if fast and self.settings.get("compile") else None
        self.step = Step(self.network, self.layout, self.settings, flat, self.music_places(), run_layer)
        self.graphs = Graphs(self.step, self.weights.gradients.zero_) if fast and self.settings.get("graphs") else None
        self.say(f"steps: {'recorded as graphs' if self.graphs else 'plain'}, layers: "
                 f"{'compiled' if run_layer else 'as they are'}")

    def record(self, budget):
        """Records every shape of speech before the first step: later each process would wait for the others,
        while one alone records each when it comes. It begins near the sizes that `compile_layers` filled the
        compiler's cache with, so that its code is found."""
        started = time.time()
        for shape in sorted(batches.shapes(budget), key=lambda shape: abs(shape.width - COMPILED[0][1])):
            host = {name: torch.from_numpy(array) for name, array in batches.collate([], [], self.layout, shape).items()}
            self.graphs.speech_bucket({name: tensor.to(self.device) for name, tensor in host.items()}, host)
        self.say(f"shapes of speech recorded in {time.time() - started:.0f} s")

    # one step

    def kind(self, share):
        """How a batch is heard, when so many are disturbed; the same on all processes."""
        chance, other = self.turns.random(), self.turns.random()
        if chance >= share:
            return LIGHT
        return CHANGED if other < self.changed_share else DISTURBED

    def keep_fast(self, step_ms):
        """Changes fewer voices when steps take longer than the settings allow."""
        if self.changed_share and step_ms > self.settings.get("step_ms_max", math.inf):
            self.changed_share = self.changed_share / 2 if self.changed_share > 0.05 else 0.0
            self.say(f"{step_ms:.0f} ms a step: voices are changed in {100 * self.changed_share:.0f} % of the disturbed "
                     "batches from now on")

    def learn(self, host, batch, share, letter_weight, thing_weight):
        """Adds the gradients of a batch; its cross-entropy, and its letter loss or None."""
        kind = self.kind(share)
        if "patches" in batch:
            if self.graphs:
                return self.graphs.scenes(batch, host, thing_weight), None
            entropy, things = self.step.scenes(batch, int(host["columns"]))
            (entropy + thing_weight * things).backward()
            return entropy.detach(), None
        if self.graphs:
            return self.graphs.speech(batch, host, kind, letter_weight)
        heard = self.step.heard(batch, int(host["frame_places"]), kind)
        entropy, letters = self.step.speech(batch, heard)
        letter = self.step.letter_loss(letters, batch["letters"], host)
        (entropy + letter_weight * letter).backward()
        return entropy.detach(), letter.detach()

    def rate(self, part):
        """Learning rate when `part` of the run's time is over."""
        warm = min(1.0, (self.weights.steps + 1) / self.settings["warm_up"])
        floor = self.settings["rate_floor"]
        return self.settings["rate"] * warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, part))))

    def shares(self, part):
        """(share of disturbed batches, weights of the two helper losses) by the time that is over."""
        begin, end = self.settings["disturb_from"], self.settings["disturb_full"]
        share = self.settings["disturb_share"] * min(1.0, max(0.0, (part - begin) / (end - begin)))
        late = "" if part < 0.5 else "_late"
        return share, self.settings["letter_weight" + late], self.settings.get("thing_weight" + late, 0.0)

    def next_batch(self, part):
        """Of speech, or of scenes as often as the settings say; fewer in the second half, because they are
        learnt before speech is."""
        settings = self.settings["examples"]
        share = settings.get("scene_share", 0.0)
        if part >= 0.5:
            share = settings.get("scene_share_late", share)
        scenes = self.turns.random() < share and len(self.batches) > 1 and not self.short.value
        return next(self.batches[1 if scenes else 0])

    def leave_short(self, part, letter):
        """Leaves the short examples when the letters are heard, or when their time is over."""
        if self.listening_at is None:
            self.letter_loss += 0.01 * (letter - self.letter_loss)
            heard = self.letter_loss < self.settings["heard_letter_loss"] and part > self.settings["short_min"]
            if heard or part > self.settings["short_max"]:
                self.listening_at = part
                self.short.value = 0
                self.say(f"listening at step {self.weights.steps}, letter loss {self.letter_loss:.2f}")

    def shared_clock(self, limit_s):
        """Part of the time that is over, the same on every process."""
        part = (time.time() - self.started) / limit_s
        if self.world == 1:
            return part
        clock = torch.tensor([part], device=self.device)
        distributed.broadcast(clock, 0)
        return clock.item()

    def keep_pace(self, begun):
        """Waits for the step before the last few: the host must not run far ahead of the clock."""
        if self.cuda:
            begun.append(torch.cuda.current_stream().record_event())
            if len(begun) > 4:
                begun.popleft().synchronize()

    def run(self, limit_s):
        """Trains until `limit_s` seconds after the start of this process."""
        part, begun, evaluated = 0.0, self.shared_clock(limit_s), 0
        report, letter, events = Report(self), torch.zeros((), device=self.device), collections.deque()
        while True:
            if self.weights.steps % 20 == 0:
                part = (self.shared_clock(limit_s) - begun) / (1 - begun)
                if self.means is not None:
                    self.means.add(part, self.weights.master, self.weights.average)
                if part >= 1:
                    break
                if time.time() - self.saved > self.settings["save_seconds"]:
                    self.save()
                if int(part * self.settings["evaluations"]) > evaluated:
                    evaluated = int(part * self.settings["evaluations"])
                    self.evaluate(self.settings["watched_number"], show=0)
            host, batch = self.next_batch(part)
            entropy, heard = self.learn(host, batch, *self.shares(part))
            norm = self.weights.step(self.rate(part))
            letter = letter if heard is None else heard
            report.add(host, entropy, heard)
            if self.weights.steps % 20 == 0 and self.listening_at is None:
                self.leave_short_together(part, letter)
            if self.weights.steps % self.settings["report_steps"] == 0:
                step_ms = report.say(part, norm.item())
                if self.weights.steps > STEPS_OF_RECORDING:
                    self.keep_fast(step_ms)
            self.keep_pace(events)
        self.save()
        self.wait_for_shards()
        if self.means is None:
            self.evaluate(self.settings["watched_number"], show=3)
        elif self.rank == 0:
            self.choose()
        self.say("done")

    def choose(self):
        """Puts the best of the run's candidates in the place of the checkpoint, and keeps all of them."""
        candidates = self.means.candidates(self.weights.average)
        for name, flat in candidates.items():
            shards.replace(self.out / "candidates" / name, lambda folder, flat=flat: shards.save(
                folder, self.weights.named(self.network, flat.cpu()), {"candidate": name}))
        self.say(f"{len(candidates)} candidates")
        choice = Choice(self.watch, self.settings["chosen_by"], *self.questions.result())
        best = choice.best(candidates, self.weights.use, self.say, self.settings["choose_seconds"])
        self.weights.restore()
        self.weights.average.copy_(candidates[best])
        self.say(f"the checkpoint is {best}")
        self.save({"candidate": best})
        self.wait_for_shards()

    def evaluate(self, number, show):
        """Scores the averaged weights on so many held-out recordings of each store."""
        self.weights.use(self.weights.average)
        self.watch.score(-(-number // self.world), show)
        self.weights.restore()

    def leave_short_together(self, part, letter):
        """`leave_short` with the letter loss of all processes, so that they all change together."""
        letter = letter.clone()
        if self.world > 1:
            distributed.all_reduce(letter)
        for _ in range(20):
            self.leave_short(part, letter.item() / self.world)

    def save(self, more=None):
        """Shards of the averaged weights: OUT/checkpoint in bfloat16, OUT/keep in int8, which is small
        enough to be brought back at any time. Written by a thread, while training goes on."""
        self.saved = time.time()
        if self.rank:
            return
        flat = self.weights.average.cpu()
        if not torch.isfinite(flat).all():
            raise ValueError(f"the averaged weights are not finite at step {self.weights.steps}; the shards in "
                             f"{self.out} are older and whole: go on from them with other settings")
        state = {"steps": self.weights.steps, "seconds": round(time.time() - self.started), **(more or {})}
        self.wait_for_shards()
        self.writer = threading.Thread(target=self.write, args=(self.weights.named(self.network, flat), state))
        self.writer.start()

    def write(self, named, state):
        for name, halved in (("checkpoint", False), ("keep", True)):
            shards.replace(self.out / name, lambda folder: shards.save(folder, named, state, halved))

    def wait_for_shards(self):
        if self.writer:
            self.writer.join()


class Report:
    """Losses since the last report, added up on the device, and what was heard and seen so far."""

    def __init__(self, trainer):
        self.trainer, self.reported, self.steps = trainer, time.time(), 0
        self.seconds, self.pictures = 0.0, 0
        self.sums = torch.zeros(5, device=trainer.device, dtype=torch.float64)  # speech, letters, n; scenes, n
        self.one = torch.ones((), device=trainer.device)

    def add(self, host, entropy, letter):
        self.steps += 1
        if letter is None:
            self.pictures += len(host["patches"])
            self.sums[3:] += torch.stack([entropy, self.one])
        else:
            self.seconds += float(host["frames"].sum()) * 0.04
            self.sums[:3] += torch.stack([entropy, letter, self.one])

    def say(self, part, norm):
        trainer, now = self.trainer, time.time()
        spoken, letter, heard, scene, seen = self.sums.tolist()
        self.sums.zero_()
        if not math.isfinite(spoken + letter + scene):
            raise ValueError(f"the losses since the last report are not finite at step {trainer.weights.steps}")
        scenes = f", scenes {self.pictures * trainer.world} entropy {scene / seen:.3f}" if seen else ""
        step_ms = (now - self.reported) / self.steps * 1e3
        trainer.say(f"{100 * part:.1f} % step {trainer.weights.steps} entropy {spoken / max(1, heard):.3f} letters "
                    f"{letter / max(1, heard):.3f} norm {norm:.2f} rate {trainer.rate(part):.1e} heard "
                    f"{self.seconds * trainer.world / 3600:.0f} h{scenes}, "
                    f"{step_ms:.0f} ms a step")
        self.reported, self.steps = now, 0
        return step_ms


def see_one_device():
    """Each process of several sees its own GPU alone, as number 0: what was compiled for that number is
    found in the compiler's cache by all of them. Before anything asks for a GPU."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[local] if visible else str(local)


def main(config, work, speech, out, tokenizer_path, limit_s, resume=None, pictures=None, plain=False):
    """Entry point of one process."""
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    see_one_device()
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, work, speech, out, tokenizer, resume, pictures, plain)
    trainer.run(limit_s)
    if distributed.is_initialized():
        distributed.destroy_process_group()
