"""Evaluation of recordings that are cut in the middle: words that nobody has said.

Three figures, each over the words of the answers:
  invented     words with nothing said for them up to the cut: inserted ones; those that go on after the last
               word that was begun, even if the speaker would have said them; and a word in the place of the one
               that the cut goes through, unless it begins like it
  misheard     other words for what was said
  unexplained  the figure of the first versions: what no beginning of the true text explains, of which a
               rightly guessed end is no part

What was said up to the cut is known from word_times. Where a recording has no times, it is the beginning of
the text that explains the answer best, the shortest of them."""

import random

from . import sentences, store

WORD_TOLERANCE = store.RATE_HZ // 50    # a word counts as said up to 20 ms before its computed end
ALIKE = 2                               # letters by which a word begins like another


def costs(reference, hypothesis):
    """(errors, -matches) of the cheapest alignment of each beginning of the two lists of words: rows of the
    reference, columns of the hypothesis. Of alignments as cheap as each other one with more matches wins, so
    that a word which fits is never called misheard to save an inserted one."""
    table = [[(column, 0) for column in range(len(hypothesis) + 1)]]
    for row, word in enumerate(reference, 1):
        former, line = table[-1], [(row, 0)]
        for column, other in enumerate(hypothesis, 1):
            same = word == other
            line.append(min((former[column - 1][0] + (not same), former[column - 1][1] - same),
                            (former[column][0] + 1, former[column][1]), (line[-1][0] + 1, line[-1][1])))
        table.append(line)
    return table


def pairs(reference, hypothesis):
    """(place in the reference or None, place in the hypothesis or None) of the best alignment."""
    table, row, column, out = costs(reference, hypothesis), len(reference), len(hypothesis), []
    while row or column:
        here = table[row][column]
        if row and column:
            same = reference[row - 1] == hypothesis[column - 1]
            before = table[row - 1][column - 1]
            if here == (before[0] + (not same), before[1] - same):
                row, column = row - 1, column - 1
                out.append((row, column))
                continue
        if column and here == (table[row][column - 1][0] + 1, table[row][column - 1][1]):
            column -= 1
            out.append((None, column))
        else:
            row -= 1
            out.append((row, None))
    return out[::-1]


def said_until(text, spans, cut):
    """(words that were said whole, words of the one that the cut goes through, or nothing), normalised.
    spans: (begin, end) in samples of each word of the text."""
    said = []
    for word, (begin, end) in zip(text.split(), spans, strict=True):
        if end <= cut + WORD_TOLERANCE:
            said += sentences.normalise(word).split()
        else:
            return said, sentences.normalise(word).split() if begin < cut else []
    return said, []


def said_at_most(text, hypothesis):
    """The same where no times are known: the shortest beginning of the text with the fewest errors."""
    words = sentences.normalise(text).split()
    ends = [row[-1][0] for row in costs(words, hypothesis)]
    number = ends.index(min(ends))
    return words[:number], words[number:number + 1]


def wrong_words(reference, certain, hypothesis):
    """(invented, misheard) words of the hypothesis; of the reference only the first `certain` words were
    said whole, a word in the place of a later one has to begin like it."""
    invented = misheard = 0
    for place, other in pairs(reference, hypothesis):
        if other is None or place is not None and reference[place] == hypothesis[other]:
            continue
        if place is not None and (place < certain or reference[place][:ALIKE] == hypothesis[other][:ALIKE]):
            misheard += 1
        else:
            invented += 1
    return invented, misheard


def invented_and_misheard(said, begun, hypothesis):
    """The same; begun: the words of the one that the cut goes through, of which some or none may be heard.
    Of explanations as good as each other the one with fewer invented words counts."""
    found = []
    for number in range(len(begun) + 1):
        reference = said + begun[:number]
        found.append((costs(reference, hypothesis)[-1][-1], wrong_words(reference, len(said), hypothesis)))
    return min(found)[1]


def judged(text, spans, cut, answer):
    """(invented, misheard, words of the answer); spans: times of the text's words, or nothing."""
    hypothesis = sentences.normalise(answer).split()
    said, begun = said_until(text, spans, cut) if spans else said_at_most(text, hypothesis)
    return *invented_and_misheard(said, begun, hypothesis), len(hypothesis)


def unexplained(reference, hypothesis):
    """(words of the hypothesis that no beginning of the reference explains, words of the
    hypothesis); a wrong word and an inserted word count one each, and so does a word left out
    inside, or the whole sentence would explain anything."""
    reference, hypothesis = sentences.normalise(reference).split(), sentences.normalise(hypothesis).split()
    best = min(row[-1][0] for row in costs(reference, hypothesis))
    return min(best, len(hypothesis)), len(hypothesis)


def cut(items, seed):
    """(place, text, samples cut at 25 to 85 % of their length) of the (text, samples) items of a second or
    more."""
    chooser = random.Random(seed)
    return [(place, text, samples[:int(len(samples) * chooser.uniform(0.25, 0.85))])
            for place, (text, samples) in enumerate(items) if len(samples) > store.RATE_HZ]
