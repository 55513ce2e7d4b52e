"""Whether a training sentence contains a whole sentence that is kept for evaluation: a longer sentence of
the same book, or a phrase with something before or after it. Equal sentences alone are too little to
compare. Phrases of fewer words than WORDS_MIN are everybody's and do not count."""

from . import sentences

WORDS_MIN = 6


class Kept:
    """Sentences kept for evaluation, found inside others by their first words."""

    def __init__(self, texts):
        self.by_beginning = {}
        for text in texts:
            words = tuple(sentences.normalise(text).split())
            if len(words) >= WORDS_MIN:
                self.by_beginning.setdefault(words[:WORDS_MIN], set()).add(words)

    def inside(self, text):
        """The kept sentence that a text contains or is, in its normalised form, or None."""
        words = tuple(sentences.normalise(text).split())
        for at in range(len(words) - WORDS_MIN + 1):
            for kept in self.by_beginning.get(words[at:at + WORDS_MIN], ()):
                if words[at:at + len(kept)] == kept:
                    return " ".join(kept)
        return None
