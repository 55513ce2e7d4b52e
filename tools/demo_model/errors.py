"""Word errors between transcripts."""

from . import sentences


def count(reference, hypothesis):
    """(errors, words of the reference) after normalisation; errors are substitutions, deletions
    and insertions of the cheapest alignment."""
    reference, hypothesis = sentences.normalise(reference).split(), sentences.normalise(hypothesis).split()
    row = list(range(len(hypothesis) + 1))
    for place, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(hypothesis, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1,
                                                     diagonal + (word != other))
    return row[-1], len(reference)


def rate(pairs):
    """Errors by words over many (errors, words) pairs."""
    pairs = list(pairs)
    return sum(errors for errors, _ in pairs) / max(1, sum(words for _, words in pairs))
