"""The picture embedder of Gemma 4 Unified: patches of raw pixels straight into the decoder's space.

N patches, E embedder size, D hidden size of the decoder. reference model.md sections 3.2 to 3.4."""

import math

import torch
from torch import nn
from torch.nn import functional

from . import patches

RMS_EPSILON = 1e-6
RESCALE = 0.00392156862745098      # of the published processor, in float32
EMBEDDER = "model.vision_embedder."
PROJECTION = "model.embed_vision.embedding_projection.weight"


class VisionEmbedder(nn.Module):
    """settings: `embedder` (E) and `positions` (rows of the table of places on each axis)."""

    def __init__(self, settings, hidden):
        super().__init__()
        size = settings["embedder"]
        self.patch_ln1 = nn.LayerNorm(patches.BYTES)
        self.patch_dense = nn.Linear(patches.BYTES, size)
        self.patch_ln2 = nn.LayerNorm(size)
        self.pos_embedding = nn.Parameter(torch.zeros(settings["positions"], 2, size))
        self.pos_norm = nn.LayerNorm(size)
        self.projection = nn.Linear(size, hidden, bias=False)
        self.initialise()

    def initialise(self):
        """The dense layer begins as slow waves over the patch: random weights would have to find them."""
        with torch.no_grad():
            self.patch_dense.weight.copy_(slow_waves(len(self.patch_dense.weight)))
        nn.init.zeros_(self.patch_dense.bias)
        nn.init.normal_(self.pos_embedding, std=0.5)
        nn.init.normal_(self.projection.weight, std=0.02)

    def forward(self, pixels, places):
        """uint8 [..., N, 6912], int64 [..., N, 2] of (x, y) -> [..., N, D] in the weights' dtype."""
        scaled = (pixels.float() * RESCALE).to(self.patch_dense.weight.dtype)
        x = self.patch_ln2(self.patch_dense(self.patch_ln1(scaled)))
        x = x + (self.pos_embedding[places[..., 0], 0] + self.pos_embedding[places[..., 1], 1])
        x = self.pos_norm(x)
        return self.projection(functional.rms_norm(x, x.shape[-1:], None, RMS_EPSILON))

    def published(self):
        """(name in a published checkpoint, parameter) pairs."""
        for name, parameter in self.named_parameters():
            yield (PROJECTION if name == "projection.weight" else EMBEDDER + name), parameter


def slow_waves(number):
    """[number, 6912]: cosine waves over a patch from the slowest on, half of them of brightness and
    a quarter of each colour difference. Faster waves are weaker in pictures, so they weigh more."""
    colours = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    side = torch.arange(patches.SIDE) + 0.5
    speeds = sorted(((u, v) for u in range(16) for v in range(16)), key=lambda pair: (math.hypot(*pair), pair))
    rows = []
    for colour, share in zip(colours, (number - 2 * (number // 4), number // 4, number // 4)):
        for u, v in speeds[:share]:
            wave = (torch.cos(math.pi * v / patches.SIDE * side)[:, None]
                    * torch.cos(math.pi * u / patches.SIDE * side)[None])
            wave = (1 + math.hypot(u, v)) * wave / wave.norm()
            rows.append((wave[..., None] * colour).flatten())
    return torch.stack(rows) / math.sqrt(patches.BYTES)


def picture_mask(length, begin, count, device=None):
    """bool [length, length], true where a query (row) sees a key (column): everything before it, and
    all of the picture's `count` positions from `begin` on within the picture."""
    return video_mask(length, (begin,), count, device)


def video_mask(length, begins, count, device=None):
    """The same for frames of `count` positions from each of `begins` on; a frame does not see later ones."""
    visible = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    for begin in begins:
        visible[begin:begin + count, begin:begin + count] = True
    return visible


def config_json(settings):
    """vision_config of config.json."""
    return {"model_type": "gemma4_unified_vision", "patch_size": 16, "pooling_kernel_size": 3,
            "model_patch_size": patches.SIDE, "mm_embed_dim": settings["embedder"],
            "mm_posemb_size": settings["positions"], "output_proj_dims": settings["embedder"],
            "num_soft_tokens": patches.BUDGETS[0], "rms_norm_eps": RMS_EPSILON, "initializer_range": 0.02}
