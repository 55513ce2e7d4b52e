"""`grow`: the start of a run from an exported checkpoint with a smaller vocabulary and no eyes.

Rows of the embedding that are new begin as the mean of the rows of their pieces, so that the grown
network answers as the old one does. The helper head comes from LETTERS, if it is given."""

import json
import pathlib

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from . import batches, shards
from .network import PREFIX, Decoder

EMBEDDING = PREFIX + "embed_tokens.weight"


def pieces(layout):
    """token -> the two that a merge makes it of; the merge of the lowest rank."""
    out = {}
    for first, second in layout["model"]["merges"]:
        out.setdefault(first + second, (first, second))
    return out


def known_ids(token, vocabulary, parts, known):
    """Ids below `known` that a token is made of."""
    if vocabulary[token] < known:
        return [vocabulary[token]]
    return [number for part in parts[token] for number in known_ids(part, vocabulary, parts, known)]


def grown_rows(rows, old, new):
    """Embedding rows float32 [size of new, D] from rows [size of old, D]."""
    vocabulary, former = new["model"]["vocab"], old["model"]["vocab"]
    moved = [token for token, number in former.items() if vocabulary.get(token) != number]
    if moved:
        raise ValueError(f"the grown tokenizer gives {moved[0]!r} another id than the old one")
    parts, out = pieces(new), torch.zeros(len(vocabulary), rows.shape[1])
    for token, number in vocabulary.items():
        out[number] = rows[known_ids(token, vocabulary, parts, len(former))].float().mean(0)
    return out


def grow(config, source, tokenizer_path, out, letters=None):
    """Writes shards of the grown network to OUT."""
    source = pathlib.Path(source)
    old, new = (json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
                for path in (source / "tokenizer.json", tokenizer_path))
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    torch.manual_seed(config["seed"])
    network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS))
    tensors = load_file(source / "model.safetensors")
    tensors[EMBEDDING] = grown_rows(tensors[EMBEDDING], old, new)
    with torch.no_grad():
        for name, parameter in network.published():
            if name in tensors:
                parameter.copy_(tensors[name])
        for name, tensor in (load_file(letters) if letters else {}).items():
            network.get_parameter(name).copy_(tensor)
    shards.save(out, network.named_parameters(), {"grown_from": str(source), "letters": bool(letters)})
    new_parts = [name for name, _ in network.published() if name not in tensors]
    print(f"{out}: {tokenizer.get_vocab_size()} entries, new: {len(new_parts)} tensors of the picture embedder")
