"""Whether a training sentence has much of a sentence that is evaluated in it: a longer sentence of the same
book, or a phrase with something before or after it. Equal sentences alone are too little to compare.

Too much is a run of RUN words, or the whole evaluated sentence if that has WORDS_MIN words or more; shorter
phrases are everybody's."""

from . import sentences

RUN, WORDS_MIN = 8, 6


class Evaluated:
    """Evaluated sentences, found inside others by their runs of words."""

    def __init__(self, texts):
        self.runs = {}
        for text in texts:
            words = tuple(sentences.normalise(text).split())
            size = min(len(words), RUN)
            if size >= WORDS_MIN:
                for at in range(len(words) - size + 1):
                    self.runs[words[at:at + size]] = text
        self.sizes = sorted({len(run) for run in self.runs})

    def found_in(self, text):
        """The evaluated sentence of which a text has too much, or None."""
        words = tuple(sentences.normalise(text).split())
        for size in self.sizes:
            for at in range(len(words) - size + 1):
                found = self.runs.get(words[at:at + size])
                if found is not None:
                    return found
        return None
