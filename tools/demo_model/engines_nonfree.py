"""RHVoice and SVOX pico, of Debian's non-free section, through ctypes and without a sound card."""

import ctypes
import pathlib

import numpy

LIBRARIES = "usr/lib/x86_64-linux-gnu"
RHVOICE_VOICES = ("alan", "bdl", "clb", "slt")      # the other English ones are not for training
PICO_LANGUAGES = (("en-US_ta", "en-US_lh0_sg"), ("en-GB_ta", "en-GB_kh0_sg"))
PICO_MEMORY, PICO_IDLE, PICO_BUSY = 2_500_000, 200, 201
PICO_BUFFER = 512

SET_RATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
PLAY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint, ctypes.c_void_p)


class Callbacks(ctypes.Structure):
    """RHVoice_callbacks; what is not used stays null."""
    _fields_ = [("set_rate", SET_RATE), ("play", PLAY), ("others", ctypes.c_void_p * 7)]


class Settings(ctypes.Structure):
    """RHVoice_init_params."""
    _fields_ = [("data", ctypes.c_char_p), ("config", ctypes.c_char_p), ("resources", ctypes.c_void_p),
                ("callbacks", Callbacks), ("options", ctypes.c_uint)]


class Manner(ctypes.Structure):
    """RHVoice_synth_params: absolute values are from -1 to 1, relative ones are factors."""
    _fields_ = [("voice", ctypes.c_char_p)] + [(name, ctypes.c_double) for name in (
        "rate", "pitch", "volume", "relative_rate", "relative_pitch", "relative_volume")] + [
        ("marks", ctypes.c_int), ("mark_list", ctypes.c_char_p), ("capitals", ctypes.c_int), ("flags", ctypes.c_int)]


class RhVoice:
    """RHVoice with its four English voices; one object a process."""

    def __init__(self, root="/"):
        root = pathlib.Path(root)
        for name in ("libsonic.so.0", "libRHVoice_core.so.7"):
            if (root / LIBRARIES / name).exists():
                ctypes.CDLL(str(root / LIBRARIES / name), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(root / LIBRARIES / "libRHVoice.so.5"))
        self.library.RHVoice_new_tts_engine.restype = ctypes.c_void_p
        self.library.RHVoice_new_message.restype = ctypes.c_void_p
        self.chunks, self.rate_hz = [], 0
        self.callbacks = Callbacks(SET_RATE(self.take_rate), PLAY(self.take))    # kept: only addresses are
        settings = Settings(data=str(root / "usr/share/RHVoice").encode(),
                            config=str(root / "etc/RHVoice").encode(), callbacks=self.callbacks)
        self.engine = self.library.RHVoice_new_tts_engine(ctypes.byref(settings))
        if not self.engine:
            raise RuntimeError(f"RHVoice found no voices under {root}/usr/share/RHVoice")

    def take_rate(self, rate_hz, _user):
        self.rate_hz = rate_hz
        return 1

    def take(self, samples, number, _user):
        self.chunks.append(numpy.ctypeslib.as_array(samples, shape=(number,)).copy())
        return 1

    def speak(self, text, random):
        """int16 [N] at `rate_hz`, with a random voice, pace and pitch."""
        self.chunks.clear()
        manner = Manner(voice=random.choice(RHVOICE_VOICES).encode(), relative_rate=random.uniform(0.75, 1.45),
                        relative_pitch=random.uniform(0.75, 1.35), relative_volume=1.0)
        encoded = text.encode()
        message = self.library.RHVoice_new_message(ctypes.c_void_p(self.engine), encoded, len(encoded), 0,
                                                   ctypes.byref(manner), None)
        self.library.RHVoice_speak(ctypes.c_void_p(message))
        self.library.RHVoice_delete_message(ctypes.c_void_p(message))
        return numpy.concatenate(self.chunks) if self.chunks else numpy.zeros(0, numpy.int16)


class PicoVoice:
    """One language of SVOX pico."""

    def __init__(self, library, folder, resources):
        self.library, self.memory = library, ctypes.create_string_buffer(PICO_MEMORY)
        self.system, self.engine = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("pico_initialize", self.memory, PICO_MEMORY, ctypes.byref(self.system))
        self.call("pico_createVoiceDefinition", self.system, b"voice")
        for name in resources:
            resource, label = ctypes.c_void_p(), ctypes.create_string_buffer(256)
            self.call("pico_loadResource", self.system, str(folder / f"{name}.bin").encode(), ctypes.byref(resource))
            self.call("pico_getResourceName", self.system, resource, label)
            self.call("pico_addResourceToVoiceDefinition", self.system, b"voice", label)
        self.call("pico_newEngine", self.system, b"voice", ctypes.byref(self.engine))

    def call(self, name, *arguments):
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} failed with status {status}")

    def speak(self, text):
        """int16 [N] at 16 kHz."""
        encoded, out = text.encode() + b"\0", []
        taken, number, kind = ctypes.c_int16(), ctypes.c_int16(), ctypes.c_int16()
        buffer = (ctypes.c_int16 * (PICO_BUFFER // 2))()
        while encoded:
            self.call("pico_putTextUtf8", self.engine, encoded, len(encoded), ctypes.byref(taken))
            encoded, status = encoded[taken.value:], PICO_BUSY
            while status == PICO_BUSY:
                status = self.library.pico_getData(self.engine, buffer, PICO_BUFFER, ctypes.byref(number),
                                                   ctypes.byref(kind))
                out.append(numpy.array(buffer[:number.value // 2], numpy.int16))
            if status != PICO_IDLE:
                raise RuntimeError(f"pico_getData failed with status {status}")
        return numpy.concatenate(out)


class Pico:
    """SVOX pico, American and British; one object a process."""

    rate_hz = 16000

    def __init__(self, root="/"):
        root = pathlib.Path(root)
        library = ctypes.CDLL(str(root / LIBRARIES / "libttspico.so.0"))
        self.voices = [PicoVoice(library, root / "usr/share/pico/lang", names) for names in PICO_LANGUAGES]

    def speak(self, text, random):
        """int16 [N] at 16 kHz, with a random voice, pace and pitch."""
        marked = (f"<pitch level='{random.randint(65, 160)}'><speed level='{random.randint(75, 140)}'>"
                  f"{text.replace('&', 'and')}</speed></pitch>")
        return random.choice(self.voices).speak(marked)
