"""Checkpoints of a training run: safetensors shards of at most 15 MB in bfloat16, or, half as large and
nearly as good to go on from, in int8 with a scale for each row."""

import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file

SHARD_BYTES = 14_500_000
SCALE = "|scale"       # NAME|scale: float32 of each row of the int8 tensor NAME


def small(tensor):
    """{suffix: tensor} of one parameter: int8 rows and their scales; vectors stay as they are."""
    if tensor.dim() < 2:
        return {"": tensor.to(torch.bfloat16)}
    rows = tensor.float().flatten(1)
    scale = rows.abs().amax(1).clamp(min=1e-12) / 127
    return {"": torch.round(rows / scale[:, None]).to(torch.int8).view(tensor.shape), SCALE: scale}


def whole(tensors):
    """The parameters of shards, whatever they were written as."""
    out = {}
    for name, tensor in tensors.items():
        if not name.endswith(SCALE):
            scale = tensors.get(name + SCALE)
            out[name] = tensor if scale is None else (tensor.flatten(1).float() * scale[:, None]).view(tensor.shape)
    return out


def save(folder, named, state, halved=False):
    """Writes shard-N.safetensors with every parameter, the helper heads too, and state.json last.

    named: (name, tensor) pairs; halved: in int8."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts, size = [{}], 0
    for name, tensor in named:
        tensor = tensor.detach().cpu()
        tensors = small(tensor) if halved else {"": tensor.to(torch.bfloat16)}
        nbytes = sum(one.nbytes for one in tensors.values())
        if size + nbytes > SHARD_BYTES:
            parts.append({})
            size = 0
        parts[-1] |= {name + suffix: one.contiguous().clone() for suffix, one in tensors.items()}
        size += nbytes
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
    return whole(tensors), state


def mixed(parts, network, kept=("vision.", "things.")):
    """(name, tensor) of every parameter: the mean of checkpoints of one run, or of runs that began
    alike. parts: (folder, share) pairs, whose shares add up to one; parameters whose names begin as in
    `kept` are those of the first."""
    if abs(sum(share for _, share in parts) - 1) > 1e-6:
        raise ValueError(f"the shares of the checkpoints add up to {sum(share for _, share in parts)} instead of 1")
    loaded = [(load(folder, network)[0], share) for folder, share in parts]
    first = loaded[0][0]
    return [(name, first[name].float() if name.startswith(kept)
             else sum(share * tensors[name].float() for tensors, share in loaded)) for name in first]


def replace(folder, write):
    """Puts a checkpoint folder in the place of the last one; whoever copies it meanwhile finds a
    state.json with the shards that it names."""
    fresh, old = folder.with_name(folder.name + "-new"), folder.with_name(folder.name + "-old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    write(fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
