"""`make-phonemes`: every sentence in the phoneme alphabet of the Kokoro voices, word by word.

One line a sentence: ACCENT, a tab, the phonemes. ACCENT is 'a' (American) or 'b' (British). Words of
the sentence are separated by '|', so that the duration of a phoneme gives the time of a word; a word
such as '10:30' has several spoken words with spaces between them. A line that starts with '~' could
not be cut into the sentence's words and is used only as a whole."""

import hashlib

UNALIGNED = "~"


def accent_of(text, british_share):
    """'b' for a fixed share of the sentences, chosen by the sentence itself."""
    digest = hashlib.sha256(("accent:" + text).encode()).digest()
    return "b" if int.from_bytes(digest[:4], "little") < british_share * 2**32 else "a"


class Phonemiser:
    """Phonemes of a sentence, by the grapheme-to-phoneme part of the package hibari-tts."""

    def __init__(self, british):
        from hibari.g2p import G2P
        from hibari.g2p.normalize import normalize
        self.g2p = G2P(british=british)
        self.normalize = normalize

    def words(self, text):
        """Phonemes of each word of a normalised text; words end where the text has a space."""
        out = [""]
        for token in self.g2p.phonemize_tokens(self.g2p.tokenize(text)):
            out[-1] += token.phonemes or ""
            if token.whitespace:
                out.append("")
        return out

    def __call__(self, text):
        """'phonemes|phonemes|…', one part for each word of the text, or '~' and all phonemes."""
        whole = self.normalize(text)
        spoken = self.words(whole)
        pieces = [self.normalize(word).split() for word in text.split()]
        if sum(pieces, []) != whole.split() or len(spoken) != len(whole.split()):
            return UNALIGNED + " ".join(spoken)
        out, at = [], 0
        for piece in pieces:
            out.append(" ".join(spoken[at:at + len(piece)]))
            at += len(piece)
        return "|".join(out)


def phonemise(texts, british_share, known=None):
    """Lines of the phoneme table for a list of sentences; known: text -> line of an earlier table
    that was made with the same share."""
    phonemiser = {"a": Phonemiser(False), "b": Phonemiser(True)}
    for text in texts:
        accent = accent_of(text, british_share)
        yield (known or {}).get(text) or f"{accent}\t{phonemiser[accent](text)}"


def make(texts, british_share, path, known=None):
    """Writes the phoneme table and prints how many sentences have word boundaries."""
    aligned = 0
    with open(path, "w", encoding="utf-8") as out:
        for line in phonemise(texts, british_share, known):
            aligned += "\t" + UNALIGNED not in line
            out.write(line + "\n")
    print(f"{len(texts)} sentences, {aligned} with word boundaries")


class Table:
    """The rows of a phoneme table, taken apart when they are asked for: most of them never are."""

    def __init__(self, path):
        self.lines = path.read_text(encoding="utf-8").splitlines()

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, number):
        """(accent, list of the words' phonemes, aligned); unaligned sentences have one entry."""
        accent, phonemes = self.lines[number].split("\t")
        aligned = not phonemes.startswith(UNALIGNED)
        return accent, phonemes.lstrip(UNALIGNED).split("|"), aligned
