"""Writes utterances of an evaluation set as WAV files with a list for bench_quality.

Usage: python3 bench/format_quality.py assets/evaluation/english.zip FOLDER [--count 100]
Decodes with gst-launch-1.0. FOLDER/items.tsv has a line each: WAV file, tab, what is said. Then:
build/cuda/bin/bench_quality --items FOLDER/items.tsv
"""

import argparse
import concurrent.futures
import pathlib
import subprocess
import zipfile


def decode(source, target):
    subprocess.run(
        ["gst-launch-1.0", "-q", "filesrc", f"location={source}", "!", "oggdemux", "!", "opusdec",
         "!", "audioconvert", "!", "audioresample", "!",
         "audio/x-raw,format=S16LE,rate=16000,channels=1", "!", "wavenc", "!", "filesink",
         f"location={target}"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(arguments.set) as archive:
        archive.extractall(folder)
    lines = (folder / "items.tsv").read_text().splitlines()[:arguments.count]
    items = [(line.split("\t")[0], line.split("\t")[3]) for line in lines]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        wavs = [(folder / name).with_suffix(".wav") for name, _ in items]
        list(pool.map(decode, [folder / name for name, _ in items], wavs))
    text = "".join(f"{wav}\t{said}\n" for wav, (_, said) in zip(wavs, items))
    (folder / "items.tsv").write_text(text)
    print(f"{folder}: {len(items)} utterances")


if __name__ == "__main__":
    main()
