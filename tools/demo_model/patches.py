"""How pictures become soft tokens: the grid that a picture is scaled to, and its 48 x 48 patches.

A picture is uint8 [height, width, 3]. A patch is 6912 bytes in order row, column, channel; one patch
is one soft token. The same arithmetic as the published processor and as model/vision_patcher.cc."""

import math

import numpy

SIDE = 48
BYTES = SIDE * SIDE * 3
BUDGETS = (70, 140, 280, 560, 1120)


def target_grid(width, height, budget):
    """(columns, rows) of the largest grid of a picture's shape within the budget."""
    if budget not in BUDGETS:
        raise ValueError(f"a picture's budget must be one of {BUDGETS} soft tokens, not {budget}")
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} pixels cannot be cut to patches")
    factor = math.sqrt(budget * SIDE * SIDE / (width * height))
    columns, rows = (math.floor(factor * side / SIDE) for side in (width, height))
    if rows == 0:
        return min(width // height, budget), 1
    if columns == 0:
        return 1, min(height // width, budget)
    return columns, rows


def cut(picture):
    """uint8 [rows * 48, columns * 48, 3] -> uint8 [rows * columns, 6912], row by row."""
    height, width, channels = picture.shape
    if height % SIDE or width % SIDE or channels != 3 or picture.dtype != numpy.uint8:
        raise ValueError(f"a picture of shape {picture.shape} and {picture.dtype} is not whole patches of uint8 RGB")
    rows, columns = height // SIDE, width // SIDE
    blocks = picture.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
    return blocks.reshape(rows * columns, BYTES)


def joined(patches, columns):
    """The picture that `cut` made these patches of."""
    rows = len(patches) // columns
    blocks = numpy.asarray(patches).reshape(rows, columns, SIDE, SIDE, 3).swapaxes(1, 2)
    return blocks.reshape(rows * SIDE, columns * SIDE, 3)


def places(columns, rows):
    """(x, y) of every patch of a grid, int64 [rows * columns, 2]."""
    y, x = numpy.divmod(numpy.arange(rows * columns), columns)
    return numpy.stack([x, y], 1)
