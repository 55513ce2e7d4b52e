"""`make-text`: one table of sentences from all text sources, split before any synthesis."""

import collections
import pathlib
import random

from . import books, dialogues, evaluated, game_voices, overlap, people, sentences, speeches, templates, wordnet, words


def held_lines(settings, folder):
    """Normalised sentences that another part of the project has held out: no source may train on
    them."""
    lines = parallel_lines(folder / settings["parallel"]) if "parallel" in settings else []
    held = {sentences.normalise(english) for english, _, _, _, split in lines if split != "train"}
    if "evaluation_people" in settings:
        held |= {sentences.normalise(line) for line in people.sentences_of(folder / settings["evaluation_people"])}
    return held


def parallel_lines(path):
    """(english, german, spanish, source, split) of parallel.tsv; german or spanish may be empty."""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 5:
                raise ValueError(f"{path}:{number}: expected 5 columns, found {len(fields)}")
            yield tuple(fields)


def translations(rows, path):
    """Row number -> {language: text} of the training rows that have a translation; nothing if the
    table of parallel sentences is not there."""
    known = {}
    for english, german, spanish, _, split in parallel_lines(path) if path.exists() else ():
        if split == "train":
            known[sentences.normalise(english)] = {
                language: one for language, one in (("German", german), ("Spanish", spanish)) if one}
    out = {}
    for number, (_, split, text) in enumerate(rows):
        found = known.get(sentences.normalise(text)) if split == "train" else None
        if found:
            out[number] = found
    return out


def sources(settings, folder):
    """(source, sentence, whether it is held out whatever its hash) of every source in turn; who
    comes first names the row. Templates come first, because whole templates are held out."""
    maker = templates.Templates(random.Random(settings["seed"]))
    for held, text in maker.make(settings["sentences_per_template"], settings["held_template_share"]):
        yield "template-held" if held else "template", text, held
    if "people" in settings:
        for _, character, text in game_voices.read_table(folder / settings["people"]):
            held = character in settings["held_characters"]
            yield "person-held" if held else "person", text, held
    for english, _, _, source, split in parallel_lines(folder / settings["parallel"]) if "parallel" in settings else ():
        yield f"parallel-{source}", english, split != "train"
    for source, text in speeches.addresses(folder / settings["speeches"], settings["speeches_since"]):
        yield source, text, False
    definitions = settings.get("definitions_share", 1.0)
    for source, text in wordnet.examples_and_definitions(folder / settings["wordnet"]):
        if source != "wordnet-definition" or sentences.share_of(text, "definition") < definitions:
            yield source, text, False
    if "spoken" in settings:
        yield from wider_sources(settings, folder)


def wider_sources(settings, folder):
    """The same of what came with the third run; `spoken`: sentences of each template, of the files
    `spoken_files`."""
    for file in settings.get("spoken_files", ("spoken_templates.txt",)):
        maker = templates.Templates(random.Random(settings["seed"] + 1), file)
        for held, text in maker.make(settings["spoken"], settings["held_template_share"]):
            text = sentences.clean(text, words_min=1)
            if text:
                yield "spoken-held" if held else "spoken", text, held
    for source, text in (*dialogues.game(folder / settings["books"]), *dialogues.talk(folder / settings["talk"]),
                         *books.all_of(settings, folder),
                         *words.make(random.Random(settings["seed"] + 2), folder, folder / settings["wordnet"],
                                     settings["words"])):
        yield source, text, False


def is_wanted(source, text, shares):
    """Whether a sentence belongs to the share of its source that is taken, chosen by the sentence
    alone; what follows the first '-' of a source does not count unless it is named."""
    share = shares.get(source, shares.get(source.split("-")[0], 1.0))
    return sentences.share_of(text, "wanted") < share


def evaluated_texts(settings, folder):
    """Every text of the evaluation sets under the folder `evaluated`; none without it."""
    if "evaluated" in settings:
        for lines in evaluated.sets(settings, folder, pathlib.Path(settings["evaluated"])).values():
            yield from lines


def gather(settings, folder):
    """(source, split, sentence) rows in a fixed order; a normalised sentence occurs once, and is
    held out in every source or in none. `evaluated`: the folder of the evaluation sets; a row with
    much of their sentences in it is held out, too. `source_shares`: how much of a source is trained on."""
    seen, held_share, elsewhere = set(), settings["held_share"], held_lines(settings, folder)
    rows = []
    for source, text, held in sources(settings, folder):
        key = sentences.normalise(text)
        if held:
            elsewhere.add(key)
        if key and key not in seen:
            seen.add(key)
            rows.append((source, sentences.split_of(text, held_share), text))
    measured = overlap.Evaluated(evaluated_texts(settings, folder))
    for source, split, text in rows:
        split = "held" if sentences.normalise(text) in elsewhere or measured.found_in(text) else split
        if split == "held" or is_wanted(source, text, settings.get("source_shares", {})):
            yield source, split, text


def make(settings, folder, path):
    """Writes SOURCE, SPLIT, TEXT lines and prints how many there are of each."""
    rows = list(gather(settings, folder))
    random.Random(settings["seed"]).shuffle(rows)
    with open(path, "w", encoding="utf-8") as out:
        out.writelines("\t".join(row) + "\n" for row in rows)
    for key, number in sorted(collections.Counter(row[:2] for row in rows).items()):
        print(*key, number)


def read(path):
    """(source, split, text) rows of a table that `make` wrote."""
    with open(path, encoding="utf-8") as lines:
        return [tuple(line.rstrip("\n").split("\t")) for line in lines]
