"""`make-clip`: a one-minute video with sound from held-out voices, sentences and scenes.

Four files lie beside each other: NAME.webm (VP8 and Opus), NAME.txt with the spoken sentences, one
a line, NAME.de.txt with the German of each, and NAME.scenes.txt with a line for each scene: the
second from which it is shown, a tab, its sentence."""

import pathlib
import random
import subprocess
import tempfile
import wave

import numpy

from . import phonemes, pictures, scenes, sentences, sprites, store

SETTINGS = pathlib.Path(__file__).with_name("clip.yaml")


def held_sentences(work):
    """English -> German of the parallel sentences that no table trains on."""
    from . import text
    trained = {sentences.normalise(row[2]) for row in text.read(work / "sentences.tsv") if row[1] == "train"}
    rows = list(text.parallel_lines(work / "parallel.tsv"))
    trained |= {sentences.normalise(row[0]) for row in rows if row[4] == "train"}
    return {row[0]: row[1] for row in rows
            if row[4] != "train" and sentences.normalise(row[0]) not in trained}


def parts_of(speech, held_voices, held):
    """[(voice, sentence) or pause in seconds] of the settings; refuses what training may see."""
    parts = []
    for entry in speech:
        if isinstance(entry, dict):
            (voice, text), = entry.items()
            if voice not in held_voices:
                raise ValueError(f"the sample's voice {voice} is not held out, expected one of {sorted(held_voices)}")
            if text not in held:
                raise ValueError(f"the sample's sentence is none of the held-out parallel sentences: {text}")
            parts.append((voice, text))
        else:
            parts.append(float(entry))
    return parts


def speak(parts, material, seed):
    """int16 samples at 16 kHz of the sentences and the pauses between them."""
    from . import evaluation_set, voices
    model, styles = evaluation_set.speaker(material, seed)
    chooser, pieces = random.Random(seed), []
    for part in parts:
        if isinstance(part, float):
            pieces.append(numpy.zeros(int(part * store.RATE_HZ), numpy.int16))
            continue
        voice, text = part
        spoken = phonemes.Phonemiser(voice[0] == "b")(text).lstrip(phonemes.UNALIGNED).split("|")
        job = (spoken, False, voice, 1.0, 0)
        pieces += [samples for _, samples, _ in voices.speak(model, styles, [job], material.vocabulary, chooser, 12.0)]
    return numpy.concatenate(pieces)


def pink_noise(generator, size):
    """float [size] of deviation one, its power falling with the frequency."""
    spectrum = numpy.fft.rfft(generator.normal(0, 1, size))
    frequency = numpy.maximum(numpy.fft.rfftfreq(size, 1 / store.RATE_HZ), 50)
    noise = numpy.fft.irfft(spectrum / numpy.sqrt(frequency), size)
    return noise / noise.std()


def with_background(samples, settings, seconds):
    """The speech padded to whole scenes, with hiss, and noise from some second on."""
    generator = numpy.random.default_rng(settings["seed"])
    out = numpy.zeros(int(seconds * store.RATE_HZ))
    out[:len(samples)] = samples / 32768.0
    level = numpy.sqrt(numpy.mean(out[numpy.abs(out) > 0.01] ** 2)) * 10 ** (-settings["noise_decibels"] / 20)
    begin = int(settings["noise_from_s"] * store.RATE_HZ)
    rise = numpy.minimum(1, numpy.arange(len(out) - begin) / store.RATE_HZ)
    noise = pink_noise(generator, len(out) - begin) * level * rise
    out += generator.normal(0, settings["hiss"], len(out))
    out[begin:] += noise
    return (out.clip(-1, 1) * 32767).astype(numpy.int16)


def paint(settings, number, sprite_file):
    """[(uint8 [height, width, 3], sentence)] of so many held-out scenes."""
    painter = pictures.Painter(sprite_file, "held", sprites.SEEN_STYLES)
    chooser, out = random.Random(settings["seed"]), []
    width, height = settings["width"], settings["height"]
    for place in range(number):
        kind = settings["scenes"][place % len(settings["scenes"])]
        plan = scenes.plan(painter.vocabulary, chooser, width, height, "held", kind)
        out.append((painter.paint(plan, width, height, chooser)[0], plan.text))
    return out


def encode(samples, shown, settings, path):
    """Writes the WebM: every picture for scene_seconds, with the sound."""
    rate, repeats = settings["frames_per_second"], settings["scene_seconds"] * settings["frames_per_second"]
    with tempfile.TemporaryDirectory() as folder:
        sound = pathlib.Path(folder) / "sound.wav"
        with wave.open(str(sound), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(store.RATE_HZ)
            out.writeframes(samples.tobytes())
        command = ["gst-launch-1.0", "-q", "webmmux", "name=mux", "!", "filesink", f"location={path}",
                   "fdsrc", "fd=0", f"blocksize={shown[0][0].nbytes}", "!", "rawvideoparse", "format=rgb",
                   f"width={settings['width']}", f"height={settings['height']}", f"framerate={rate}/1", "!",
                   "videoconvert", "!", "vp8enc", f"target-bitrate={settings['video_bits_per_second']}",
                   f"keyframe-max-dist={repeats}", "deadline=0", "!", "queue", "!", "mux.",
                   "filesrc", f"location={sound}", "!", "wavparse", "!", "audioconvert", "!", "audioresample", "!",
                   "opusenc", f"bitrate={settings['audio_bits_per_second']}", "!", "queue", "max-size-time=0",
                   "max-size-bytes=0", "max-size-buffers=0", "!", "mux."]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as running:
            for picture, _ in shown:
                for _ in range(repeats):
                    running.stdin.write(picture.tobytes())
            running.stdin.close()
            if running.wait():
                raise RuntimeError(f"gst-launch-1.0 failed with {running.returncode} on the way to {path}")


def make(settings, speech_settings, work, sprite_file, path):
    """Writes the four files of the sample; as many whole scenes as the speech is long."""
    from . import speech
    work, path = pathlib.Path(work), pathlib.Path(path)
    material, held = speech.Material(speech_settings, work), held_sentences(work)
    parts = parts_of(settings["speech"], set(speech_settings["held_voices"]), held)
    samples = speak(parts, material, settings["seed"])
    number = -(-len(samples) // (store.RATE_HZ * settings["scene_seconds"]))
    seconds = number * settings["scene_seconds"]
    shown = paint(settings, number, sprite_file)
    encode(with_background(samples, settings, seconds), shown, settings, path)
    spoken = [part[1] for part in parts if not isinstance(part, float)]
    write_lines(path.with_suffix(".txt"), spoken)
    write_lines(path.with_suffix(".de.txt"), [held[sentence] for sentence in spoken])
    write_lines(path.with_suffix(".scenes.txt"),
                [f"{place * settings['scene_seconds']}\t{text}" for place, (_, text) in enumerate(shown)])
    print(f"{path}: {seconds} s, {number} scenes, {path.stat().st_size / 1e6:.2f} MB")


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
