"""Checkpoints of a training run as safetensors shards of at most 15 MB, in bfloat16."""

import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

SHARD_BYTES = 14_500_000


def save(folder, network, state):
    """Writes shard-N.safetensors with every parameter, the helper head too, and state.json last."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts, size = [{}], 0
    for name, parameter in network.named_parameters():
        tensor = parameter.detach().to(torch.bfloat16).cpu().contiguous()
        if size + tensor.nbytes > SHARD_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = tensor.clone()
        size += tensor.nbytes
    for number, part in enumerate(parts):
        save_file(part, folder / f"shard-{number}.safetensors")
    (folder / "state.json").write_text(json.dumps({**state, "shards": len(parts)}) + "\n")


def load(folder, network):
    """name -> tensor of every parameter, and the state, from shards or from an exported folder.

    An exported folder has no helper head: the network's own is kept."""
    folder = pathlib.Path(folder)
    if not (folder / "state.json").exists():
        published = load_file(folder / "model.safetensors")
        names = {id(parameter): name for name, parameter in network.published()}
        return {name: published[names[id(parameter)]] if id(parameter) in names else parameter.detach()
                for name, parameter in network.named_parameters()}, {"exported": str(folder)}
    state = json.loads((folder / "state.json").read_text())
    tensors = {}
    for number in range(state["shards"]):
        tensors |= load_file(folder / f"shard-{number}.safetensors")
    return tensors, state
