"""Sentences that have a word of WordNet in each gap of the project's own patterns, so that every common
word and most rare ones are heard. Only words whose pronunciation the phonemiser knows for certain are
taken; a word with a count in WordNet's tagged texts comes four times as often."""

import gzip
import json
import pathlib
import re

from . import sentences, wordnet

PATTERNS = pathlib.Path(__file__).parent / "text" / "word_patterns.txt"
PRONOUNCED = "wheels/hibari/assets/lexicon_{}_{}.json.gz"
GAP = re.compile(r"\{(a_)?(\w+)\}")
COMMON = 4         # times that a common word comes for once of a rare one
VOWELS = "AIOWYaeiouæɑɔəɛɜɪʊʌᵊᵻɒ"          # as the phonemiser writes them; after marks of stress
# What a gap is called: (part of speech, WordNet's files of that meaning, whether it is a name).
GAPS = {"thing": ("noun", (6,), False), "person": ("noun", (18,), False), "act": ("noun", (4,), False),
        "trait": ("noun", (7,), False), "speech": ("noun", (10,), False), "thought": ("noun", (9, 16), False),
        "animal": ("noun", (5,), False), "plant": ("noun", (20,), False), "food": ("noun", (13,), False),
        "body": ("noun", (8,), False), "group": ("noun", (14,), False), "stuff": ("noun", (27,), False),
        "event": ("noun", (11, 22, 19), False), "feeling": ("noun", (12,), False), "state": ("noun", (26, 24), False),
        "spot": ("noun", (15, 17), False), "money": ("noun", (21, 23), False), "time": ("noun", (28,), False),
        "shape": ("noun", (25, 3), False), "Place": ("noun", (15, 17), True), "Name": ("noun", (18,), True),
        "Tongue": ("noun", (10,), True), "quality": ("adj", (0, 1, 44), False), "Origin": ("adj", (0, 1), True),
        "manner": ("adv", (2,), False),
        "move": ("verb", (38,), False), "say": ("verb", (32,), False), "do": ("verb", (35, 36, 29, 34), False),
        "turn": ("verb", (30, 42, 43), False), "deal": ("verb", (40, 41, 33), False),
        "mind": ("verb", (31, 37, 39), False)}
ENDINGS = {"many": "s", "past": "ed", "now": "ing"}       # {past_move}: the regular form, where it exists
UNWANTED = re.compile(r"(?i)nigg|fuck|cunt|shit|whore|slut|fag|dyke|kike|chink|spic|wop$|coon|negro|rape|porn|penis|"
                      r"vagina|masturb|semen|anus|anal$|tits|bitch|bastard|incest|coit|copul|orgas|erotic|genital")


def tagged(folder):
    """Words that occur in the texts which WordNet counts meanings in, in lower case."""
    with open(folder / "cntlist.rev", encoding="utf-8") as lines:
        return {line.partition("%")[0] for line in lines}


def pronounced(work):
    """(words that the American lexicon is certain of and the British one has, {word: phonemes} of all that
    both have)."""
    def read(accent, kind):
        with gzip.open(work / PRONOUNCED.format(accent, kind), "rt", encoding="utf-8") as text:
            return json.load(text)
    sure, other = read("us", "gold"), read("us", "silver")
    british = {*read("gb", "gold"), *read("gb", "silver")}
    forms = {word: value for word, value in {**other, **sure}.items() if word in british}
    return {word for word in sure if word in british}, forms


def lemmas(folder):
    """(part of speech, number of the file of meanings, word) of every single word, once each."""
    seen = set()
    for part in wordnet.PARTS:
        with open(folder / f"data.{part}", encoding="utf-8") as lines:
            for line in lines:
                fields = line.split(" | ", 1)[0].split()
                if line.startswith("  ") or len(fields) < 6:
                    continue
                for place in range(int(fields[3], 16)):
                    key = part, int(fields[1]), fields[4 + 2 * place].partition("(")[0]
                    if key not in seen and re.fullmatch("[A-Za-z][a-z]+", key[2]):
                        seen.add(key)
                        yield key


def inflected(word, ending, forms):
    """The regular form of a word if the phonemiser has it, or None."""
    if ending != "s" and word.endswith("e"):
        word = word[:-1]
    elif ending == "ed" and re.search("[^aeiou]y$", word):
        word = word[:-1] + "i"
    elif ending == "s":
        if re.search("(s|x|z|ch|sh)$", word):
            word += "e"
        elif re.search("[^aeiou]y$", word):
            word = word[:-1] + "ie"
    return word + ending if word + ending in forms else None


class Words:
    """The words of each gap, in a random order that begins anew when all have been used."""

    def __init__(self, random, work, folder):
        self.random = random
        sure, self.forms = pronounced(work)
        often = tagged(folder)
        gap_of = {(part, number, named): gap for gap, (part, numbers, named) in GAPS.items() for number in numbers}
        self.lists, self.places = {gap: [] for gap in GAPS}, {}
        for part, number, word in lemmas(folder):
            gap = gap_of.get((part, number, word[0].isupper()))
            if gap and word in sure and not UNWANTED.search(word):
                self.lists[gap] += [word] * (COMMON if word.lower() in often else 1)
        for gap in list(GAPS):
            for name, ending in ENDINGS.items():
                made = [inflected(word, ending, self.forms) for word in self.lists[gap]]
                self.lists[f"{name}_{gap}"] = [word for word in made if word]

    def next(self, gap):
        words = self.lists[gap]
        place = self.places.get(gap, 0) % len(words)
        if place == 0:
            self.random.shuffle(words)
        self.places[gap] = place + 1
        return words[place]

    def article(self, word):
        phonemes = self.forms.get(word, self.forms.get(word.lower(), word))
        if isinstance(phonemes, dict):                      # by part of speech
            phonemes = phonemes.get("DEFAULT") or ""
        return "an" if (phonemes or word).lstrip("ˈˌ")[:1] in VOWELS else "a"

    def fill(self, pattern):
        def value(match):
            word = self.next(match[2])
            return f"{self.article(word)} {word}" if match[1] else word
        return GAP.sub(value, pattern)


def make(random, work, folder, number):
    """('words', sentence) of so many filled patterns, the patterns in turn."""
    words = Words(random, work, folder)
    patterns = [line for line in PATTERNS.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#["]
    for place in range(number):
        text = sentences.clean(words.fill(patterns[place % len(patterns)]), words_min=1)
        if text:
            yield "words", text
