"""Transcribes a recording with captiond and prints what it costs beside the goals.

Usage: bench/transcribe.py [--build FOLDER] [--model FOLDER] [--repeat N] [RECORDING]
The recording is played N times in a row (one WAV file made for the run), with partial captions
every 0.5 s. Prints time over the audio's length, the process's peak resident size, and the time
from start to ready (a run over a tenth of a second of silence).
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time
import wave

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE_HZ = 16000


def decode(recording):
    """16 kHz mono S16 samples of any media file, as bytes."""
    command = ["gst-launch-1.0", "-q", "filesrc", f"location={recording}", "!", "decodebin", "!",
               "audioconvert", "!", "audioresample", "!",
               f"audio/x-raw,format=S16LE,rate={RATE_HZ},channels=1", "!", "fdsink", "fd=1"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples)


def run(command):
    """(seconds, peak resident bytes, lines of stdout) of one process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = process.stdout.read().decode().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=str(ROOT / "build/dev"))
    parser.add_argument("--model", default=str(ROOT / "assets/demo-model"))
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("recording", nargs="?", default=str(ROOT / "assets/samples/meeting.flac"))
    arguments = parser.parse_args()
    captiond = [f"{arguments.build}/bin/captiond", "transcribe", "--model", arguments.model]

    samples = decode(arguments.recording)
    audio_s = arguments.repeat * len(samples) / 2 / RATE_HZ
    with tempfile.TemporaryDirectory() as folder:
        silence, speech = pathlib.Path(folder) / "silence.wav", pathlib.Path(folder) / "speech.wav"
        write_wav(silence, bytes(RATE_HZ // 10 * 2))
        write_wav(speech, samples * arguments.repeat)
        ready_s, _, _ = run([*captiond, str(silence)])
        plain_s, plain_bytes, finals = run([*captiond, str(speech)])
        partial_s, partial_bytes, _ = run([*captiond, "--partials", str(speech)])

    print(f"{os.cpu_count()} cores, {audio_s:.0f} s of audio, {len(finals)} final captions")
    print(f"{'':34} {'measured':>10} {'goal':>8} {'ratio':>8}")
    rows = [
        ("start to ready, and end, s", ready_s, 3.0),
        ("time over audio, finals only", plain_s / audio_s, 0.3),
        ("time over audio, partials 0.5 s", partial_s / audio_s, 0.3),
        ("peak resident, MB", max(plain_bytes, partial_bytes) / 1e6, 900.0),
    ]
    for name, measured, goal in rows:
        print(f"{name:34} {measured:10.3f} {goal:8.1f} {measured / goal:8.3f}")


if __name__ == "__main__":
    main()
