"""Evaluation with engines that training never uses: the MBROLA voices, through espeak-ng, and a voice of
Piper.

The Debian packages mbrola, mbrola-us1, -us2, -us3 and -en1 (non-free, no commercial use) must be
installed; ROOT is where espeak-ng was unpacked."""

import pathlib
import random

from . import engines, store

VOICES = ("mb-us1", "mb-us2", "mb-us3", "mb-en1")
DATABASES = pathlib.Path("/usr/share/mbrola")


class Mbrola(engines.Espeak):
    def speak_as(self, text, voice):
        """int16 [N] at 16 kHz of one voice."""
        if not (DATABASES / voice[3:] / voice[3:]).exists():
            raise FileNotFoundError(f"{DATABASES / voice[3:]}: install the package mbrola-{voice[3:]}")
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng does not know the voice {voice}")
        samples = self.synthesise(text)
        rate_hz = self.library.espeak_ng_GetSampleRate()
        if rate_hz != store.RATE_HZ:
            raise RuntimeError(f"{voice} speaks at {rate_hz} Hz instead of {store.RATE_HZ}")
        return samples


def recordings(texts, root, number, seed):
    """(voice, text, samples) of so many of the texts, the voices in turn."""
    engine, chosen = Mbrola(root), random.Random(seed).sample(texts, number)
    return [(VOICES[place % len(VOICES)], text, engine.speak_as(text, VOICES[place % len(VOICES)]))
            for place, text in enumerate(chosen)]


def piper_recordings(texts, root, folder, number, seed):
    """(text, samples) of so many of the texts by the Piper voice in a folder."""
    from . import piper
    engine, chosen = piper.Piper(root, folder), random.Random(seed).sample(texts, number)
    return [(text, engine.speak_as_it_is(text)) for text in chosen]
