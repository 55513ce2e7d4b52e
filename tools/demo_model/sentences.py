"""Sentences: cleaning, the normalised form that splits are made by, and the split itself."""

import hashlib
import re

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
NUMBER_OF_WORD = {word: number for number, word in enumerate(ONES)} | {
    word: 10 * (number + 2) for number, word in enumerate(TENS)}
ALLOWED = re.compile(r"[A-Za-z0-9 ,.?!':;%$-]+")
LARGE_SCALE = re.compile(r"\b(hundred|thousand|million|billion|trillion|dozen|score)s?\b", re.I)


def number_in_words(number):
    """3 -> 'three', 1250 -> 'one thousand two hundred fifty'."""
    if number < 20:
        return ONES[number]
    if number < 100:
        rest = " " + ONES[number % 10] if number % 10 else ""
        return TENS[number // 10 - 2] + rest
    for value, name in SCALES:
        if number >= value:
            rest = " " + number_in_words(number % value) if number % value else ""
            return f"{number_in_words(number // value)} {name}{rest}"
    raise AssertionError("unreachable: every number of 100 and more has a scale")


def normalise(text):
    """The form in which sentences are compared and word errors are counted: lower case, digits as
    words, no punctuation but apostrophes inside words."""
    text = text.lower().replace("’", "'").replace("‘", "'").replace("%", " percent")
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"\d+", lambda m: f" {number_in_words(int(m[0]))} " if len(m[0]) < 12 else m[0],
                  text)
    text = re.sub(r"[^a-z0-9']+", " ", text)
    return " ".join(word.strip("'") for word in text.split() if word.strip("'"))


def with_digits(text):
    """Number words from two to ninety-nine as digits, as the speech prompt asks; a sentence with
    larger scales is left alone, because '2 hundred' is neither."""
    if LARGE_SCALE.search(text):
        return text

    def tens_and_ones(match):
        return str(NUMBER_OF_WORD[match[1].lower()] + NUMBER_OF_WORD[match[2].lower()])

    tens, ones = "|".join(TENS), "|".join(ONES[1:10])
    text = re.sub(rf"\b({tens})[- ]({ones})\b(?![-'])", tens_and_ones, text, flags=re.I)
    words = "|".join(ONES[2:] + TENS)
    return re.sub(rf"(?<![-'])\b({words})\b(?![-'])",
                  lambda m: str(NUMBER_OF_WORD[m[1].lower()]), text, flags=re.I)


def clean(text, words_min=2, words_max=32):
    """One sentence as a caption would write it, or None if it is not plain enough to be spoken."""
    text = text.replace("’", "'").replace("‘", "'").replace("`", "'").replace("“", "").replace("”", "")
    text = re.sub(r"\s*(?:--+|—|–)\s*", ", ", text.replace('"', ""))
    text = re.sub(r"\s+", " ", re.sub(r"\s+(?=[,.?!;:])", "", text)).strip(" -,;:")
    if not text or not ALLOWED.fullmatch(text) or not words_min <= len(text.split()) <= words_max:
        return None
    if re.search(r"\d[A-Za-z]{3}|[A-Z]{6}|\.\.|,,|' | '|\d-\d|\w:\w*[A-Za-z]", text):
        return None
    text = with_digits(text)
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."


def calm(text):
    """The text without words in capitals, which only shout."""
    return re.sub(r"\b[A-Z]{2,}\b", lambda match: match[0] if match[0] in ("OK", "TV") else match[0].lower(), text)


def share_of(text, salt="split"):
    """A number in [0, 1) that depends only on the normalised sentence."""
    digest = hashlib.sha256(f"{salt}:{normalise(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64


def split_of(text, held_share):
    """'held' or 'train', by the normalised sentence alone, whatever source it comes from."""
    return "held" if share_of(text) < held_share else "train"
