"""`make-parallel`: sentences in English, German and Spanish, from templates that say all three at once.

A tenth of the templates is never used in training ('held-template'), nor is a twentieth of the
fillers (split 'held', source 'filler-SECTION'); of all others the split is made as in the table of
sentences, by the normalised English sentence."""

import collections
import pathlib
import random

import yaml

from . import grammar, parallel_numbers, sentences

FOLDER = pathlib.Path(__file__).parent / "text"
WORDS = (3, 22)
DEFAULTS = {"seed": 3, "held_share": 0.02, "held_template_share": 0.1, "held_filler_share": 0.05,
            "sentences_per_template": 420, "held_filler_sentences": 8}

# What a held-out row is an unseen case of.
KINDS = {"seen": "a new sentence of seen words", "filler": "with an unseen filler", "template": "an unseen template"}


def read_templates(path):
    """[(section, (english, german, spanish)), …] of a file of templates."""
    templates, section, block = [], "", []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() + [""], 1):
        if line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            block.append(line)
        elif block:
            if len(block) != len(grammar.LANGUAGES):
                raise ValueError(f"{path}, line {number}: expected 3 lines a template, found {len(block)}: {block}")
            templates.append((section, tuple(block)))
            block = []
    return templates


def is_plain(row):
    """Whether a sentence has the form and length that a caption has."""
    english = row[0]
    return WORDS[0] <= len(english.split()) <= WORDS[1] and sentences.clean(english) == english


def fill(rules, lines, tries, held_wanted):
    """Different (english, german, spanish, with a held-out filler) of one template, in a fixed order."""
    rows, seen = [], set()
    for _ in range(tries if "{" in lines[0] else 1):
        row = rules.write(lines, held_wanted)
        key = sentences.normalise(row[0])
        if key not in seen and is_plain(row):
            seen.add(key)
            rows.append(row)
    return rows


def candidates(settings, rules, templates):
    """(row, source, split) of every sentence, what is held out first, so that it stays held out."""
    held_templates = {lines for _, lines in templates
                      if sentences.share_of(lines[0], "parallel") < settings["held_template_share"]}
    later = []
    for section, lines in templates:
        held = lines in held_templates
        tries = settings["sentences_per_template"] // (8 if held else 1)
        for row in fill(rules, lines, tries, 0.0):
            later.append((row, f"template-{section}", "held-template" if held else None))
        if not held:
            for row in fill(rules, lines, settings["held_filler_sentences"], 0.5):
                if row[3]:
                    yield row, f"filler-{section}", "held"
    later.sort(key=lambda one: one[2] is None)
    yield from later


def earlier_splits(path):
    """Normalised sentence -> split of those sentences that the first checkpoint's table had already
    (lines SPLIT, SENTENCE): what it has trained on is not held out here, and what it held out is."""
    with open(path, encoding="utf-8") as lines:
        pairs = [line.rstrip("\n").split("\t") for line in lines]
    return {sentences.normalise(sentence): split for split, sentence in pairs}


def rows(settings):
    """(english, german, spanish, source, split) of all sentences; a normalised English sentence occurs
    once."""
    settings = DEFAULTS | settings
    lists = yaml.safe_load((FOLDER / "parallel_slots.yaml").read_text(encoding="utf-8"))
    chooser = random.Random(settings["seed"])
    rules = grammar.Grammar(lists, parallel_numbers.MAKERS, chooser, settings["held_filler_share"])
    found = candidates(settings, rules, read_templates(FOLDER / "parallel_templates.txt"))
    yield from assign(found, earlier_splits(FOLDER / "parallel_earlier.tsv"), settings["held_share"])


def assign(found, known, held_share):
    """Rows with their split. known: normalised sentence -> its split in an earlier table, which stays; a
    sentence that was trained on and should be held out is left out."""
    seen = set()
    for (english, german, spanish, _), source, split in found:
        key = sentences.normalise(english)
        if key in seen:
            continue
        seen.add(key)
        if split is None:
            split = known.get(key) or sentences.split_of(english, held_share)
        elif known.get(key) == "train":
            continue
        yield english, german, spanish, source, split


def make(settings, path):
    """Writes the table (UTF-8, tabs, no header) and prints how many rows there are of each kind."""
    table = list(rows(settings))
    random.Random((DEFAULTS | settings)["seed"]).shuffle(table)
    with open(path, "w", encoding="utf-8") as out:
        out.writelines("\t".join(row) + "\n" for row in table)
    for key, number in sorted(collections.Counter((row[4], row[3].split("-")[0]) for row in table).items()):
        print(*key, number)
    print(f"{len(table)} sentences")


def read(path):
    """(english, german, spanish, source, split) rows of a table that `make` wrote."""
    with open(path, encoding="utf-8") as lines:
        return [tuple(line.rstrip("\n").split("\t")) for line in lines]


def kind_of(row):
    """The kind of a held-out row of the table of parallel sentences."""
    if row[4] == "held-template":
        return "template"
    return "filler" if row[3].startswith("filler-") else "seen"


def choose_held(table, numbers, seed):
    """[(kind, row), …]: so many held-out rows of each kind, in a random order that the seed fixes."""
    chooser, chosen = random.Random(seed), []
    for kind, number in sorted(numbers.items()):
        rows = sorted(row for row in table if row[4] != "train" and kind_of(row) == kind)
        if len(rows) < number:
            raise ValueError(f"the table of parallel sentences has {len(rows)} held-out rows of the kind '{kind}', "
                             f"expected at least {number}")
        chosen += [(kind, row) for row in chooser.sample(rows, number)]
    chooser.shuffle(chosen)
    return chosen
