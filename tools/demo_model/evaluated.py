"""The texts of everything that a checkpoint is measured with: no training sentence may have much of them."""

import zipfile

from . import game_voices, people

ZIPS = {"english.zip": 3, "translation.zip": 3}      # set -> the column of items.tsv with the English text


def zip_texts(path, column):
    """A column of items.tsv of an evaluation set."""
    with zipfile.ZipFile(path) as archive:
        return [line.split("\t")[column] for line in archive.read("items.tsv").decode().splitlines()]


def sets(settings, work, assets):
    """name -> texts: the sets in the repository, recordings of people, samples, and the characters that are
    held out. settings: the section `text`; work: where packages are unpacked; assets: the repository's."""
    out = {name: zip_texts(assets / "evaluation" / name, column) for name, column in ZIPS.items()}
    folder = work / settings["evaluation_people"]
    out["recordings of people"] = list(people.sentences_of(folder)) if folder.exists() else []
    for path in (assets / "samples").glob("*.txt"):
        out[path.name] = path.read_text(encoding="utf-8").replace("?", ".").split(".")
    out["held-out characters"] = [line for _, character, line in game_voices.read_table(work / settings["people"])
                                  if character in settings["held_characters"]]
    return out
