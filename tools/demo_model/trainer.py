"""`train`: one process a GPU (torchrun), or one on the CPU; ends by the clock; writes shards."""

import json
import math
import os
import pathlib
import time

import numpy
import torch
from torch import distributed
from torch.multiprocessing import Value
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from . import batches, examples, frames, shards, store, text, waves
from .network import Decoder
from .watch import Watch
from .weights import FlatWeights

HELD = "held"   # stores whose name begins so are watched and never trained on


class Stream(IterableDataset):
    """Batches for one process; every worker has its own seed."""

    def __init__(self, planner, layout, settings, seed, short, pictures=None):
        self.planner, self.layout, self.settings = planner, layout, settings
        self.seed, self.short, self.pictures = seed, short, pictures

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        seed = self.seed * 100 + (worker.id if worker else 0)
        scenes = None
        if self.pictures:
            from .pictures import Scenes
            scenes = Scenes(self.pictures)
        for batch in batches.stream(self.planner, self.layout, self.settings, seed,
                                    lambda: bool(self.short.value), scenes):
            yield {name: torch.from_numpy(array) for name, array in batch.items()}


class Trainer:
    """One process of a training run."""

    def __init__(self, config, work, speech, out, tokenizer, resume=None, pictures=None):
        self.settings, self.out = config["train"], pathlib.Path(out)
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.cuda = torch.cuda.is_available()
        self.tokenizer, self.started, self.saved = tokenizer, time.time(), time.time()
        self.layout = batches.Layout(tokenizer, config["language"])
        rows = text.read(pathlib.Path(work) / "sentences.tsv")
        folders = sorted(path.parent for path in pathlib.Path(speech).glob("*/index.npz"))
        self.index = store.Index([folder for folder in folders if not folder.name.startswith(HELD)])
        held = {folder.name: self.load_held(folder, rows) for folder in folders if folder.name.startswith(HELD)}
        self.short = Value("b", 1, lock=False)
        planner = examples.Planner(self.index, [row[2] for row in rows], self.settings["examples"],
                                   text.translations(rows, pathlib.Path(work) / "parallel.tsv"))
        stream = Stream(planner, self.layout, self.settings["examples"], config["seed"] * 100 + self.rank,
                        self.short, pictures)
        workers = self.settings["loader_processes"]
        self.batches = iter(DataLoader(stream, batch_size=None, num_workers=workers, pin_memory=False,
                                       prefetch_factor=4 if workers else None))
        self.start_device()
        torch.manual_seed(config["seed"])
        self.network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS)).to(self.device)
        if self.settings.get("compile"):
            for layer in self.network.layers:
                layer.compile(dynamic=True)
        self.weights = FlatWeights(self.network, torch.bfloat16 if self.cuda else torch.float32, self.settings)
        self.watch = Watch(self.network, self.layout, held, self.device, self.say)
        self.letter_loss, self.listening_at = 9.0, None
        if resume:
            self.resume(resume)
        self.flat = self.load_samples()
        self.music = self.music_places()
        torch.manual_seed(config["seed"] * 1000 + self.rank)
        self.say(f"{len(self.index)} recordings, {len(self.flat) / store.RATE_HZ / 3600:.1f} h, "
                 f"{len(planner.people)} of people, {len(planner.translated)} with translations, "
                 f"{len(planner.wordless)} without words, "
                 f"{sum(p.numel() for _, p in self.network.published()) / 1e6:.2f} M parameters, {self.world} processes")

    def say(self, line):
        if self.rank == 0:
            print(f"{time.time() - self.started:7.1f} s  {line}", flush=True)

    def start_device(self):
        if self.cuda:
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        else:
            self.device = torch.device("cpu")
        if self.world > 1:
            distributed.init_process_group("nccl" if self.cuda else "gloo")

    def load_held(self, folder, rows):
        """(samples, text) of the store's recordings that this process scores."""
        index = store.Index([folder])
        numbers = range(self.rank, min(len(index), self.settings["held_number"]), self.world)
        return [(index.read(number), rows[index.sentence[number]][2]) for number in numbers]

    def load_samples(self):
        """All samples in the memory of the device, int16 [S]."""
        flat, at = torch.empty(self.index.samples_total, dtype=torch.int16, device=self.device), 0
        for path, size in self.index.parts:
            part = numpy.memmap(path, numpy.int16, "r", shape=(size,))
            for begin in range(0, size, 1 << 28):
                piece = torch.from_numpy(numpy.array(part[begin:begin + (1 << 28)]))
                flat[at:at + len(piece)] = piece.to(self.device)
                at += len(piece)
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

    # one step

    def background(self, rows, samples):
        """Music or another sound without words for each row, float [B, samples], or None."""
        if not len(self.music):
            return None
        first = self.music[torch.randint(len(self.music), (rows, 1), device=self.device)]
        first = (first + torch.randint(4 * store.RATE_HZ, (rows, 1), device=self.device))
        place = (first + torch.arange(samples, device=self.device)).clamp(max=len(self.flat) - 1)
        return self.flat[place].float() / 32768

    def audio(self, batch, share):
        """Frames [B, T, 640] of a batch, disturbed with probability `share`."""
        count = int(batch["frames"].max())
        samples = count * frames.FRAME
        wave = waves.compose(self.flat, batch["source"], batch["begin"], batch["length"], batch["rate"], samples)
        if torch.rand(()).item() < share:
            wave = waves.disturb(wave, batch["has_words"], self.background(len(wave), samples))
        else:
            wave = waves.lightly_noisy(wave, batch["has_words"])
        return waves.drop_frames(waves.to_frames(wave), 0.15 if share else 0.0)

    def shown(self, batch):
        """Tokens as the decoder reads them: some of those that it has to say are replaced."""
        tokens = batch["tokens"]
        said = torch.zeros(tokens.numel(), dtype=torch.bool, device=self.device)
        said[(batch["label_at"] + 1).clamp(max=tokens.numel() - 1)] = True
        replaced = said.view_as(tokens) & (torch.rand(tokens.shape, device=self.device)
                                           < self.settings["replaced_share"])
        return torch.where(replaced, torch.randint_like(tokens, 284, self.tokenizer.get_vocab_size()), tokens)

    def entropy(self, hidden, batch):
        logits = self.network.logits(hidden.flatten(0, 1)[batch["label_at"]])
        return functional.cross_entropy(logits, batch["labels"], label_smoothing=self.settings["smoothing"])

    def letter_loss_of(self, hidden, batch, host):
        """Mean CTC loss a letter of the rows that have letters; hidden [B, L, D]."""
        if not int(host["letter_count"].sum()):
            return torch.zeros((), device=self.device)
        count, width = int(host["frames"].max()), hidden.shape[1]
        place = (batch["soft_at"][:, None] + torch.arange(count, device=self.device)).clamp(max=width - 1)
        heard = hidden.gather(1, place[..., None].expand(-1, -1, hidden.shape[2]))
        letters = functional.log_softmax(self.network.letters(heard).float(), -1)
        each = functional.ctc_loss(letters.transpose(0, 1), batch["letters"], host["frames"], host["letter_count"],
                                   reduction="none", zero_infinity=True)
        has_letters = batch["letter_count"] > 0
        return (each / batch["letter_count"].clamp(min=1) * has_letters).sum() / has_letters.sum().clamp(min=1)

    def thing_loss(self, hidden, batch):
        """Cross-entropy of the noun and of the colour that lie on each patch."""
        begin, (nouns, colours) = len(self.layout.scene_before), self.network.thing_sizes
        seen = self.network.things(hidden[:, begin:begin + batch["things"].shape[1]]).float().flatten(0, 1)
        noun, colour = batch["things"].flatten(0, 1).unbind(-1)
        return functional.cross_entropy(seen[:, :nouns], noun) + functional.cross_entropy(seen[:, nouns:], colour)

    def loss(self, batch, share, letter_weight, thing_weight):
        """(loss, cross-entropy, letter loss or None) of a batch of speech or of pictures."""
        host = batch
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        if "patches" in batch:
            x, mask = self.network.embed_pictures(self.shown(batch), batch["patches"], int(host["columns"]),
                                                  self.layout.image_id, len(self.layout.scene_before))
            hidden = self.network(x, mask)
            entropy = self.entropy(hidden, batch)
            return entropy + thing_weight * self.thing_loss(hidden, batch), entropy.detach(), None
        with torch.no_grad():
            heard = self.audio(batch | {"frames": host["frames"]}, share)
        hidden = self.network(self.network.embed(self.shown(batch), heard, self.layout.audio_id))
        entropy, letter = self.entropy(hidden, batch), self.letter_loss_of(hidden, batch, host)
        return entropy + letter_weight * letter, entropy.detach(), letter.detach()

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
        clock = torch.tensor([(time.time() - self.started) / limit_s], device=self.device)
        if self.world > 1:
            distributed.broadcast(clock, 0)
        return clock.item()

    def run(self, limit_s):
        """Trains until `limit_s` seconds after the start of this process."""
        part, begun, reported, seconds, evaluated = 0.0, self.shared_clock(limit_s), time.time(), 0.0, 0
        letter, scene, pictures = torch.zeros((), device=self.device), None, 0
        while True:
            if self.weights.steps % 20 == 0:
                part = (self.shared_clock(limit_s) - begun) / (1 - begun)
                if part >= 1:
                    break
                if time.time() - self.saved > self.settings["save_seconds"]:
                    self.save()
                if int(part * self.settings["evaluations"]) > evaluated:
                    evaluated = int(part * self.settings["evaluations"])
                    self.evaluate(self.settings["watched_number"], show=3)
            batch = next(self.batches)
            loss, entropy, heard = self.loss(batch, *self.shares(part))
            loss.backward()
            norm = self.weights.step(self.rate(part))
            if heard is None:
                scene, pictures = entropy, pictures + len(batch["patches"])
            else:
                letter, spoken = heard, entropy
                seconds += float(batch["frames"].sum()) * 0.04
            if self.weights.steps % 20 == 0:
                self.leave_short_together(part, letter)
            if self.weights.steps % self.settings["report_steps"] == 0:
                now = time.time()
                each_ms = (now - reported) / self.settings["report_steps"] * 1e3
                seen = f", scenes {pictures * self.world} entropy {scene.item():.3f}" if scene is not None else ""
                self.say(f"{100 * part:.1f} % step {self.weights.steps} entropy {spoken.item():.3f} letters "
                         f"{letter.item():.3f} norm {norm.item():.2f} rate {self.rate(part):.1e} heard "
                         f"{seconds * self.world / 3600:.0f} h{seen}, {each_ms:.0f} ms a step")
                reported = now
        self.save()
        self.evaluate(self.settings["held_number"], show=12)
        self.say("done")

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

    def save(self):
        """Shards of the averaged weights: OUT/checkpoint in bfloat16, OUT/keep in int8, which is small
        enough to be brought back at any time."""
        self.saved = time.time()
        if self.rank == 0:
            state = {"steps": self.weights.steps, "seconds": round(time.time() - self.started)}
            self.weights.use(self.weights.average)
            for name, halved in (("checkpoint", False), ("keep", True)):
                shards.replace(self.out / name, lambda folder: shards.save(folder, self.network, state, halved))
            self.weights.restore()


def main(config, work, speech, out, tokenizer_path, limit_s, resume=None, pictures=None):
    """Entry point of one process."""
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, work, speech, out, tokenizer, resume, pictures)
    trainer.run(limit_s)
    if distributed.is_initialized():
        distributed.destroy_process_group()
