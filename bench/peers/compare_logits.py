"""Compares the logits of captiond-probe with those of transformers on the same prompt.

Usage: python3 bench/peers/compare_logits.py prompt LOGITS.safetensors PROMPT.json
       python3 bench/peers/compare_logits.py compare LOGITS.safetensors PROBE.safetensors
The first form writes the prompt of transformers_decode.py --logits for captiond-probe --prompt, an id
a part, so that --apart computes it a row a step, as decoding does. The second prints how far
captiond and four evaluations of transformers in bfloat16 are from transformers in float32 and from
each other: eager and sdpa attention, a token a pass ("one by one", other products), and with norms
and feed-forward compiled (other roundings between the products). It fails (exit code 1) when
captiond is further from float32 than 1.1 times what eager is, or further from eager than 1.1 times
the furthest of the other evaluations, or anything is NaN. Eager and sdpa share every product and
norm, so that their distance from each other says little about a third way's.
"""

import itertools
import json
import sys

from safetensors.torch import load_file

FURTHER_MAX = 1.1
PEERS = ("eager", "sdpa", "one by one", "compiled")


def rms(a, b):
    """Of each position, then the mean."""
    return float((a - b).double().pow(2).mean(-1).sqrt().mean())


def compare(theirs, ours):
    exact = theirs["float32"]
    ways = {name: theirs[name] for name in PEERS} | {"captiond": ours["logits"]}
    for name, logits in ways.items():
        if logits.shape != exact.shape:
            sys.exit(f"{name}: {tuple(logits.shape)} logits, not {tuple(exact.shape)}")
        agree = float((exact.argmax(-1) == logits.argmax(-1)).double().mean())
        print(f"{name:10} from float32: rms {rms(exact, logits):.4g}, "
              f"most {float((exact - logits).abs().max()):.4g}, top-1 agreement {agree:.3f}")
    print(f"logits in float32: rms {rms(exact, 0 * exact):.4g}")
    for one, other in itertools.combinations(ways, 2):
        apart = (ways[one] - ways[other]).abs().amax(-1)
        first = rms(ways[one][:4], ways[other][:4])
        print(f"{one} and {other}: rms {rms(ways[one], ways[other]):.4g}, in the first four rows "
              f"{first:.4g}; largest difference of a position {float(apart.median()):.4g} in the "
              f"median, {float(apart.max()):.4g} at most")
    eager, captiond = ways["eager"], ways["captiond"]
    gap = max(rms(eager, ways[name]) for name in PEERS)
    return (rms(exact, captiond) <= FURTHER_MAX * rms(exact, eager)
            and rms(eager, captiond) <= FURTHER_MAX * gap)


def main():
    if sys.argv[1] == "prompt":
        ids = load_file(sys.argv[2])["ids"].tolist()
        with open(sys.argv[3], "w") as out:
            json.dump({"parts": [{"ids": [one]} for one in ids]}, out)
    elif not compare(load_file(sys.argv[2]), load_file(sys.argv[3])):
        sys.exit("captiond is further from float32, or from eager, than transformers' own ways are")


if __name__ == "__main__":
    main()
