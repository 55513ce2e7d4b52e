"""Sentences from the annual addresses of the presidents of the United States (public domain)."""

import re

from . import sentences

SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
TITLES = re.compile(r"\b(Mr|Mrs|Ms|Dr|Gen|Gov|Sen|St|No|[A-Z])\.$")


def split_sentences(text):
    """Cuts running text at full stops that end a sentence."""
    out, held = [], ""
    for piece in SENTENCE_END.split(text):
        held = f"{held} {piece}".strip()
        if not TITLES.search(held):
            out.append(held)
            held = ""
    return out + [held] if held else out


def addresses(folder, year_first):
    """('speech', cleaned sentence) pairs of all addresses since a year."""
    for path in sorted(folder.glob("*.txt")):
        if int(path.name[:4]) < year_first:
            continue
        text = re.sub(r"\[[^\]]*\]", " ", path.read_text(encoding="utf-8", errors="replace"))
        for paragraph in text.splitlines():
            for piece in split_sentences(paragraph.strip()):
                sentence = sentences.clean(piece, words_min=3, words_max=36)
                if sentence:
                    yield "speech", sentence
