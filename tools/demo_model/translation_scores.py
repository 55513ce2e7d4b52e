"""`evaluate-translation`: chrF2 and BLEU of spoken English into German and Spanish, by sacrebleu.

Every recording is translated twice: by the published prompt, which asks for transcript and
translation in one answer, and by captiond's follow-up turn after the transcript. Bounds are 95 %
intervals of 1,000 bootstrap samples over utterances."""

import pathlib
import re
import time

from sacrebleu.metrics import BLEU, CHRF

from . import cascade, errors, evaluate, parallel, store, translation_set

LANGUAGES = ("German", "Spanish")
DRAWS = 1000


def plain(text):
    """Without capitals and punctuation, for a peer that writes neither."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def scores(heard, wanted):
    """(chrF2, half of its interval, BLEU, half of its interval) of translations; both lists of str."""
    out = []
    for metric in (CHRF(), BLEU()):
        score = metric.corpus_score(heard, [wanted], n_bootstrap=DRAWS)
        out += [score.score, score._ci]                 # sacrebleu keeps the bounds in no public field
    return out


def line(name, heard, wanted):
    chrf, chrf_half, bleu, bleu_half = scores(heard, wanted)
    return (f"{name:58} chrF2 {chrf:5.1f} ± {chrf_half:4.1f}  BLEU {bleu:5.1f} ± {bleu_half:4.1f}  "
            f"{len(wanted)} utterances")


def kinds_of(items):
    """(title, numbers of the items) of both parts of evaluation F and of what the first is made of."""
    groups = {"in domain": [n for n, item in enumerate(items) if item[0] != "template"],
              "held-out templates": [n for n, item in enumerate(items) if item[0] == "template"]}
    for kind in ("seen", "filler"):
        groups["  of them " + parallel.KINDS[kind]] = [n for n, item in enumerate(items) if item[0] == kind]
    return groups


def print_scores(items, system, language, heard, log, also_plain=False):
    """The lines of one system and language for every group of items."""
    wanted = [item[3 + LANGUAGES.index(language)] for item in items]
    for title, numbers in kinds_of(items).items():
        part = [heard[n] for n in numbers], [wanted[n] for n in numbers]
        print(line(f"{language}, {system}: {title}", *part), flush=True)
        if also_plain:
            print(line(f"{language}, {system}, no marks: {title}", *([plain(text) for text in side] for side in part)))
    log += ["\t".join((language, system, item[0], item[2], want, one)) for item, want, one in zip(items, wanted, heard)]


def print_transcripts(items, system, heard, log):
    counts = [errors.count(item[2], one) for item, one in zip(items, heard)]
    for title, numbers in list(kinds_of(items).items())[:2]:
        print(evaluate.line(f"{system}: {title}", [counts[n] for n in numbers]), flush=True)
    log += ["\t".join(("English", system, item[0], item[2], item[2], one)) for item, one in zip(items, heard)]


def report_model(folder, items, log, also_plain):
    """Both forms of translation of a Hugging Face folder."""
    captioner, recordings = evaluate.Captioner(folder), [item[5] for item in items]
    for language in LANGUAGES:
        for system, translate in (("one prompt", captioner.translate), ("follow-up turn", captioner.follow_up)):
            transcripts, translations = translate(recordings, language)
            print_transcripts(items, f"transcript, {system}, {language}", transcripts, log)
            print_scores(items, system, language, translations, log, also_plain)


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
    started, log, items = time.time(), [], translation_set.read(arguments.set)
    if arguments.model:
        report_model(arguments.model, items, log, arguments.cascade)
    if arguments.cascade:
        report_cascade(items, log)
    for language in LANGUAGES:
        print_scores(items, "the English text itself", language, [item[2] for item in items], [])
    seconds = sum(len(item[5]) for item in items) / store.RATE_HZ
    print(f"{seconds:.0f} s of speech in the set; all in {time.time() - started:.0f} s of wall time")
    if arguments.out:
        pathlib.Path(arguments.out).write_text("\n".join(log) + "\n", encoding="utf-8")
