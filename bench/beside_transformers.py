"""Runs transformers and captiond's engine on the same checkpoint in one run and prints the ratio.

Usage: .venv/bin/python bench/beside_transformers.py [--model FOLDER] [--build FOLDER]
Float32, as many threads as cores, greedy, key-value cache on both sides. A ratio above 1 says that
captiond is faster.
"""

import argparse
import json
import os
import pathlib
import subprocess
import time

import torch
from transformers import AutoTokenizer, Gemma4UnifiedForConditionalGeneration

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = "The committee meets on Tuesday at nine to look at the plans. "
DECODED = 200
PROMPT = 64
LENGTHS = (64, 256, 512)


def prompt(tokenizer, length):
    """[1, length] int64 ids of ordinary text."""
    line = tokenizer.encode(TEXT, add_special_tokens=False)
    return torch.tensor([(line * (length // len(line) + 1))[:length]])


@torch.inference_mode()
def prefill_seconds(model, ids):
    """Best of three forward passes over `ids`, logits of the last position only."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        model(input_ids=ids, use_cache=True, logits_to_keep=1)
        best = min(best, time.perf_counter() - begin)
    return best


@torch.inference_mode()
def decode_tokens_per_s(model, ids):
    """Rate of DECODED single-token steps after a prompt, without the overhead of generate()."""
    output = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    begin = time.perf_counter()
    for _ in range(DECODED):
        token = output.logits[:, -1].argmax(-1, keepdim=True)
        output = model(
            input_ids=token, past_key_values=output.past_key_values, use_cache=True, logits_to_keep=1
        )
    return DECODED / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(ROOT / "assets/demo-model"))
    parser.add_argument("--build", default=str(ROOT / "build/dev"))
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())

    command = [f"{arguments.build}/bin/bench_engine", "--json", "--model", arguments.model]
    ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = Gemma4UnifiedForConditionalGeneration.from_pretrained(
        arguments.model, dtype=torch.float32
    ).eval()
    decode_tokens_per_s(model, prompt(tokenizer, PROMPT))  # warm-up
    rows = [("decode, 1 context", ours["decode"][0]["tokens_per_s"],
             decode_tokens_per_s(model, prompt(tokenizer, PROMPT)))]
    for length, entry in zip(LENGTHS, ours["prefill"]):
        theirs = length / prefill_seconds(model, prompt(tokenizer, length))
        rows.append((f"prefill, {length} rows", entry["rows_per_s"], theirs))

    print(f"{'':22} {'captiond /s':>14} {'transformers /s':>16} {'ratio':>8}")
    for name, mine, theirs in rows:
        print(f"{name:22} {mine:14.1f} {theirs:16.1f} {mine / theirs:8.2f}")


if __name__ == "__main__":
    main()
