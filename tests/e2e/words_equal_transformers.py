"""Compares captiond's final captions of a recording with what transformers makes of the same audio.

Usage: words_equal_transformers.py CAPTIOND MODEL RECORDING
captiond says where each segment lies; transformers hears the same samples with the same prompt and
decodes greedily. Every text must be the same, and there must be at least one. Exit code 0 or 1.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import wave

import numpy
import torch
from transformers import AutoTokenizer, Gemma4UnifiedForConditionalGeneration

RATE_HZ = 16000
PATCH = 640
# The speech prompt of the model card, as captiond sends it.
PROMPT = (
    "<bos><|turn>user\n"
    "Transcribe the following speech segment in English into English text.\n\n"
    "Follow these specific instructions for formatting the answer:\n"
    "*   Only output the transcription, with no newlines.\n"
    "*   When transcribing numbers, write the digits, i.e. write 1.7 and not one point seven, "
    "and write 3 instead of three."
    "<|audio>{audio}<audio|><turn|>\n<|turn>model\n<|channel>thought\n<channel|>"
)


def samples_of(recording, folder):
    """float32 [N] in [-1, 1): the recording as captiond's decoder gives it, 16 kHz mono."""
    target = pathlib.Path(folder) / "decoded.wav"
    subprocess.run(
        ["gst-launch-1.0", "-q", "filesrc", f"location={recording}", "!", "decodebin", "!",
         "audioconvert", "!", "audioresample", "!",
         f"audio/x-raw,format=S16LE,rate={RATE_HZ},channels=1", "!", "wavenc", "!",
         "filesink", f"location={target}"],
        check=True,
    )
    with wave.open(str(target)) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
    return samples.astype(numpy.float32) / 32768


@torch.inference_mode()
def transcript(model, tokenizer, samples):
    """The greedy answer of transformers to one segment."""
    count = -(-len(samples) // PATCH)
    patches = numpy.zeros(count * PATCH, numpy.float32)
    patches[: len(samples)] = samples
    text = PROMPT.format(audio="<|audio|>" * count)
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        input_features=torch.from_numpy(patches).view(1, count, PATCH),
        input_features_mask=torch.ones(1, count, dtype=torch.bool),
        do_sample=False,
        max_new_tokens=200,
    )
    return tokenizer.decode(output[0, ids.shape[1]:], skip_special_tokens=True).strip()


def main():
    captiond, folder, recording = sys.argv[1:]
    lines = subprocess.run(
        [captiond, "transcribe", "--model", folder, "--format", "json", recording],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    finals = [line for line in map(json.loads, lines) if line.get("final")]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = Gemma4UnifiedForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    with tempfile.TemporaryDirectory() as scratch:
        samples = samples_of(recording, scratch)
    different = 0
    for final in finals:
        begin, end = (round(final[key] * RATE_HZ) for key in ("start", "end"))
        theirs = transcript(model, tokenizer, samples[begin:end])
        same = theirs == final.get("text", "")
        different += not same
        print(f"{'same' if same else 'DIFFERENT'}: {final.get('text', '')!r} / {theirs!r}")
    print(f"{len(finals)} segments, {different} different")
    sys.exit(bool(different) or not finals)


if __name__ == "__main__":
    main()
