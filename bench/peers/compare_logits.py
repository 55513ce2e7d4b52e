"""Compares the logits of captiond-probe with those of transformers' eager and sdpa attention.

Usage: python3 bench/peers/compare_logits.py prompt LOGITS.safetensors PROMPT.json
       python3 bench/peers/compare_logits.py compare LOGITS.safetensors PROBE.safetensors
The first form writes the prompt of transformers_decode.py --logits for captiond-probe --prompt; the
second prints how far the three are apart and fails (exit code 1) when we are further from eager, in
the mean over positions of the root mean square, than 1.25 times what sdpa is, or anything is NaN.
"""

import json
import sys

from safetensors.torch import load_file


def rms(a, b):
    """Of each position, then the mean."""
    return float((a - b).double().pow(2).mean(-1).sqrt().mean())


def compare(theirs, ours):
    eager, sdpa = theirs["eager"], theirs["sdpa"]
    logits = ours["logits"]
    if logits.shape != eager.shape:
        sys.exit(f"{tuple(logits.shape)} logits of ours, {tuple(eager.shape)} of theirs")
    gap, distance = rms(eager, sdpa), rms(eager, logits)
    for name, other in (("sdpa", sdpa), ("captiond", logits)):
        agree = float((eager.argmax(-1) == other.argmax(-1)).double().mean())
        print(f"{name:9} from eager: rms {rms(eager, other):.4g}, "
              f"most {float((eager - other).abs().max()):.4g}, top-1 agreement {agree:.3f}")
    print(f"logits: rms {rms(eager, 0 * eager):.4g}; captiond / sdpa {distance / gap:.3f}")
    return distance <= 1.25 * gap


def main():
    if sys.argv[1] == "prompt":
        ids = load_file(sys.argv[2])["ids"].tolist()
        with open(sys.argv[3], "w") as out:
            json.dump({"parts": [{"ids": ids}]}, out)
    elif not compare(load_file(sys.argv[2]), load_file(sys.argv[3])):
        sys.exit("captiond is further from eager than sdpa is")


if __name__ == "__main__":
    main()
