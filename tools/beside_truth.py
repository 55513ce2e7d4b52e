#!/usr/bin/env python3
"""Shows captions of a sample beside what is true.

Usage: beside_truth.py CAPTIONS SAMPLE

CAPTIONS is what `captiond transcribe --format json` wrote of one file. SAMPLE is its path without
extension: SAMPLE.txt holds the sentences that were spoken, one a line, SAMPLE.de.txt the German of
each and SAMPLE.scenes.txt the scenes, "SECOND, tab, SENTENCE". Only what is in CAPTIONS is shown.
"""

import json
import pathlib
import string
import sys

NAMES = {"de": "German", "es": "Spanish"}


def plain(word):
    """A word as it is compared: lower case, without marks."""
    return word.lower().strip(string.punctuation + "…“”„")


def words_of(text):
    return [word for word in text.split() if plain(word)]


def alignment(said, heard):
    """For each word of `heard` the word of `said` that it stands for (of an inserted one: the last
    before it, at least 0), and the number of insertions, deletions and replacements."""
    said, heard = [plain(word) for word in said], [plain(word) for word in heard]
    costs = [list(range(len(heard) + 1))]
    for i, word in enumerate(said, 1):
        row = [i]
        for j, other in enumerate(heard, 1):
            row.append(min(costs[-1][j - 1] + (word != other), costs[-1][j] + 1, row[-1] + 1))
        costs.append(row)
    i, j, places = len(said), len(heard), []
    while j > 0:
        if i > 0 and costs[i][j] == costs[i - 1][j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            places.append(i)
        elif i > 0 and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
            places.append(max(i - 1, 0))
    return places[::-1], costs[-1][-1]


def lines_of_segments(sentences, segments):
    """For each segment (a text) the numbers of the sentences that were heard in it: each sentence is
    in the segment that has most of its words, or in none. Also the number of wrong words."""
    said = [(number, word) for number, text in enumerate(sentences) for word in words_of(text)]
    heard = [(number, word) for number, text in enumerate(segments) for word in words_of(text)]
    places, wrong = alignment([word for _, word in said], [word for _, word in heard])
    votes = {}
    for place, (segment, _) in zip(places, heard):
        counts = votes.setdefault(said[place][0], {}) if said else {}
        counts[segment] = counts.get(segment, 0) + 1
    found = [[] for _ in segments]
    for sentence, counts in sorted(votes.items()):
        found[max(counts, key=counts.get)].append(sentence)
    return found, wrong


def clock(seconds):
    return "     " if seconds is None else f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def block(time, rows):
    """Lines of a time and rows of (name, text)."""
    begins = [clock(time)] + ["     "] * len(rows)
    return [f"{begin}  {name:6}  {text or '–'}" for begin, (name, text) in zip(begins, rows)] + [""]


def translation_summary(language, pairs):
    """A line about (true, given) texts."""
    equal, different, total = 0, 0, 0
    for true, given in pairs:
        wrong = alignment(words_of(true), words_of(given))[1]
        equal, different, total = equal + (wrong == 0), different + wrong, total + len(words_of(true))
    return (f"{NAMES[language]}: {equal} of {len(pairs)} translations as the true one, {different} of {total} words "
            "differ")


def speech_report(captions, sentences, translations):
    """Lines about transcripts and translations. translations: language -> sentences."""
    finals = [item for item in captions if item["kind"] == "transcript" and item["final"] and item["text"]]
    found, wrong = lines_of_segments(sentences, [item["text"] for item in finals])
    translated = any(item["kind"] == "translation" for item in captions)
    more = ", its translation and the true one" if translated else ""
    lines, pairs = [f"What was said, what was heard{more}:", ""], {}
    for item, numbers in zip(finals, found):
        rows = [("said", " ".join(sentences[n] for n in numbers)), ("heard", item["text"])]
        for other in captions:
            if other["kind"] != "translation" or other["segment"] != item["segment"]:
                continue
            language = other["language"]
            rows.append((NAMES.get(language, language), other["text"]))
            if language in translations:
                rows.append(("true", " ".join(translations[language][n] for n in numbers)))
                pairs.setdefault(language, []).append((rows[-1][1], other["text"]))
        lines += block(item["start"], rows)
    missed = set(range(len(sentences))).difference(*map(set, found)) if found else range(len(sentences))
    for number in missed:
        lines += block(None, [("said", sentences[number]), ("heard", "")])
    total = sum(len(words_of(text)) for text in sentences)
    lines.append(f"{wrong} of {total} words wrong ({100 * wrong / max(total, 1):.1f} %)")
    return lines + [translation_summary(language, pairs[language]) for language in sorted(pairs)]


def scene_report(captions, truth):
    """Lines about scenes. truth: [(second from which it is shown, sentence)]."""
    seen = [item for item in captions if item["kind"] == "scene"]
    lines, right = ["", "What was to be seen, and what was seen:", ""], 0
    for item in seen:
        shown = [text for second, text in truth if second <= item["at"]]
        there = shown[-1] if shown else ""
        right += plain(there) == plain(item["text"])
        lines += block(item["at"], [("there", there), ("seen", item["text"])])
    return lines + [f"{right} of {len(seen)} scenes told word for word"]


def report(captions, sample):
    """Lines about everything in `captions`, a list of objects, whose truth lies beside `sample`."""
    def read(extension):
        path = pathlib.Path(str(sample) + extension)
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else None
    translations = {language: read(f".{language}.txt") for language in NAMES}
    translations = {language: lines for language, lines in translations.items() if lines}
    lines = speech_report(captions, read(".txt") or [], translations)
    scenes = [line.split("\t") for line in read(".scenes.txt") or []]
    if any(item["kind"] == "scene" for item in captions):
        lines += scene_report(captions, [(float(second), text) for second, text in scenes])
    return lines


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], encoding="utf-8") as file:
        captions = [json.loads(line) for line in file]
    print("\n".join(report(captions, sys.argv[2])))


if __name__ == "__main__":
    main()
