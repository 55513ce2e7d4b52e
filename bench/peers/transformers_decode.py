"""Decode and prefill of transformers on one GPU, and the logits of a prompt, for a table beside ours.

Usage: python3 bench/peers/transformers_decode.py MODEL [--out RESULT.json] [--logits FILE]
           [--batches N…] [--lengths N…] [--graph SECONDS] [--parts SECONDS] [--compile SECONDS]
Batches are equal contexts of random ids, greedy, key-value cache on, bfloat16, sdpa attention.
Decoding is timed without generate()'s own overhead: one forward pass and one argmax a token, the
synchronisation at the end only. --graph also times one context with a static cache in one CUDA
graph, --parts the same with norms and feed-forward compiled, --compile with all of the step
compiled, which takes minutes; each is given up after so many seconds. Masks are made by hand and
the softcap is left out there, to the peer's advantage. With --logits a prompt's logits in bfloat16,
evaluated in several ways, and in float32 (48 GB of memory more) are written for
bench/peers/compare_logits.py.
"""

import argparse
import contextlib
import fcntl
import json
import signal
import time

import torch
from safetensors.torch import save_file
from transformers import Gemma4UnifiedForConditionalGeneration, StaticCache
from transformers.cache_utils import StaticLayer

DECODED = 40
BATCHES = (1, 8, 32, 64)
CONTEXTS = (1024,)
LENGTHS = (512, 4096)
PROMPT = 48  # of --logits


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
def decode_tokens_per_s(model, step, batch, context, lock=""):
    """Rate of all rows together."""
    output = model(input_ids=prompt(model, batch, context), use_cache=True, logits_to_keep=1)
    cache = output.past_key_values
    token = output.logits[:, -1].argmax(-1, keepdim=True)

    def run(count):
        nonlocal token
        for _ in range(count):
            out = step(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)

    with alone(lock):
        run(5)
        return batch * DECODED / seconds_of(lambda: run(DECODED))


class StaticDecode:
    """One context in a static cache, decoded a token a step. `step` is compiled or captured outside;
    masks and positions are made of tensors that it moves on itself. Sliding layers keep all positions
    and mask them, which spares the peer the copy of a whole window a token."""

    def __init__(self, model, context, room=128):
        self.text = model.model.language_model
        self.head = model.lm_head
        self.window = model.config.get_text_config().sliding_window
        self.cache = StaticCache(config=model.config, max_cache_len=context + room)
        self.cache.layers = [StaticLayer(context + room) for _ in self.cache.layers]
        ids = prompt(model, 1, context)
        out = model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.token = out.logits[:, -1].argmax(-1, keepdim=True)
        self.position = torch.full((1, 1), context, device=ids.device)
        self.slots = torch.arange(context + room, device=ids.device)

    def step(self):
        seen = self.slots <= self.position[0]
        near = seen & (self.slots > self.position[0] - self.window)
        masks = {"full_attention": seen.view(1, 1, 1, -1),
                 "sliding_attention": near.view(1, 1, 1, -1)}
        hidden = self.text(input_ids=self.token, attention_mask=masks, position_ids=self.position,
                           past_key_values=self.cache, use_cache=True).last_hidden_state
        self.token.copy_(self.head(hidden)[:, -1].argmax(-1, keepdim=True))  # the softcap is monotone
        self.position.add_(1)


def compile_parts(model):
    """What stands between the products of a layer: norms and the feed-forward. The attention is left
    as it is, since each layer's part of the cache would be compiled anew."""
    torch._dynamo.config.recompile_limit = 64  # one code of norms serves many shapes
    for module in model.model.language_model.modules():
        if type(module).__name__.endswith(("RMSNorm", "TextMLP")):
            module.compile(dynamic=False)


@torch.inference_mode()
def graph_tokens_per_s(model, context, compiled, lock):
    """One context with a static cache, the whole step in one CUDA graph; `compiled` says what of it
    torch.compile makes before: "nothing", "parts" (see above) or "all"."""
    decode = StaticDecode(model, context)
    if compiled == "parts":
        compile_parts(model)
    step = torch.compile(decode.step) if compiled == "all" else decode.step
    began = time.perf_counter()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    print(f"ready in {time.perf_counter() - began:.1f} s", flush=True)
    graph.replay()
    with alone(lock):
        return DECODED / seconds_of(lambda: [graph.replay() for _ in range(DECODED)])


@contextlib.contextmanager
def alone(lock):
    """While others that lock the same file wait: compiling beside them is fine, timing is not."""
    with open(lock, "w") if lock else contextlib.nullcontext() as file:
        if lock:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def attempt(what, body, seconds_max):
    """The rate of a peer; None, and a line that says why, where it fails or takes too long."""
    def give_up(*_):
        raise TimeoutError(f"not done in {seconds_max} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds_max)
    try:
        rate = body()
        print(f"decode, {what}: {rate:.1f} tokens/s", flush=True)
        return rate
    except Exception as error:  # a peer that fails is reported, and the bench goes on
        print(f"decode, {what}: failed: {type(error).__name__}: {error}"[:400], flush=True)
        return None
    finally:
        signal.alarm(0)


def load(folder, dtype, device):
    model = Gemma4UnifiedForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa")
    return model.eval().to(device)


def logits_one_by_one(model, ids):
    """A token a pass with the key-value cache: products of one row, which other kernels compute."""
    cache, logits = None, []
    for i in range(ids.shape[1]):
        out = model(input_ids=ids[:, i:i + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits.append(out.logits[0])
    return torch.cat(logits)


@torch.inference_mode()
def write_logits(model, folder, file):
    """Leaves parts of the model compiled. Only eager and sdpa share every product and norm."""
    ids = prompt(model, 1, PROMPT, seed=7)
    wide = load(folder, torch.float32, model.device)
    tensors = {"ids": ids[0].cpu(),
               "float32": wide(input_ids=ids, use_cache=False).logits[0].cpu().contiguous()}
    del wide
    for attention in ("eager", "sdpa"):
        model.set_attn_implementation(attention)
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        tensors[attention] = logits.cpu().contiguous()
    tensors["one by one"] = logits_one_by_one(model, ids).float().cpu().contiguous()
    compile_parts(model)
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    tensors["compiled"] = logits.cpu().contiguous()
    save_file(tensors, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", default="")
    parser.add_argument("--logits", default="")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    for what in ("graph", "parts", "compile"):
        parser.add_argument(f"--{what}", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--lock", default="", help="a file to lock while decoding is timed")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    began = time.time()
    model = load(arguments.model, torch.bfloat16, arguments.device)
    print(f"loaded in {time.time() - began:.1f} s", flush=True)
    result = {"decode": [], "prefill": []}
    if arguments.out:
        decode_tokens_per_s(model, model, 1, 64)  # warm-up
        for context in CONTEXTS:
            for batch in arguments.batches:
                rate = decode_tokens_per_s(model, model, batch, context, arguments.lock)
                result["decode"].append({"batch": batch, "context": context, "tokens_per_s": rate})
                print(f"decode, batch {batch}, context {context}: {rate:.1f} tokens/s", flush=True)
        for length in arguments.lengths:
            rate = prefill_tokens_per_s(model, length)
            result["prefill"].append({"length": length, "tokens_per_s": rate})
            print(f"prefill, {length}: {rate:.0f} tokens/s", flush=True)
        for compiled, seconds_max in (("nothing", arguments.graph), ("parts", arguments.parts),
                                      ("all", arguments.compile)):
            if seconds_max:
                result[f"graph, {compiled} compiled"] = attempt(
                    f"CUDA graph, {compiled} compiled",
                    lambda: graph_tokens_per_s(model, CONTEXTS[0], compiled, arguments.lock),
                    seconds_max)
        with open(arguments.out, "w") as out:
            json.dump(result, out)
    if arguments.logits:
        write_logits(model, arguments.model, arguments.logits)


if __name__ == "__main__":
    main()
