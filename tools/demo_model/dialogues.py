"""What people say to each other: the lines of the game Dink Smallwood (Debian freedink-data) and the
small talk of PyPI's chatterbot-corpus."""

import re

import yaml

from . import sentences, speeches

GAME = "usr/share/games/dink/dink/Story"
TALK = "chatterbot_corpus/data/english"
SAID = re.compile(r'\b(?:say|say_stop|say_xy|say_stop_xy|say_stop_npc|choice_start)\s*\(\s*"([^"]*)"', re.I)
UNTALKED = ("coding", "tech_support", "botprofile", "ai")    # lists of commands, and talk about being a program


def game(folder):
    """('dialogue', sentence) of what the persons of the game say."""
    for path in sorted((folder / GAME).glob("*.[cC]")):
        for said in SAID.findall(path.read_text(encoding="latin1")):
            said = re.sub(r"`.", "", said)
            if re.search(r"[&<>\[\]{}#@=/\\]|\*", said):        # variables, stage directions
                continue
            said = re.sub(r"\s*\.\.+", ",", re.sub(r"\.\.+\s*$", ".", said))
            said = re.sub(r"([!?])[!?]+", r"\1", said)
            for piece in speeches.split_sentences(said):
                sentence = sentences.clean(sentences.calm(piece).strip(" ,"), words_min=1)
                if sentence:
                    yield "dialogue", sentence


def talk(folder):
    """('dialogue', sentence) of the questions and answers."""
    for path in sorted((folder / TALK).glob("*.yml")):
        if path.stem in UNTALKED:
            continue
        for turns in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            for turn in turns:
                for piece in speeches.split_sentences(" ".join(str(turn).split())):
                    sentence = sentences.clean(piece, words_min=2, words_max=26)
                    if sentence:
                        yield "dialogue", sentence
