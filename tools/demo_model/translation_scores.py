"""`evaluate-translation`: chrF2 and BLEU of spoken English into German and Spanish, by sacrebleu, of
the answers that `translate-set` wrote (translation_answers.py) and of the peer (cascade.py).

Bounds are 95 % intervals of 1,000 bootstrap samples over utterances."""

import pathlib
import re

import numpy
from sacrebleu.metrics import BLEU, CHRF

from . import cascade, errors, evaluate, parallel, store, translation_answers, translation_set
from .translation_answers import LANGUAGES

DRAWS = 1000


def plain(text):
    """Without capitals and punctuation, for a peer that writes neither."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def scores(heard, wanted, seed=0):
    """[(score, low, high)] of chrF2 and BLEU; heard, wanted: translations and references, lists of str."""
    out, generator = [], numpy.random.default_rng(seed)
    for metric in (CHRF(), BLEU()):
        # Counts of each utterance, then sums over drawn utterances: sacrebleu's own bootstrap does the
        # same, but fails where a draw has nothing in common with its references.
        counts = metric._extract_corpus_statistics(heard, [wanted])
        drawn = [metric._aggregate_and_compute([counts[n] for n in generator.integers(0, len(counts), len(counts))]).score
                 for _ in range(DRAWS)]
        out.append((metric.corpus_score(heard, [wanted]).score, *numpy.quantile(drawn, (0.025, 0.975))))
    return out


def line(name, heard, wanted):
    text = "  ".join(f"{metric} {score:5.1f} [{low:.1f}, {high:.1f}]"
                     for metric, (score, low, high) in zip(("chrF2", "BLEU"), scores(heard, wanted)))
    return f"{name:64} {text}  {len(wanted)} utterances"


def kinds_of(items):
    """(title, numbers of the items) of both parts of evaluation F and of what the first is made of."""
    groups = {"in domain": [n for n, item in enumerate(items) if item[0] != "template"],
              "held-out templates": [n for n, item in enumerate(items) if item[0] == "template"]}
    for kind in ("seen", "filler"):
        groups["- " + parallel.KINDS[kind]] = [n for n, item in enumerate(items) if item[0] == kind]
    return groups


def print_scores(items, system, language, heard, log, also_plain=False):
    """The lines of one system and language for every group of items."""
    wanted = [item[3 + LANGUAGES.index(language)] for item in items]
    for title, numbers in kinds_of(items).items():
        part = [heard[n] for n in numbers], [wanted[n] for n in numbers]
        print(line(f"{language}, {system}: {title}", *part), flush=True)
        if also_plain and title[0] != "-":
            print(line(f"{language}, {system}, no marks: {title}", *([plain(text) for text in side] for side in part)))
    log += ["\t".join((language, system, item[0], item[2], want, one)) for item, want, one in zip(items, wanted, heard)]


def print_transcripts(items, system, heard, log):
    counts = [errors.count(item[2], one) for item, one in zip(items, heard)]
    for title, numbers in list(kinds_of(items).items())[:2]:
        print(evaluate.line(f"{system}: {title}", [counts[n] for n in numbers]), flush=True)
    log += ["\t".join(("English", system, item[0], item[2], item[2], one)) for item, one in zip(items, heard)]


def report_answers(items, answers, log, also_plain):
    """All forms of translation of a checkpoint, and the transcripts that they came with."""
    for (language, system), found in answers.items():
        print_transcripts(items, f"transcript, {system}, {language}", [one[0] for one in found], log)
        print_scores(items, system, language, [one[1] for one in found], log, also_plain)


def report_cascade(items, log):
    """pocketsphinx, then apertium; and apertium on the true text, which no recogniser can beat."""
    transcripts = [cascade.as_sentence(text) for text in cascade.transcribe([item[5] for item in items])]
    print_transcripts(items, "pocketsphinx", transcripts, log)
    for language in cascade.PAIRS:
        print_scores(items, "pocketsphinx → apertium", language, cascade.translate(transcripts, language), log, True)
        print_scores(items, "apertium on the true text", language,
                     cascade.translate([item[2] for item in items], language), log)


def report(arguments):
    """The whole report on standard output."""
    log, items = [], translation_set.read(arguments.set)
    if arguments.answers:
        report_answers(items, translation_answers.read(arguments.answers, len(items)), log, arguments.cascade)
    if arguments.cascade:
        report_cascade(items, log)
    for language in LANGUAGES:
        print_scores(items, "the English text itself", language, [item[2] for item in items], [])
    print(f"{sum(len(item[5]) for item in items) / store.RATE_HZ:.0f} s of speech in the set")
    if arguments.out:
        pathlib.Path(arguments.out).write_text("\n".join(log) + "\n", encoding="utf-8")
