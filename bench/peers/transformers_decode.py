"""Decode and prefill of transformers on one GPU, and the logits of a prompt, for a table beside ours.

Usage: python3 bench/peers/transformers_decode.py MODEL [--out RESULT.json] [--logits FILE] [--compile]
Batches are equal contexts of random ids, greedy, key-value cache on, bfloat16, sdpa attention.
Decoding is timed without generate()'s own overhead: one forward pass and one argmax a token, the
synchronisation at the end only. With --logits a prompt's logits under eager and sdpa attention, and
in float32 on the CPU (48 GB of memory), are written for bench/peers/compare_logits.py.
"""

import argparse
import json
import signal
import time

import torch
from safetensors.torch import save_file
from transformers import Gemma4UnifiedForConditionalGeneration

DECODED = 40
BATCHES = (1, 8, 32, 64)
CONTEXTS = (1024,)
LENGTHS = (512, 4096)
PROMPT = 48  # of --logits
COMPILE_SECONDS_MAX = 150


def prompt(model, batch, length, seed=0):
    """[batch, length] int64 ids of ordinary tokens."""
    generator = torch.Generator().manual_seed(seed)
    most = min(model.config.text_config.vocab_size, 200000)
    return torch.randint(200, most, (batch, length), generator=generator).to(model.device)


def seconds_of(body):
    torch.cuda.synchronize()
    began = time.perf_counter()
    body()
    torch.cuda.synchronize()
    return time.perf_counter() - began


@torch.inference_mode()
def prefill_tokens_per_s(model, length):
    ids = prompt(model, 1, length)
    passes = [seconds_of(lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1))
              for _ in range(3)]
    return length / min(passes)


@torch.inference_mode()
def decode_tokens_per_s(model, step, batch, context):
    """Rate of all rows together."""
    output = model(input_ids=prompt(model, batch, context), use_cache=True, logits_to_keep=1)
    cache = output.past_key_values
    token = output.logits[:, -1].argmax(-1, keepdim=True)

    def run(count):
        nonlocal token
        for _ in range(count):
            out = step(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)

    run(5)
    return batch * DECODED / seconds_of(lambda: run(DECODED))


@torch.inference_mode()
def compiled_tokens_per_s(model, context):
    """One context with a static cache and torch.compile's CUDA graphs; None if it fails or takes
    longer than COMPILE_SECONDS_MAX."""
    def give_up(*_):
        raise TimeoutError(f"not done in {COMPILE_SECONDS_MAX} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(COMPILE_SECONDS_MAX)
    try:
        from transformers import StaticCache
        cache = StaticCache(config=model.config, max_cache_len=context + 128)
        ids = prompt(model, 1, context)
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        step = torch.compile(model.forward, mode="reduce-overhead", fullgraph=False)

        def run(count):
            nonlocal token
            for _ in range(count):
                out = step(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1)
                token = out.logits[:, -1].argmax(-1, keepdim=True).clone()

        print(f"compiled in {seconds_of(lambda: run(4)):.1f} s", flush=True)
        return DECODED / seconds_of(lambda: run(DECODED))
    except Exception as error:  # a peer that fails is reported, and the bench goes on
        print(f"compiled transformers failed: {type(error).__name__}: {error}"[:400], flush=True)
        return None
    finally:
        signal.alarm(0)


def load(folder, dtype, device):
    model = Gemma4UnifiedForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa")
    return model.eval().to(device)


@torch.inference_mode()
def write_logits(model, folder, file):
    ids = prompt(model, 1, PROMPT, seed=7)
    wide = load(folder, torch.float32, "cpu")
    tensors = {"ids": ids[0].cpu(),
               "float32": wide(input_ids=ids.cpu(), use_cache=False).logits[0].contiguous()}
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        tensors[attention] = logits.cpu().contiguous()
    save_file(tensors, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", default="")
    parser.add_argument("--logits", default="")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    began = time.time()
    model = load(arguments.model, torch.bfloat16, arguments.device)
    print(f"loaded in {time.time() - began:.1f} s", flush=True)
    if arguments.logits:
        write_logits(model, arguments.model, arguments.logits)
        model.set_attn_implementation("sdpa")
    result = {"decode": [], "prefill": []}
    if arguments.out:
        decode_tokens_per_s(model, model, 1, 64)  # warm-up
        for context in CONTEXTS:
            for batch in BATCHES:
                rate = decode_tokens_per_s(model, model, batch, context)
                result["decode"].append({"batch": batch, "context": context, "tokens_per_s": rate})
                print(f"decode, batch {batch}, context {context}: {rate:.1f} tokens/s", flush=True)
        for length in LENGTHS:
            rate = prefill_tokens_per_s(model, length)
            result["prefill"].append({"length": length, "tokens_per_s": rate})
            print(f"prefill, {length}: {rate:.0f} tokens/s", flush=True)
        if arguments.compile:
            result["compiled"] = compiled_tokens_per_s(model, 1024)
            print(f"decode, compiled: {result['compiled']} tokens/s", flush=True)
        with open(arguments.out, "w") as out:
            json.dump(result, out)


if __name__ == "__main__":
    main()
