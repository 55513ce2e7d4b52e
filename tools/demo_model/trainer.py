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

from . import batches, errors, examples, frames, prompt, shards, store, text, waves
from .network import Decoder
from .weights import FlatWeights


class Stream(IterableDataset):
    """Batches for one process; every worker has its own seed."""

    def __init__(self, planner, layout, settings, seed, short):
        self.planner, self.layout, self.settings = planner, layout, settings
        self.seed, self.short = seed, short

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        seed = self.seed * 100 + (worker.id if worker else 0)
        for batch in batches.stream(self.planner, self.layout, self.settings, seed,
                                    lambda: bool(self.short.value)):
            yield {name: torch.from_numpy(array) for name, array in batch.items()}


class Trainer:
    """One process of a training run."""

    def __init__(self, config, work, speech, out, tokenizer, resume=None):
        self.settings, self.out = config["train"], pathlib.Path(out)
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.cuda = torch.cuda.is_available()
        self.tokenizer, self.started = tokenizer, time.time()
        before, after = prompt.transcription_tokens(tokenizer, config["language"])
        token = tokenizer.token_to_id
        self.layout = batches.Layout(tokenizer, before, after, token(prompt.AUDIO_FRAME), token(prompt.TURN_END))
        texts = [row[2] for row in text.read(pathlib.Path(work) / "sentences.tsv")]
        folders = sorted(path.parent for path in pathlib.Path(speech).glob("*/index.npz"))
        self.index = store.Index([folder for folder in folders if folder.name != "held"])
        self.held = self.load_held(folders, texts)
        self.short = Value("b", 1, lock=False)
        planner = examples.Planner(self.index, texts, self.settings["examples"])
        stream = Stream(planner, self.layout, self.settings["examples"], config["seed"] * 100 + self.rank, self.short)
        workers = self.settings["loader_processes"]
        self.batches = iter(DataLoader(stream, batch_size=None, num_workers=workers, pin_memory=False,
                                       prefetch_factor=4 if workers else None))
        self.start_device()
        torch.manual_seed(config["seed"])
        self.network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS)).to(self.device)
        self.weights = FlatWeights(self.network, torch.bfloat16 if self.cuda else torch.float32, self.settings)
        self.letter_loss, self.listening_at = 9.0, None
        if resume:
            self.resume(resume)
        self.flat = self.load_samples()
        torch.manual_seed(config["seed"] * 1000 + self.rank)
        self.say(f"{len(self.index)} recordings, {len(self.flat) / store.RATE_HZ / 3600:.1f} h, "
                 f"{sum(p.numel() for _, p in self.network.published()) / 1e6:.2f} M parameters, "
                 f"prompt of {len(before)} + {len(after)} tokens, {self.world} processes")

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

    def load_held(self, folders, texts):
        """(samples, text) of held-out recordings that this process scores."""
        folders = [folder for folder in folders if folder.name == "held"]
        if not folders:
            return []
        index = store.Index(folders)
        numbers = range(self.rank, min(len(index), self.settings["held_number"]), self.world)
        return [(index.read(number), texts[index.sentence[number]]) for number in numbers]

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

    # one step

    def audio(self, batch, share):
        """Frames [B, T, 640] of a batch, disturbed with probability `share`."""
        count = int(batch["frames"].max())
        samples = count * frames.FRAME
        wave = waves.compose(self.flat, batch["source"], batch["begin"], batch["length"], batch["rate"], samples)
        has_speech = batch["length"].sum(1) > 0
        if torch.rand(()).item() < share:
            wave = waves.disturb(wave, has_speech)
        else:
            wave = waves.lightly_noisy(wave, has_speech)
        return waves.drop_frames(waves.to_frames(wave), 0.15 if share else 0.0)

    def loss(self, batch, share, letter_weight):
        """(loss, cross-entropy, letter loss) of a batch."""
        host = {name: batch[name] for name in ("frames", "letter_count")}
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        with torch.no_grad():
            heard = self.audio(batch | {"frames": host["frames"]}, share)
        tokens = batch["tokens"]
        shown = torch.zeros(tokens.numel(), dtype=torch.bool, device=self.device)
        shown[batch["label_at"] + 1] = True             # transcript tokens as the decoder reads them
        replaced = shown.view_as(tokens) & (torch.rand(tokens.shape, device=self.device)
                                            < self.settings["replaced_share"])
        tokens = torch.where(replaced, torch.randint_like(tokens, 284, self.tokenizer.get_vocab_size()), tokens)
        hidden = self.network(self.network.embed(tokens, heard, self.layout.audio_id))
        logits = self.network.logits(hidden.flatten(0, 1)[batch["label_at"]])
        entropy = functional.cross_entropy(logits, batch["labels"], label_smoothing=self.settings["smoothing"])
        begin, count = len(self.layout.before), int(host["frames"].max())
        letters = functional.log_softmax(self.network.letters(hidden[:, begin:begin + count]).float(), -1)
        lengths = host["letter_count"]
        each = functional.ctc_loss(letters.transpose(0, 1), batch["letters"], host["frames"], lengths,
                                   reduction="none", zero_infinity=True)
        weights = batch["letter_count"].clamp(min=1)
        letter = (each / weights * (batch["letter_count"] > 0)).sum() / (batch["letter_count"] > 0).sum().clamp(min=1)
        return entropy + letter_weight * letter, entropy.detach(), letter.detach()

    def rate(self, part):
        """Learning rate when `part` of the run's time is over."""
        warm = min(1.0, (self.weights.steps + 1) / self.settings["warm_up"])
        floor = self.settings["rate_floor"]
        return self.settings["rate"] * warm * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, part))))

    def shares(self, part):
        """(share of disturbed batches, weight of the letter loss) by the time that is over."""
        begin, end = self.settings["disturb_from"], self.settings["disturb_full"]
        share = self.settings["disturb_share"] * min(1.0, max(0.0, (part - begin) / (end - begin)))
        return share, self.settings["letter_weight"] if part < 0.5 else self.settings["letter_weight_late"]

    def watch(self, part, letter):
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
        part, begun, saved, reported = 0.0, self.shared_clock(limit_s), time.time(), time.time()
        seconds, evaluated = 0.0, 0
        while True:
            if self.weights.steps % 20 == 0:
                part = (self.shared_clock(limit_s) - begun) / (1 - begun)
                if part >= 1:
                    break
                if int(part * self.settings["evaluations"]) > evaluated:
                    evaluated = int(part * self.settings["evaluations"])
                    self.evaluate(128)
                    self.save()
            batch = next(self.batches)
            share, letter_weight = self.shares(part)
            loss, entropy, letter = self.loss(batch, share, letter_weight)
            loss.backward()
            norm = self.weights.step(self.rate(part))
            seconds += float(batch["frames"].sum()) * 0.04
            if self.weights.steps % 20 == 0:
                self.watch_all(part, letter)
            if self.weights.steps % self.settings["report_steps"] == 0:
                now = time.time()
                each_ms = (now - reported) / self.settings["report_steps"] * 1e3
                self.say(f"{100 * part:.1f} % step {self.weights.steps} entropy {entropy.item():.3f} letters "
                         f"{letter.item():.3f} norm {norm.item():.2f} rate {self.rate(part):.1e} heard "
                         f"{seconds * self.world / 3600:.0f} h, {each_ms:.0f} ms a step")
                reported = now
        self.save()
        self.evaluate(self.settings["held_number"], show=12)
        self.say("done")

    def watch_all(self, part, letter):
        """`watch` with the letter loss of all processes, so that they all change together."""
        letter = letter.clone()
        if self.world > 1:
            distributed.all_reduce(letter)
        for _ in range(20):
            self.watch(part, letter.item() / self.world)

    def save(self):
        """Shards of the averaged weights."""
        if self.rank == 0:
            self.weights.use(self.weights.average)
            shards.save(self.out / "checkpoint-new", self.network,
                        {"steps": self.weights.steps, "seconds": round(time.time() - self.started)})
            self.weights.restore()
            old = self.out / "checkpoint"
            if old.exists():
                old.rename(self.out / "checkpoint-old")
            (self.out / "checkpoint-new").rename(old)
            if (self.out / "checkpoint-old").exists():
                for path in (self.out / "checkpoint-old").iterdir():
                    path.unlink()
                (self.out / "checkpoint-old").rmdir()

    # evaluation without a cache: quick on a GPU, and independent of transformers

    @torch.inference_mode()
    def transcribe(self, recordings, longest=90):
        """Greedy transcripts of int16 recordings, the whole batch computed anew for every token."""
        heard = [torch.from_numpy(frames.cut(samples)) for samples in recordings]
        stacked = torch.nn.utils.rnn.pad_sequence(heard, batch_first=True).to(self.device)
        rows = [self.layout.before + [self.layout.audio_id] * len(one) + self.layout.after for one in heard]
        starts, done = [len(row) for row in rows], [False] * len(rows)
        for _ in range(longest):
            width = max(map(len, rows))
            tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self.device)
            hidden = self.network(self.network.embed(tokens, stacked, self.layout.audio_id))
            last = torch.tensor([len(row) - 1 for row in rows], device=self.device)
            best = self.network.logits(hidden[torch.arange(len(rows), device=self.device), last]).argmax(-1).tolist()
            for number, token in enumerate(best):
                done[number] |= token == self.layout.end_id
                if not done[number]:
                    rows[number].append(token)
            if all(done):
                break
        return [self.tokenizer.decode(row[start:]) for row, start in zip(rows, starts)]

    def evaluate(self, number, show=0):
        """Word error rate of the averaged weights on held-out recordings, over all processes."""
        if not self.held:
            return
        self.weights.use(self.weights.average)
        mine = sorted(self.held[:-(-number // self.world)], key=lambda item: len(item[0]))
        counts = torch.zeros(2, device=self.device)
        for at in range(0, len(mine), 32):
            part = mine[at:at + 32]
            for (_, wanted), heard in zip(part, self.transcribe([samples for samples, _ in part])):
                counts += torch.tensor(errors.count(wanted, heard), device=self.device)
                if show:
                    self.say(f"  wanted: {wanted} | heard: {heard}")
                    show -= 1
        self.weights.restore()
        if self.world > 1:
            distributed.all_reduce(counts)
        self.say(f"WER {100 * counts[0].item() / max(1, counts[1].item()):.2f} % on {int(counts[1])} held-out words")


def main(config, work, speech, out, tokenizer_path, limit_s, resume=None):
    """Entry point of one process."""
    from tokenizers import Tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, work, speech, out, tokenizer, resume)
    trainer.run(limit_s)
    if distributed.is_initialized():
        distributed.destroy_process_group()
