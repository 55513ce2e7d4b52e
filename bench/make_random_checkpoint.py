"""Writes a checkpoint of random weights with the shapes and the tensor names of the published 12B.

Usage: python3 bench/make_random_checkpoint.py FOLDER [--layers 48] [--vocabulary 262144] [--seed 1]
Numbers are drawn on the GPU where there is one, and shards are written by several threads: 24 GB
take less than a minute. Values are scaled so that activations stay finite and attention is neither
flat nor saturated: matrices have the deviation in^-1/2, embedded rows have unit size, norms are
about one, and k_norm is head_dim^-1/2 (scores are not scaled, and the published weights do it
there as well). What such a model says means nothing; its time and its numerics do.
"""

import argparse
import concurrent.futures
import json
import math
import pathlib
import time

import torch

SHARD_BYTES = 2 << 30
WRITERS = 12
SPECIALS = {"image_token_id": 258880, "audio_token_id": 258881, "video_token_id": 258884,
            "boi_token_id": 255999, "eoi_token_id": 258882, "boa_token_id": 256000,
            "eoa_token_index": 258883}
HIDDEN, MLP, HEADS = 3840, 15360, 16
SLIDING = {"head_dim": 256, "kv_heads": 8}
FULL = {"head_dim": 512, "kv_heads": 1}
PIXELS = 48 * 48 * 3
POSITIONS = 1120


def layer_types(layers):
    return ["full_attention" if i % 6 == 5 or i == layers - 1 else "sliding_attention"
            for i in range(layers)]


def config(layers, vocabulary):
    """config.json as published (reference model.md section 1), for any depth and vocabulary."""
    specials = SPECIALS
    if vocabulary < 262144:
        specials = {name: vocabulary - 1 - i for i, name in enumerate(SPECIALS)}
    text = {
        "attention_bias": False, "attention_dropout": 0.0, "attention_k_eq_v": True,
        "bos_token_id": 2, "dtype": "bfloat16", "enable_moe_block": False, "eos_token_id": 1,
        "final_logit_softcapping": 30.0, "global_head_dim": FULL["head_dim"],
        "head_dim": SLIDING["head_dim"], "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": HIDDEN, "hidden_size_per_layer_input": 0, "initializer_range": 0.02,
        "intermediate_size": MLP, "layer_types": layer_types(layers),
        "max_position_embeddings": 262144, "model_type": "gemma4_unified_text",
        "num_attention_heads": HEADS, "num_global_key_value_heads": FULL["kv_heads"],
        "num_hidden_layers": layers, "num_key_value_heads": SLIDING["kv_heads"],
        "num_kv_shared_layers": 0, "pad_token_id": 0, "rms_norm_eps": 1e-06,
        "rope_parameters": {
            "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0,
                               "rope_type": "proportional"},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
        "sliding_window": 1024, "tie_word_embeddings": True,
        "use_bidirectional_attention": "vision", "use_cache": True, "use_double_wide_mlp": False,
        "vocab_size": vocabulary, "vocab_size_per_layer_input": vocabulary}
    return {
        "architectures": ["Gemma4UnifiedForConditionalGeneration"],
        "model_type": "gemma4_unified", "dtype": "bfloat16", "eos_token_id": [1, 106],
        "initializer_range": 0.02, "tie_word_embeddings": True, "text_config": text, **specials,
        "audio_config": {"audio_embed_dim": 640, "audio_samples_per_token": 640,
                         "hidden_size": 640, "initializer_range": 0.02,
                         "model_type": "gemma4_unified_audio", "output_proj_dims": 640,
                         "rms_norm_eps": 1e-06},
        "vision_config": {"initializer_range": 0.02, "mm_embed_dim": HIDDEN,
                          "mm_posemb_size": POSITIONS, "model_patch_size": 48,
                          "model_type": "gemma4_unified_vision", "num_soft_tokens": 280,
                          "output_proj_dims": HIDDEN, "patch_size": 16, "pooling_kernel_size": 3,
                          "rms_norm_eps": 1e-06}}


def text_tensors(layers, vocabulary):
    """(name, shape, deviation, mean) of every tensor of the text model."""
    text = "model.language_model."
    yield text + "embed_tokens.weight", (vocabulary, HIDDEN), HIDDEN**-0.5, 0.0
    for i, kind in enumerate(layer_types(layers)):
        shape = FULL if kind == "full_attention" else SLIDING
        dim, queries, keys = shape["head_dim"], HEADS, shape["kv_heads"]
        layer = f"{text}layers.{i}."
        attention = layer + "self_attn."
        yield attention + "q_proj.weight", (queries * dim, HIDDEN), HIDDEN**-0.5, 0.0
        yield attention + "k_proj.weight", (keys * dim, HIDDEN), HIDDEN**-0.5, 0.0
        if kind == "sliding_attention":
            yield attention + "v_proj.weight", (keys * dim, HIDDEN), HIDDEN**-0.5, 0.0
        yield attention + "o_proj.weight", (HIDDEN, queries * dim), (queries * dim)**-0.5, 0.0
        yield attention + "q_norm.weight", (dim,), 0.02, 1.0
        yield attention + "k_norm.weight", (dim,), 0.02 * dim**-0.5, dim**-0.5
        yield layer + "mlp.gate_proj.weight", (MLP, HIDDEN), HIDDEN**-0.5, 0.0
        yield layer + "mlp.up_proj.weight", (MLP, HIDDEN), HIDDEN**-0.5, 0.0
        yield layer + "mlp.down_proj.weight", (HIDDEN, MLP), MLP**-0.5, 0.0
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield f"{layer}{norm}_layernorm.weight", (HIDDEN,), 0.05, 1.0
        yield layer + "layer_scalar", (1,), 0.02, 0.9
    yield text + "norm.weight", (HIDDEN,), 0.05, 1.0


def media_tensors():
    vision = "model.vision_embedder."
    for name, width in (("patch_ln1", PIXELS), ("patch_ln2", HIDDEN), ("pos_norm", HIDDEN)):
        yield f"{vision}{name}.weight", (width,), 0.05, 1.0
        yield f"{vision}{name}.bias", (width,), 0.05, 0.0
    yield vision + "patch_dense.weight", (HIDDEN, PIXELS), PIXELS**-0.5, 0.0
    yield vision + "patch_dense.bias", (HIDDEN,), 0.05, 0.0
    yield vision + "pos_embedding", (POSITIONS, 2, HIDDEN), 0.3, 0.0
    yield "model.embed_vision.embedding_projection.weight", (HIDDEN, HIDDEN), HIDDEN**-0.5, 0.0
    yield "model.embed_audio.embedding_projection.weight", (HIDDEN, 640), 640**-0.5, 0.0


def shards_of(tensors):
    """The tensors in runs of about SHARD_BYTES."""
    shards, size = [[]], 0
    for tensor in tensors:
        bytes_ = 2 * math.prod(tensor[1])
        if shards[-1] and size + bytes_ > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += bytes_
    return shards


def write_shard(file, tensors, seed, device):
    header, offset = {}, 0
    for name, shape, _, _ in tensors:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator(device).manual_seed(seed)
    with open(file, "wb", buffering=0) as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, shape, deviation, mean in tensors:
            values = torch.empty(shape, dtype=torch.bfloat16, device=device)
            values.normal_(mean, deviation, generator=generator)
            data = memoryview(values.view(torch.int16).cpu().numpy()).cast("B")
            while data:  # one write takes at most 2 GiB
                data = data[out.write(data):]
    return offset


def write_tokenizer(file):
    """Bytes and single letters: the engine asks for a tokenizer, and benches speak in ids."""
    base = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {token: id for id, token in enumerate(base + ["\u2581", "a", "b"])}
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    file.write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": space,
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "},
                          "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Sequence",
                    "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocabulary, "merges": []}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=48)
    parser.add_argument("--vocabulary", type=int, default=262144)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.time()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    shape = config(arguments.layers, arguments.vocabulary)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shards = shards_of([*text_tensors(arguments.layers, arguments.vocabulary), *media_tensors()])
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        sizes = list(pool.map(
            lambda i: write_shard(folder / names[i], shards[i], arguments.seed * 1000 + i, device),
            range(len(shards))))
    index = {"metadata": {"total_size": sum(sizes)},
             "weight_map": {tensor[0]: name for name, shard in zip(names, shards)
                            for tensor in shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(shape, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({
        "bos_token_id": 2, "eos_token_id": [1, 106], "pad_token_id": 0, "do_sample": False,
        "suppress_tokens": sorted([shape["eoi_token_id"], shape["eoa_token_index"]])}))
    write_tokenizer(folder / "tokenizer.json")
    print(f"{folder}: {sum(sizes) / 1e9:.1f} GB in {len(shards)} files, "
          f"{time.time() - began:.1f} s, drawn on {device}")


if __name__ == "__main__":
    main()
