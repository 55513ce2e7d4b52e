"""Recordings of people in Debian packages: for evaluation only, never for training.

FOLDER is where asterisk-core-sounds-en-g722, asterisk-core-sounds-en and pocketsphinx-testdata were
unpacked. G.722 is decoded with the package av."""

import gzip
import re
import zipfile

import numpy

from . import game_voices, store

WORDS_MIN = 4
ASTERISK_VOICE = "usr/share/asterisk/sounds/en_US_f_Allison"
ASTERISK_TEXT = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
CHARACTERS = game_voices.ARCHIVE
CHARACTERS_SET = "people: held-out characters"
HELD_CHARACTERS = ("HENRY", "IAN", "LOLA", "NAOMI", "PRIN", "SEC")    # as in second.yaml
POCKETSPHINX = "usr/share/pocketsphinx/test/data/librivox"


def read_media(path):
    """int16 [N] at 16 kHz of any media file."""
    import av
    with av.open(str(path)) as media:
        to_mono = av.AudioResampler(format="s16", layout="mono", rate=store.RATE_HZ)
        pieces = [out.to_ndarray()[0] for frame in media.decode(audio=0) for out in to_mono.resample(frame)]
        pieces += [out.to_ndarray()[0] for out in to_mono.resample(None)]
    return numpy.concatenate(pieces)


def asterisk(folder):
    """(text, samples) of the prompts with at least four words: one studio voice."""
    lines = gzip.open(folder / ASTERISK_TEXT, "rt", encoding="utf-8").read().splitlines()
    for line in lines:
        name, _, text = line.partition(": ")
        path = folder / ASTERISK_VOICE / f"{name}.g722"
        plain = not re.search(r"[][<>{}()]", text)
        if plain and len(text.split()) >= WORDS_MIN and path.exists():
            samples = read_media(path)
            if len(samples) <= 20 * store.RATE_HZ:
                yield text.strip(), samples


def librivox(folder):
    """(text, samples) of five sentences of an audio book."""
    import soundfile
    for line in (folder / POCKETSPHINX / "transcription").read_text().splitlines():
        text, name = re.fullmatch(r"<s> (.*) </s> \((.*)\)", line).groups()
        samples, rate_hz = soundfile.read(folder / POCKETSPHINX / f"{name}.wav", dtype="int16")
        if rate_hz != store.RATE_HZ:
            raise ValueError(f"{name}.wav: {rate_hz} Hz instead of {store.RATE_HZ}")
        yield text, samples


def packed_characters(path):
    """The same as `characters`, from the zip that game_voices.pack wrote."""
    with zipfile.ZipFile(path) as archive:
        for name, character, text in game_voices.read_table(path):
            if character in HELD_CHARACTERS and len(text.split()) >= WORDS_MIN:
                yield text, game_voices.samples_of(archive.read(name))


def characters(folder):
    """(text, samples) of the characters of the game that training never hears, of at least four
    words; the archive queen.1c holds them."""
    for clip in game_voices.clips(folder / CHARACTERS):
        if clip.character in HELD_CHARACTERS and len(clip.text.split()) >= WORDS_MIN:
            yield clip.text, game_voices.samples_of(clip.mp3)


def sentences_of(folder):
    """Every sentence of the recordings, short ones too: what training may not contain."""
    with gzip.open(folder / ASTERISK_TEXT, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = line.partition(": ")[2].strip()
            yield text
            yield from re.split(r"(?<=[.?!]) +", text)
    for line in (folder / POCKETSPHINX / "transcription").read_text().splitlines():
        yield re.sub(r"</?s>|\(.*\)", "", line).strip()


def sets(folder):
    """(name, list of (text, samples)) of what the folder holds."""
    for name, reader, needed in (("people: Asterisk prompts", asterisk, ASTERISK_TEXT),
                                 ("people: LibriVox sentences", librivox, POCKETSPHINX),
                                 (CHARACTERS_SET, characters, CHARACTERS)):
        if (folder / needed).exists():
            yield name, list(reader(folder))
