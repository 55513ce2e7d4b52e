"""`make-text`: one table of sentences from all text sources, split before any synthesis."""

import collections
import random

from . import sentences, speeches, templates, wordnet


def gather(settings, folder):
    """(source, split, sentence) rows in a fixed order; a normalised sentence occurs once, and is
    held out in every source or in none."""
    seen = set()
    held_share = settings["held_share"]

    def row(source, text, held=False):
        key = sentences.normalise(text)
        if key and key not in seen:
            seen.add(key)
            return source, "held" if held else sentences.split_of(text, held_share), text
        return None

    maker = templates.Templates(random.Random(settings["seed"]))
    for held, text in maker.make(settings["sentences_per_template"], settings["held_template_share"]):
        yield row("template-held" if held else "template", text, held)
    for source, text in speeches.addresses(folder / settings["speeches"], settings["speeches_since"]):
        yield row(source, text)
    for source, text in wordnet.examples_and_definitions(folder / settings["wordnet"]):
        yield row(source, text)


def make(settings, folder, path):
    """Writes SOURCE, SPLIT, TEXT lines and prints how many there are of each."""
    rows = [row for row in gather(settings, folder) if row]
    random.Random(settings["seed"]).shuffle(rows)
    with open(path, "w", encoding="utf-8") as out:
        out.writelines("\t".join(row) + "\n" for row in rows)
    for key, number in sorted(collections.Counter(row[:2] for row in rows).items()):
        print(*key, number)


def read(path):
    """(source, split, text) rows of a table that `make` wrote."""
    with open(path, encoding="utf-8") as lines:
        return [tuple(line.rstrip("\n").split("\t")) for line in lines]
