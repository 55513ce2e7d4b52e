"""Compares the logits of captiond-probe with those of transformers on the same prompt.

Usage: python3 bench/peers/compare_logits.py prompt LOGITS.safetensors PROMPT.json
       python3 bench/peers/compare_logits.py compare LOGITS.safetensors PROBE.safetensors
The first form writes the prompt of transformers_decode.py --logits for captiond-probe --prompt; the
second prints how far transformers in bfloat16 (eager and sdpa attention) and captiond are from
transformers in float32, and fails (exit code 1) when captiond is further away than 1.1 times what
eager is, or anything is NaN. Eager and sdpa share every product of weights, so that their distance
from each other says little about a third way's.
"""

import json
import sys

from safetensors.torch import load_file

FURTHER_MAX = 1.1


def rms(a, b):
    """Of each position, then the mean."""
    return float((a - b).double().pow(2).mean(-1).sqrt().mean())


def compare(theirs, ours):
    exact = theirs["float32"]
    all_logits = {"eager": theirs["eager"], "sdpa": theirs["sdpa"], "captiond": ours["logits"]}
    for name, logits in all_logits.items():
        if logits.shape != exact.shape:
            sys.exit(f"{name}: {tuple(logits.shape)} logits, not {tuple(exact.shape)}")
        agree = float((exact.argmax(-1) == logits.argmax(-1)).double().mean())
        print(f"{name:9} from float32: rms {rms(exact, logits):.4g}, "
              f"most {float((exact - logits).abs().max()):.4g}, top-1 agreement {agree:.3f}")
    print(f"logits in float32: rms {rms(exact, 0 * exact):.4g}")
    for one, other in (("eager", "sdpa"), ("captiond", "eager"), ("captiond", "sdpa")):
        apart = [rms(all_logits[one][rows], all_logits[other][rows])
                 for rows in (slice(None), slice(0, 4))]
        print(f"{one} and {other} {apart[0]:.4g} apart, in the first four rows {apart[1]:.4g}")
    return rms(exact, ours["logits"]) <= FURTHER_MAX * rms(exact, theirs["eager"])


def main():
    if sys.argv[1] == "prompt":
        ids = load_file(sys.argv[2])["ids"].tolist()
        with open(sys.argv[3], "w") as out:
            json.dump({"parts": [{"ids": ids}]}, out)
    elif not compare(load_file(sys.argv[2]), load_file(sys.argv[3])):
        sys.exit("captiond is further from float32 than eager is")


if __name__ == "__main__":
    main()
