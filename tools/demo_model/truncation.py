"""Evaluation of recordings that are cut in the middle: words that nobody has said.

How far the speaker had come is not known, so a transcript is compared with every beginning of the
true text; what the best of them does not explain is invented or misheard."""

import random

from . import sentences, store


def unexplained(reference, hypothesis):
    """(words of the hypothesis that no beginning of the reference explains, words of the
    hypothesis); a wrong word and an inserted word count one each, a missing word nothing."""
    reference, hypothesis = sentences.normalise(reference).split(), sentences.normalise(hypothesis).split()
    row = list(range(len(hypothesis) + 1))          # cost of an empty beginning
    best = row[-1]
    for word in reference:
        # A word left out inside costs one as well, or the whole sentence would explain anything.
        former, row[0] = row[0], row[0] + 1
        for column, other in enumerate(hypothesis, 1):
            former, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, former + (word != other))
        best = min(best, row[-1])
    return min(best, len(hypothesis)), len(hypothesis)


def cut(items, seed):
    """(text, samples cut at 25 to 85 % of their length) of (text, samples) items of a second or more."""
    chooser = random.Random(seed)
    return [(text, samples[:int(len(samples) * chooser.uniform(0.25, 0.85))])
            for text, samples in items if len(samples) > store.RATE_HZ]
