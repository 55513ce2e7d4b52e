"""Writes what torch and transformers make of pictures, for test_image_parity.

    make_image_cases.py FOLDER

Three files of little-endian int32 numbers and bytes, records one after another:
    sizes.bin    width, height, budget, target width, target height
    resize.bin   width, height, target width, target height, picture, resized picture
    patches.bin  width, height, budget, columns, rows, picture, patches
Pictures are [height, width, 3]. Deterministic.
"""
import ast
import importlib.util
import math
import pathlib
import sys

import numpy
import torch

BUDGETS = (70, 140, 280, 560, 1120)


def transformers_functions(*names):
    """Functions of transformers' image processor, without its import of torchvision."""
    package = pathlib.Path(importlib.util.find_spec("transformers").origin).parent
    file = package / "models/gemma4_unified/image_processing_gemma4_unified.py"
    functions = [node for node in ast.parse(file.read_text()).body
                 if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(functions) == len(names), f"{file} lacks one of {names}"
    scope = {"math": math, "torch": torch}
    exec(compile(ast.Module(functions, []), str(file), "exec"), scope)  # our pinned dependency
    return [scope[name] for name in names]


target_size, cut, merge = transformers_functions(
    "get_aspect_ratio_preserving_size", "convert_image_to_patches", "patches_merge")


def hugging_face_size(width, height, budget):
    target_height, target_width = target_size(height, width, 16, budget * 9, 3)
    return target_width, target_height


def noise(rng, width, height):
    return rng.integers(0, 256, (height, width, 3), dtype=numpy.uint8)


def black_and_white(rng, width, height):
    """Overshoots everywhere, so the clamps work."""
    return 255 * rng.integers(0, 2, (height, width, 3), dtype=numpy.uint8)


def gradient(rng, width, height):
    y, x = numpy.mgrid[0:height, 0:width]
    slopes = rng.uniform(-300, 300, (2, 3))
    ramp = (x / width)[..., None] * slopes[0] + (y / height)[..., None] * slopes[1] + 128
    return numpy.clip(ramp, 0, 255).astype(numpy.uint8)


def torch_resize(picture, width, height, channels_last):
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    if not channels_last:
        tensor = tensor.contiguous()
    resized = torch.nn.functional.interpolate(
        tensor, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return resized[0]


def resize_sizes(rng):
    """Pairs of (width, height), from and to."""
    yield from [((1920, 1080), (528, 288)), ((640, 480), (432, 336)), ((432, 336), (432, 336)),
                ((432, 100), (432, 336)), ((100, 336), (432, 336)), ((1, 1), (384, 384)),
                ((1, 977), (48, 3360)), ((1500, 1), (3360, 48)), ((9000, 2), (48, 48)),
                ((2, 9000), (48, 48)), ((3, 5), (2, 1)), ((8, 8), (2, 8)), ((8, 8), (8, 2))]
    for _ in range(500):
        longest = rng.choice([12, 60, 300])
        sides = numpy.exp(rng.uniform(0, math.log(longest), 4)).round().astype(int).tolist()
        yield (sides[0], sides[1]), (max(sides[2], 2), sides[3])
    if torch.backends.cpu.get_cpu_capability() != "DEFAULT":
        # torch's code for machines without vectors loses its strides in a result one pixel wide
        # and higher than that; a result of one pixel alone fails an assertion in the other one.
        yield from [((5, 7), (1, 4)), ((1, 7), (1, 48)), ((64, 64), (1, 64))]


def write_sizes(folder, rng):
    pictures = [(1920, 1080), (640, 480), (1024, 1024), (224, 224), (1, 1), (70, 1), (71, 1),
                (1, 141), (10000, 1), (1, 10000), (1 << 20, 1 << 20), (1 << 20, 1), (1, 1 << 20)]
    pictures += [tuple(map(int, rng.integers(1, 5000, 2))) for _ in range(2500)]
    pictures += [tuple(map(int, numpy.exp(rng.uniform(0, math.log(1 << 20), 2)))) for _ in range(2500)]
    # Exact multiples of a patch, and one pixel off: where floor() decides.
    pictures += [tuple(map(int, rng.integers(1, 40, 2) * 48 + rng.integers(-1, 2, 2)))
                 for _ in range(2500)]
    records = [(*picture, budget, *hugging_face_size(*picture, budget))
               for picture in pictures for budget in BUDGETS]
    (folder / "sizes.bin").write_bytes(numpy.array(records, "<i4").tobytes())


def write_resize(folder, rng):
    painters = (noise, black_and_white, gradient)
    with open(folder / "resize.bin", "wb") as file:
        for index, (source, target) in enumerate(resize_sizes(rng)):
            picture = painters[index % 3](rng, *source)
            resized = torch_resize(picture, *target, channels_last=index % 2 == 0)
            file.write(numpy.array([*source, *target], "<i4").tobytes())
            file.write(picture.tobytes())
            file.write(resized.permute(1, 2, 0).contiguous().numpy().tobytes())


def write_patches(folder, rng):
    sources = [(640, 480), (224, 224), (33, 500), (500, 3), (1, 300), (432, 336), (300, 200)]
    with open(folder / "patches.bin", "wb") as file:
        for index, source in enumerate(sources):
            budget = BUDGETS[index % 3]
            picture = (gradient if index % 2 else noise)(rng, *source)
            width, height = hugging_face_size(*source, budget)
            resized = torch_resize(picture, width, height, channels_last=False)
            small = cut(resized, 16)
            grid = torch.meshgrid(torch.arange(width // 16), torch.arange(height // 16),
                                  indexing="xy")
            positions = torch.stack(grid, dim=-1).reshape(len(small), 2)
            patches, merged = merge(small[None], positions[None], len(small) // 9)
            columns, rows = (merged[0].max(dim=0).values + 1).tolist()
            file.write(numpy.array([*source, budget, columns, rows], "<i4").tobytes())
            file.write(picture.tobytes())
            file.write(patches[0].numpy().tobytes())


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(4)
    write_sizes(folder, rng)
    write_resize(folder, rng)
    write_patches(folder, rng)


if __name__ == "__main__":
    main()
