"""The weights that a run may end with: the average of its last steps, means over longer parts of it, and
mixtures with earlier ones. Which is best is found by `Choice`, on recordings, scenes and videos that are not
trained on. But for the game's held-out characters, none of them is a part of the evaluation sets."""

import multiprocessing
import os
import time
from concurrent import futures

import numpy
import torch

from . import errors, motion_evaluation, scene_evaluation, sprites, store, voice_change

SEED = 4242                       # other scenes and sounds than those of the evaluation
SCENES, VIDEOS, SOUND_HOURS, MUSIC = 400, 175, 0.05, 24
# What chance alone moves between two candidates shall weigh about the same in each (0.003 to 0.006): about 0.008 of
# the people, 0.003 of held sentences, 0.006 of machines, 0.006 of 400 scenes and 0.015 of 175 videos.
SHARES = {"person": 0.5, "held": 1.5, "machine": 1.0, "scenes": 0.8, "motion": 0.3, "quiet": 0.002}


class Means:
    """Sums of the weights while they are trained. marks: parts of the run's time from which a mean is
    wanted; early: the part at which the running average is kept."""

    def __init__(self, master, marks, early):
        self.total, self.number = torch.zeros_like(master, dtype=torch.float64), 0
        self.start, self.marks, self.sums = master.clone(), sorted(marks), {}
        self.early_at, self.early = early, None

    @torch.no_grad()
    def add(self, part, master, average):
        for mark in self.marks:
            if part >= mark and mark not in self.sums:
                self.sums[mark] = (self.total.clone(), self.number)
        if part >= self.early_at and self.early is None:
            self.early = average.clone()
        self.total += master
        self.number += 1

    @torch.no_grad()
    def candidates(self, average):
        """name -> flat float32 weights; what a run ended too early for is missing."""
        out = {"last": average}
        for mark, (total, number) in self.sums.items():
            if number < self.number:
                out[f"from-{100 * mark:.0f}"] = ((self.total - total) / (self.number - number)).float()
        if self.early is not None:
            out["last-with-early"] = torch.lerp(average, self.early, 0.3)
        longest = out.get(f"from-{100 * self.marks[0]:.0f}") if self.marks else None
        if longest is not None:
            out["with-start"] = torch.lerp(longest, self.start, 0.2)
        return out


def with_machines(recordings, device):
    """(samples, text) recordings as a buzzing or whispering machine would say them."""
    out = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(SEED)
        for samples, wanted in recordings:
            wave = torch.from_numpy(samples)[None].to(device).float() / 32768
            made = voice_change.machines(wave)[0].clamp(-1, 1) * 32767
            out.append((made.to(torch.int16).cpu().numpy(), wanted))
    return out


def questions(sprite_file, videos):
    """What candidates are asked besides held-out recordings: (int16 sounds without words, name -> pictures.Scene of
    pictures and videos). sprite_file: None if nothing was taught about pictures; videos: whether videos were taught."""
    from . import quiet   # scipy and soundfile, which training itself does without
    made = (*quiet.made(numpy.random.default_rng(SEED), SOUND_HOURS), *quiet.made_music(MUSIC, SEED))
    shown = {}
    if sprite_file is not None:
        shown["scenes"] = scene_evaluation.questions(sprite_file, sprites.SEEN_STYLES, SCENES, SEED)
        if videos:
            shown["motion"] = motion_evaluation.questions(sprite_file, sprites.SEEN_STYLES, VIDEOS, SEED)
    return [samples for _, samples in made if len(samples) <= 15 * store.RATE_HZ], shown


def questions_later(*arguments):
    """A future of `questions`, which a process of its own makes: it takes 20 s that the end of a run lacks."""
    pool = futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), os.nice, (10,))
    future = pool.submit(questions, *arguments)
    pool.shutdown(wait=False)             # the process ends when this is done
    return future


class Choice:
    """watch: watch.Watch, of whose held-out recordings so many of each kind are used; sounds, shown: as
    `questions` gives them."""

    def __init__(self, watch, number, sounds, shown):
        self.watch, self.sounds, self.shown = watch, sounds, shown
        person, spoken = (watch.held.get(name, [])[:number] for name in ("held-person", "held"))
        self.recordings = {"person": person, "held": spoken, "machine": with_machines(spoken, torch.device(watch.device))}

    def score(self):
        """name -> error rate of each set, or words heard where there are none, with the working weights."""
        out = {}
        for name, recordings in self.recordings.items():
            if recordings:
                heard = self.watch.hear_all([samples for samples, _ in recordings])
                out[name] = errors.rate([errors.count(wanted, one) for (_, wanted), one in zip(recordings, heard)])
        out["quiet"] = sum(len(one.split()) for one in self.watch.hear_all(self.sounds))
        for name, shown in self.shown.items():
            found = self.watch.describe(shown)
            out[name] = sum(one.strip() != scene.text for scene, one in zip(shown, found)) / len(shown)
        return out

    def best(self, candidates, use, say, seconds):
        """Name of the best of `candidates`, in as many seconds as there are for it; use(weights) puts
        weights to work, say prints a line."""
        started, losses = time.time(), {}
        for name, weights in candidates.items():
            if losses and (time.time() - started) * (1 + 1 / len(losses)) > seconds:
                say(f"candidate {name}: no time")
                continue
            use(weights)
            scores = self.score()
            losses[name] = sum(SHARES[key] * value for key, value in scores.items())
            say(f"candidate {name}: {losses[name]:.4f}, " + ", ".join(f"{key} {value:.3f}" for key, value in scores.items()))
        return min(losses, key=losses.get)
