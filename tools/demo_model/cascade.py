"""The peer of speech translation: pocketsphinx writes down what it hears, apertium translates it.

Both are Debian packages (pocketsphinx, pocketsphinx-en-us, apertium, apertium-eng-spa); for English
to German Debian has no apertium pair."""

import pathlib
import re
import subprocess
import tempfile

from . import store

MODEL = pathlib.Path("/usr/share/pocketsphinx/model/en-us")
PAIRS = {"Spanish": "eng-spa"}


def transcribe(recordings):
    """Lower-case transcripts of int16 recordings at 16 kHz."""
    import soundfile
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        names = [f"{number:05d}" for number in range(len(recordings))]
        for name, samples in zip(names, recordings):
            soundfile.write(folder / f"{name}.wav", samples, store.RATE_HZ, subtype="PCM_16")
        (folder / "names").write_text("\n".join(names) + "\n")
        subprocess.run(["pocketsphinx_batch", "-hmm", MODEL / "en-us", "-lm", MODEL / "en-us.lm.bin",
                        "-dict", MODEL / "cmudict-en-us.dict", "-ctl", folder / "names", "-cepdir", folder,
                        "-cepext", ".wav", "-adcin", "yes", "-adchdr", "44", "-hyp", folder / "heard"],
                       check=True, capture_output=True)
        heard = {}
        for line in (folder / "heard").read_text().splitlines():
            match = re.fullmatch(r"(.*) \((\S+) -?\d+\)", line)
            heard[match[2]] = match[1].strip()
    return [heard.get(name, "") for name in names]


def as_sentence(text):
    """A transcript with the capitals and the full stop that a translator expects."""
    text = re.sub(r"\bi\b", "I", text)
    return text[:1].upper() + text[1:] + "." if text and text[-1] not in ".?!" else text


def translate(texts, language):
    """apertium's translations of English sentences; unknown words stay as they are."""
    out = subprocess.run(["apertium", "-u", PAIRS[language]], input="\n\n".join(texts) + "\n\n", check=True,
                         capture_output=True, text=True).stdout
    found = [re.sub(r"\s+(?=[,.?!])|(?<=\s)\s+", "", part).strip() for part in out.rstrip("\n").split("\n\n")]
    if len(found) != len(texts):
        raise ValueError(f"apertium answered {len(found)} paragraphs to {len(texts)} sentences")
    return found
