"""Formant and statistical speech engines of Debian, through ctypes: espeak-ng and flite."""

import ctypes
import pathlib

import numpy

ESPEAK_ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan",
                  "en-gb-x-gbcwmd", "en-us-nyc")
ESPEAK_VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4",
                   "+f5", "+klatt2", "+klatt3", "+Andrea", "+Denis", "+Diogo", "+Mario", "+Michael",
                   "+norbert", "+rob", "+steph", "+victor")
FLITE_VOICES = ("rms", "slt", "awb", "kal16")
FLITE_SHARES = (1, 1, 1, 2)               # kal16 is the only voice of joined diphones that training hears
SYNTHESIS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4   # espeak_PARAMETER


def load_present(folder, names):
    """Loads the libraries that lie in the folder before anything asks the system for them; where
    there is no sound card, empty libasound and libpcaudio of the same names do."""
    for name in names:
        if (folder / name).exists():
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


class Espeak:
    """espeak-ng; one object a process."""

    def __init__(self, root="/"):
        folder = pathlib.Path(root) / "usr/lib/x86_64-linux-gnu"
        load_present(folder, ("libsonic.so.0", "libpcaudio.so.0"))
        self.library = ctypes.CDLL(str(folder / "libespeak-ng.so.1"))
        data = str(folder / "espeak-ng-data").encode()
        self.rate_hz = self.library.espeak_Initialize(2, 0, data, 0)   # 2: synchronous, no playback
        if self.rate_hz <= 0:
            raise RuntimeError(f"espeak-ng found no data in {data.decode()}")
        self.chunks = []
        self.callback = SYNTHESIS(self.collect)   # kept: the library holds only its address
        self.library.espeak_SetSynthCallback(self.callback)

    def collect(self, samples, number, _events):
        if number > 0 and samples:
            self.chunks.append(numpy.ctypeslib.as_array(samples, shape=(number,)).copy())
        return 0

    def speak(self, text, random):
        """int16 [N] at `rate_hz`, with a random accent, variant, pace and pitch."""
        voice = random.choice(ESPEAK_ACCENTS) + random.choice(ESPEAK_VARIANTS)
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            self.library.espeak_SetVoiceByName(b"en-us")
        for parameter, value in ((RATE, random.randint(115, 235)), (PITCH, random.randint(8, 92)),
                                 (RANGE, random.randint(15, 85))):
            self.library.espeak_SetParameter(parameter, value, 0)
        return self.synthesise(text)

    def synthesise(self, text):
        """int16 [N] with the voice and the manner that are set."""
        self.chunks.clear()
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, 1, None, None)   # 1: characters, UTF-8
        return numpy.concatenate(self.chunks) if self.chunks else numpy.zeros(0, numpy.int16)


class FliteWave(ctypes.Structure):
    """cst_wave of flite 2.2."""
    _fields_ = [("type", ctypes.c_char_p), ("rate_hz", ctypes.c_int), ("number", ctypes.c_int),
                ("channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short))]


class Flite:
    """flite with its four English voices; one object a process."""

    def __init__(self, root="/"):
        folder = pathlib.Path(root) / "usr/lib/x86_64-linux-gnu"

        load_present(folder, ("libasound.so.2",))

        def load(name):
            return ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
        self.library = load("libflite.so.1")
        load("libflite_usenglish.so.1")
        load("libflite_cmulex.so.1")
        self.library.flite_init()
        self.library.flite_text_to_wave.restype = ctypes.POINTER(FliteWave)
        self.library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self.library.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self.library.delete_wave.argtypes = [ctypes.POINTER(FliteWave)]
        self.voices = {}
        for name in FLITE_VOICES:
            register = getattr(load(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype = ctypes.c_void_p
            register.argtypes = [ctypes.c_char_p]
            self.voices[name] = register(None)
        self.rate_hz = 16000

    def speak(self, text, random):
        """int16 [N] at 16 kHz, with a random voice, pace and pitch."""
        name = random.choices(FLITE_VOICES, FLITE_SHARES)[0]
        voice, diphones = self.voices[name], name == "kal16"
        features = ctypes.cast(voice + ctypes.sizeof(ctypes.c_void_p), ctypes.POINTER(ctypes.c_void_p))[0]
        self.library.feat_set_float(features, b"duration_stretch", random.uniform(0.75, 1.35))
        self.library.feat_set_float(features, b"f0_shift", 1.0 if diphones else random.uniform(0.8, 1.35))
        self.library.feat_set_float(features, b"int_f0_target_mean", random.uniform(70, 230))   # of diphones alone
        wave = self.library.flite_text_to_wave(text.encode(), voice)
        samples = numpy.ctypeslib.as_array(wave.contents.samples, shape=(wave.contents.number,)).copy()
        rate_hz = wave.contents.rate_hz
        self.library.delete_wave(wave)
        return samples if rate_hz == self.rate_hz else numpy.zeros(0, numpy.int16)
