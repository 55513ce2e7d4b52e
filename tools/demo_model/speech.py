"""`make-speech`: recordings of the sentences, by many processes at once, each with its own store."""

import json
import os
import pathlib
import random
import time

import numpy

from . import makers, phonemes, store, text

CHUNK = 160           # sentences that one Kokoro process takes at a time; the end of the time waits for it
CRASHES_MAX = 8       # of one process of an engine
ENGINE_FLUSH_S = 20   # between two times that an engine's recordings are made known to whoever reads along
PHONEMES_MAX = 330    # of one sentence; more would be longer than an utterance may be
UNMIXED = {"mixed_share": 0.0, "two_part_share": 0.0}


class Material:
    """What every worker reads: sentences, phonemes, the phoneme ids and the voices."""

    def __init__(self, settings, work):
        self.rows = text.read(work / "sentences.tsv")
        self.phonemes = phonemes.Table(work / "phonemes.tsv")
        if len(self.rows) != len(self.phonemes):
            raise ValueError("sentences.tsv and phonemes.tsv have different numbers of lines")
        self.kokoro = work / "kokoro"
        vocabulary = json.loads((self.kokoro / "vocab.json").read_text(encoding="utf-8"))
        self.vocabulary = vocabulary.get("vocab", vocabulary)
        held = set(settings["held_voices"])
        names = sorted(path.stem for path in (self.kokoro / "voices").glob("*.bin"))
        self.names = [name for name in names if name[0] in "ab"]
        self.voices = {"train": [name for name in self.names if name not in held],
                       "held": [name for name in self.names if name in held]}

    def rows_of(self, split):
        return [number for number, row in enumerate(self.rows) if row[1] == split]


def order_of_rows(material, settings, split, seed):
    """Row numbers in a random order. Of a source that `first_share` names only that share comes
    early, the rest after everything else; what follows the first '-' of a source does not count."""
    shuffled = material.rows_of(split)
    chooser = random.Random(seed)
    chooser.shuffle(shuffled)
    shares = settings["first_share"]

    def is_early(number):
        source = material.rows[number][0]
        share = shares.get(source, shares.get(source.split("-")[0], 1.0))
        return chooser.random() < share

    early = {number: is_early(number) for number in shuffled}
    return [number for number in shuffled if early[number]] + [number for number in shuffled if not early[number]]


def kokoro_job(material, settings, number, split, chooser):
    """(words, aligned, voice, speed, row) of one sentence, or None if it is too long."""
    accent, words, aligned = material.phonemes[number]
    if sum(map(len, words)) + len(words) > PHONEMES_MAX:
        return None
    from . import voices
    names, manners = material.voices[split], settings if split == "train" else settings | UNMIXED
    if split == "train" and chooser.random() >= settings.get("foreign_share", 0.0):
        names = [name for name in names if name[0] == accent]
    speed = chooser.uniform(settings["speed_min"], settings["speed_max"])
    return words, aligned, voices.choose_voice(chooser, names, manners), speed, number


def kokoro_worker(settings, work, out, share, shares, device, split, limit_s):
    """Speaks every `shares`-th sentence with Kokoro until all are done or the time is over."""
    import torch

    from . import kokoro, voices
    torch.set_num_threads(2 if device != "cpu" else 1)
    started, material = time.time(), Material(settings, work)
    seed = settings["seed"] * 1000 + share
    torch.manual_seed(seed)
    chooser = random.Random(seed)
    model = kokoro.Kokoro(sorted(map(str, material.kokoro.glob("*.safetensors*"))), device,
                          None if device == "cpu" else torch.float16)
    styles = kokoro.Voices(str(material.kokoro / "voices"))
    writer = store.Writer(out)
    order = order_of_rows(material, settings, split, settings["seed"])
    order = order[:settings.get("sentences_max") or None][share::shares]
    while order:
        for at in range(0, len(order), CHUNK):
            jobs = [kokoro_job(material, settings, number, split, chooser) for number in order[at:at + CHUNK]]
            jobs = sorted((job for job in jobs if job), key=lambda job: len(job[0]))
            for job, samples, spans in voices.speak(model, styles, jobs, material.vocabulary, chooser,
                                                    240.0 if device != "cpu" else 12.0):
                speaker = material.names.index(job[2]) if isinstance(job[2], str) else -1     # of a mixture: unknown
                writer.add(samples, job[4], speaker, "kokoro", spans)
            writer.flush()
            print(f"kokoro {share}: {writer.hours:.2f} h, {time.time() - started:.0f} s", flush=True)
            if limit_s and time.time() - started > limit_s:
                return writer.close()
        if not limit_s:
            return writer.close()


def engine_of(kind, root):
    """The speech engine of a kind that store.ENGINES names."""
    from . import engines, engines_nonfree
    return {"flite": engines.Flite, "espeak-ng": engines.Espeak, "rhvoice": engines_nonfree.RhVoice,
            "pico": engines_nonfree.Pico}[kind](root)


def engine_worker(settings, work, out, kind, share, shares, root, limit_s, times=0):
    """Speaks every `shares`-th sentence with an engine until all are done or the time is over. times: how often
    it crashed before; it then begins elsewhere in the order."""
    from math import gcd

    from scipy import signal
    os.nice(10)                              # an accelerator must not wait for this
    started, material = time.time(), Material(settings, work)
    seed = settings["seed"] * 1000 + 500 + 50 * store.ENGINES.index(kind)
    chooser, engine, writer = random.Random(seed + share + 1000 * times), engine_of(kind, root), store.Writer(out)
    order, flushed = order_of_rows(material, settings, "train", seed), started
    order = order[:settings.get("sentences_max") or None][share::shares]
    begin = chooser.randrange(len(order)) if times else 0
    for number in order[begin:] + order[:begin]:
        samples = engine.speak(material.rows[number][2], chooser)
        if len(samples) and engine.rate_hz != store.RATE_HZ:
            divisor = gcd(engine.rate_hz, store.RATE_HZ)
            samples = signal.resample_poly(samples.astype(numpy.float32), store.RATE_HZ // divisor,
                                           engine.rate_hz // divisor)
            samples = samples.clip(-32768, 32767).astype(numpy.int16)
        loud = numpy.flatnonzero(numpy.abs(samples) > 60)
        if len(loud) > 1600:
            begin, end = max(0, loud[0] - 800), min(len(samples), loud[-1] + 1600)
            writer.add(samples[begin:end], number, -1, kind)
        now = time.time()
        if now - flushed > ENGINE_FLUSH_S:
            writer.flush()
            flushed = now
        if now - started > limit_s or writer.hours > settings["engine_hours"] / shares:
            break
    writer.close()
    print(f"{kind} {share}: {writer.hours:.2f} h, {time.time() - started:.0f} s", flush=True)


def background_worker(out, number, seed):
    """Sounds without words."""
    from . import sounds
    sounds.write_store(out, number, seed)


def people_worker(settings, work, out):
    """The recordings of people, unpacked."""
    from . import game_voices
    game_voices.write_stores(work / settings["people"], text.read(work / "sentences.tsv"),
                             settings["held_characters"], out, settings["held_number"])


def cpu_jobs(settings, work, out, limit_s):
    """(function, arguments) of every process that needs no accelerator; as many processes of each
    kind as the machine's share allows."""
    cores = (os.cpu_count() or 2) - settings["cores_kept"]
    wanted = settings["engine_processes"]
    scale = min(1.0, max(1, cores) / max(1, sum(wanted.values()) + settings["background_processes"]))
    jobs = []
    for kind, number in wanted.items():
        number = max(1, int(number * scale))
        jobs += [(engine_worker, (settings, work, out / f"{kind}-{share}", kind, share, number,
                                  work / settings["engine_root"], limit_s or 1e9)) for share in range(number)]
    number = max(1, int(settings["background_processes"] * scale))
    jobs += [(background_worker, (out / f"background-{share}", settings["background_number"] // number,
                                  settings["seed"] * 100 + share)) for share in range(number)]
    return jobs + [(people_worker, (settings, work, out))] if "people" in settings else jobs


def kokoro_jobs(settings, work, out, limit_s, first_s, devices, split):
    """(function, arguments) of every Kokoro process; those of all devices but the last one stop after
    first_s, if that is given."""
    shares, name = len(devices) * settings["processes_per_device"], "kokoro-{}"
    if split == "held":
        shares, name, settings = 1, "held", settings | {"sentences_max": settings["held_number"]}
    return [(kokoro_worker, (settings, work, out / name.format(share), share, shares, device, split,
                             first_s if first_s and device != devices[-1] else limit_s))
            for share, device in ((share, devices[share % len(devices)]) for share in range(shares))]


def engine_again(job, times, left_s):
    """The job in the place of one that crashed for the times-th time: an engine speaks into another store for
    the time that is left. None for other jobs, and when it is not worth it."""
    if job[0] is not engine_worker or times > CRASHES_MAX or left_s < ENGINE_FLUSH_S:
        return None
    settings, work, out, kind, share, shares, root, *_ = job[1]
    return engine_worker, (settings, work, out.with_name(f"{kind}-{share}-again-{times}"), kind, share, shares, root,
                           left_s, times)


def make(settings, work, out, limit_s=None, devices=("cpu",), split="train", first_s=None, last_s=None):
    """Runs all workers and waits; stores are OUT/kokoro-K, OUT/ENGINE-K, OUT/background-K, OUT/person
    and OUT/held-person, or OUT/held, a few held-out sentences that training is watched with. Every
    store grows while it is made, so that training can read along (store.Writer.flush). Kokoro stops on
    the last device after last_s, if that is given."""
    work, out = pathlib.Path(work), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    jobs = kokoro_jobs(settings, work, out, last_s or limit_s, first_s, devices, split)
    if split == "train":
        jobs += cpu_jobs(settings, work, out, limit_s)
    until = time.time() + (limit_s or 1e9)
    well = makers.run(jobs, lambda job, times: engine_again(job, times, until - time.time()))
    print(f"make-speech: {well} of {len(jobs)} workers finished", flush=True)
    return well > 0
