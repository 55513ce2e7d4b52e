"""Recordings of people: the dialogues of the game Flight of the Amazon Queen (Debian main).

`queen.1c` is one archive of big-endian fields: "QTBL", version, compression, the number of entries,
and entries of name[12], bundle u8, offset u32, size u32. A dialogue NAME.DOG has 20 bytes of header,
then counts and offsets, then strings of the player (J) and of the person (P) who is spoken to, each
with a number. `*XX` in a string is a stage direction and ends a clip; the clip's MP3 file is called
KEY, number in hexadecimal, J or P, place in the string (format facts: the ScummVM engine "queen")."""

import dataclasses
import io
import re
import struct
import zipfile

import numpy

from . import sentences, store

ARCHIVE = "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c"
ENTRIES_AT, ENTRY = 15, struct.Struct(">12sBII")
DIALOGUE_HEADER, TREE_AT, LEVEL_BYTES = 20, 32, 96
CLIP_BYTES_MIN = 1200                    # less than about half a second
PLAYER = "JOE"
WORDLESS = ("APE", "DOG", "SPARKY8")     # grunts and mumbling
SPEAKER_FIRST = 200                      # number of the first character among all speakers


@dataclasses.dataclass
class Clip:
    character: str
    text: str
    mp3: bytes


def entries(archive):
    """name -> (offset, size) of the archive's files."""
    if archive[:4] != b"QTBL":
        raise ValueError(f"queen.1c begins with {archive[:4]!r} instead of b'QTBL'")
    number = int.from_bytes(archive[ENTRIES_AT - 2:ENTRIES_AT], "big")
    out = {}
    for place in range(number):
        name, _, offset, size = ENTRY.unpack_from(archive, ENTRIES_AT + place * ENTRY.size)
        out[name.rstrip(b"\0").decode("latin1")] = offset, size
    return out


def strings(data, at, number):
    """(number of the string, text) pairs; each string is padded to a multiple of four bytes."""
    for _ in range(number):
        key, size = struct.unpack_from(">HB", data, at + 2)
        yield key, data[at + 5:at + 5 + size].decode("latin1")
        at = -(-(at + 5 + size) // 4) * 4


def clips_of(text):
    """(place, words) of a string's clips; `*XY00(237,112)` is the one long stage direction."""
    places = re.split(r"\*(?:XY.{11}|..)", text)
    return [(place, words) for place, words in enumerate(places, 1) if words.strip()]


def caption(text):
    """The words of a clip as a caption writes them, or None."""
    text = re.sub(r"^\W*\.\.+|\.\.+$", "", text.strip())
    text = re.sub(r"\.\.+,?", ",", text).strip(" ,")
    text = re.sub(r"\b[A-Z]{2,}\b", lambda m: m[0] if m[0] in ("OK", "TV") else m[0].lower(), text)
    if any(len(word) > 2 and not re.search(r"[aeiouy\d]", word.lower()) for word in re.findall(r"\w+", text)):
        return None
    return sentences.clean(text, words_min=1)


def dialogue_clips(archive, table, name):
    """Clips of one dialogue file."""
    offset, size = table[name]
    data = archive[offset + DIALOGUE_HEADER:offset + size]
    levels, _, key, player_strings, person_strings = struct.unpack_from(">5h", data)
    person_at, = struct.unpack_from(">H", data, 22)
    person = re.sub(r"\d*\.DOG$", "", name)
    for character, letter, at, number in ((person, "P", person_at, person_strings),
                                          (PLAYER, "J", TREE_AT + abs(levels) * LEVEL_BYTES, player_strings)):
        if character in WORDLESS or name.removesuffix(".DOG") in WORDLESS and letter == "P":
            continue
        for string_key, text in strings(data, at, number):
            for place, words in clips_of(text):
                file = f"{key:2d}{string_key:4X}{letter}{place:X}".replace(" ", "0") + ".SB"
                begin, length = table.get(file, (0, 0))
                words = caption(words)
                if words and length >= CLIP_BYTES_MIN:
                    yield Clip(character, words, archive[begin:begin + length])


def clips(path):
    """All clips of the game, in a fixed order."""
    archive = path.read_bytes()
    table = entries(archive)
    for name in sorted(name for name in table if name.endswith(".DOG")):
        yield from dialogue_clips(archive, table, name)


def pack(path, out):
    """Writes the clips as one zip: clips.tsv (FILE, CHARACTER, TEXT) and the MP3 files."""
    lines = []
    with zipfile.ZipFile(out, "w") as archive:
        for number, clip in enumerate(clips(path)):
            lines.append(f"{number:04d}.mp3\t{clip.character}\t{clip.text}")
            archive.writestr(zipfile.ZipInfo(f"{number:04d}.mp3"), clip.mp3)
        archive.writestr(zipfile.ZipInfo("clips.tsv"), "\n".join(lines) + "\n")
    print(f"{out}: {len(lines)} clips of {len({line.split(chr(9))[1] for line in lines})} characters")


def read_table(path):
    """(file, character, text) of every clip of a packed zip."""
    with zipfile.ZipFile(path) as archive:
        return [tuple(line.split("\t")) for line in archive.read("clips.tsv").decode().splitlines()]


def samples_of(mp3):
    """int16 [N] at 16 kHz of an MP3 file."""
    import soundfile
    from scipy import signal
    wave, rate_hz = soundfile.read(io.BytesIO(mp3), dtype="float32")
    divisor = numpy.gcd(rate_hz, store.RATE_HZ)
    wave = signal.resample_poly(wave, store.RATE_HZ // divisor, rate_hz // divisor)
    return (wave.clip(-1, 1) * 32767).astype(numpy.int16)


def write_stores(path, rows, held_characters, out, held_number):
    """Stores OUT/person of the training characters and OUT/held-person, so many clips of the others.

    rows: sentences.tsv as (source, split, text). A clip whose sentence is on the other side of the
    split of sentences goes nowhere."""
    row_of = {(split, text): number for number, (_, split, text) in enumerate(rows)}
    characters = sorted({character for _, character, _ in read_table(path)})
    missing = set(held_characters) - set(characters)
    if missing:
        raise ValueError(f"held_characters: {path} has no {sorted(missing)}")
    writers = {"train": store.Writer(out / "person"), "held": store.Writer(out / "held-person")}
    written = {"train": 0, "held": 0}
    with zipfile.ZipFile(path) as archive:
        for name, character, text in read_table(path):
            side = "held" if character in held_characters else "train"
            row = row_of.get((side, text))
            if row is None or side == "held" and written["held"] >= held_number:
                continue
            samples = samples_of(archive.read(name))
            writers[side].add(samples, row, SPEAKER_FIRST + characters.index(character), "person")
            written[side] += 1
    for side, writer in writers.items():
        writer.close()
        print(f"person {side}: {written[side]} clips, {writer.hours:.2f} h", flush=True)
