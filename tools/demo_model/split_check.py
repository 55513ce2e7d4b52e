"""`check-split`: proves on the built tables and stores that nothing held out is trained on."""

import json
import pathlib

from . import evaluated, game_voices, overlap, sentences, store, text


def sentence_problems(rows, held_elsewhere):
    """Normalised sentences of the table that are on both sides, or trained on though another part
    of the project holds them out. rows: (source, split, text); held_elsewhere: name -> sentences."""
    sides = {"train": set(), "held": set()}
    for _, split, line in rows:
        sides[split].add(sentences.normalise(line))
    out = [f"on both sides: {key}" for key in sorted(sides["train"] & sides["held"])]
    for name, lines in held_elsewhere.items():
        known = {sentences.normalise(line) for line in lines} - {""}
        out += [f"held out by {name}, but trained on: {key}" for key in sorted(known & sides["train"])]
    return out


def overlap_problems(rows, evaluated_texts):
    """Rows of training that have much of an evaluated sentence in them (see overlap.py)."""
    known = {name: overlap.Evaluated(lines) for name, lines in evaluated_texts.items()}
    found = ((name, line, one.found_in(line)) for _, split, line in rows if split == "train"
             for name, one in known.items())
    return [f"{line!r} has much of what {name} evaluates: {item!r}" for name, line, item in found if item is not None]


def store_problems(rows, folder, held_speakers):
    """Recordings under `folder` that training reads though their sentence or speaker is held out,
    and the other way round."""
    out = []
    for path in sorted(pathlib.Path(folder).glob("*/index.npz")):
        index, name = store.Index([path.parent]), path.parent.name
        wanted = "held" if name.startswith("held") else "train"
        for row, speaker in zip(index.sentence.tolist(), index.speaker.tolist()):
            if row >= 0 and rows[row][1] != wanted:
                out.append(f"{name}: a recording of the {rows[row][1]} sentence {rows[row][2]!r}")
            if wanted == "train" and speaker in held_speakers:
                out.append(f"{name}: a recording of the held-out speaker {speaker}")
    return out


def held_speakers(settings, work):
    """Numbers of the held-out voices and characters, as the stores have them."""
    names = sorted(path.stem for path in (work / "kokoro" / "voices").glob("*.bin") if path.stem[0] in "ab")
    characters = sorted({row[1] for row in game_voices.read_table(work / settings["people"])})
    return ({names.index(name) for name in settings["held_voices"]}
            | {game_voices.SPEAKER_FIRST + characters.index(name) for name in settings["held_characters"]})


def held_elsewhere(config, work, root):
    """name -> sentences that no table may train on: evaluation sets, samples, people, other splits."""
    held = [row[0] for row in text.parallel_lines(work / "parallel.tsv") if row[4] != "train"]
    return {"parallel.tsv": held} | evaluated.sets(config["text"], work, root)


def check(config, work, root, speech=None):
    """Prints what was compared and the problems; returns their number."""
    rows = text.read(work / "sentences.tsv")
    elsewhere = held_elsewhere(config, work, root)
    problems = sentence_problems(rows, elsewhere)
    if config["text"].get("evaluated"):
        problems += overlap_problems(rows, evaluated.sets(config["text"], work, root))
    translated = text.translations(rows, work / "parallel.tsv")
    problems += [f"translation of a held row: {rows[number][2]}" for number in translated if rows[number][1] != "train"]
    if speech:
        problems += store_problems(rows, speech, held_speakers(config["speech"], work))
    counts = {split: sum(row[1] == split for row in rows) for split in ("train", "held")}
    print(json.dumps({"rows": counts, "with translations": len(translated),
        "compared with": {name: len(lines) for name, lines in elsewhere.items()}}))
    for problem in problems[:20]:
        print(problem)
    print(f"check-split: {len(problems)} problems")
    return len(problems)
