"""Sentences from WordNet's data files: example sentences and definitions of all synsets."""

import re

from . import sentences

PARTS = ("noun", "verb", "adj", "adv")


def glosses(folder):
    """The text after ' | ' of every synset line."""
    for part in PARTS:
        with open(folder / f"data.{part}", encoding="utf-8") as lines:
            for line in lines:
                if not line.startswith("  ") and " | " in line:
                    yield line.split(" | ", 1)[1].strip()


def examples_and_definitions(folder):
    """('wordnet-example' or 'wordnet-definition', cleaned sentence) pairs."""
    for gloss in glosses(folder):
        for example in re.findall(r'"([^"]+)"', gloss):
            text = sentences.clean(example, words_min=3)
            if text:
                yield "wordnet-example", text
        definition = re.sub(r'"[^"]*"|\([^)]*\)', " ", gloss).strip(" ;:,-")
        for piece in definition.split(";"):
            text = sentences.clean(piece, words_min=4)
            if text:
                yield "wordnet-definition", text
