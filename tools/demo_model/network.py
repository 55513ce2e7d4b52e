"""The decoder of Gemma 4 Unified for training: the same arithmetic as transformers' model, without
caches. Sequences are shorter than the sliding window, so that both kinds of layers see everything
before them; the patches of a picture see each other both ways, all else is causal. Parameter names
are those of the published checkpoints.

B rows, L positions, D hidden size, H heads, V vocabulary."""

import math

import torch
from torch import nn
from torch.nn import functional

from .vision_network import VisionEmbedder, picture_mask, video_mask

SLIDING, FULL = "sliding_attention", "full_attention"
EPSILON = 1e-6
PREFIX = "model.language_model."
AUDIO = "model.embed_audio.embedding_projection.weight"


def layer_kinds(layers, period):
    """Every `period`-th layer and the last one are full."""
    kinds = [FULL if (number + 1) % period == 0 else SLIDING for number in range(layers)]
    return kinds[:-1] + [FULL]


def rotary_table(kind, head_dim, positions):
    """cos and sin [positions, head_dim], float32; full layers rotate a quarter of the pairs."""
    pairs = torch.arange(head_dim // 2, dtype=torch.float32)
    if kind == SLIDING:
        frequency = 10_000.0 ** (-2 * pairs / head_dim)
    else:
        frequency = 1_000_000.0 ** (-2 * pairs / head_dim)
        frequency[int(0.25 * head_dim // 2):] = 0
    angle = torch.arange(positions, dtype=torch.float32)[:, None] * torch.cat([frequency, frequency])
    return angle.cos(), angle.sin()


def rotate(x, cosine, sine):
    """x [B, L, heads, head_dim]; dimension i pairs with i + head_dim / 2."""
    low, high = x.chunk(2, -1)
    return x * cosine[:, None] + torch.cat([-high, low], -1) * sine[:, None]


def place(text, is_soft, soft):
    """text [B, L, D] with the vectors of soft [B, T, D] in order where is_soft [B, L] says so."""
    number = (is_soft.cumsum(1) - 1).clamp(min=0, max=soft.shape[1] - 1)
    placed = soft.gather(1, number[..., None].expand(-1, -1, soft.shape[-1]))
    return torch.where(is_soft[..., None], placed, text)


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return functional.rms_norm(x, (x.shape[-1],), self.weight, EPSILON)


class Attention(nn.Module):
    def __init__(self, settings, kind):
        super().__init__()
        full = kind == FULL
        self.head_dim = settings["global_head_dim"] if full else settings["head_dim"]
        self.keys = settings["global_key_heads"] if full else settings["key_heads"]
        self.heads, size = settings["heads"], settings["hidden"]
        self.q_proj = nn.Linear(size, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(size, self.keys * self.head_dim, bias=False)
        self.v_proj = None if full else nn.Linear(size, self.keys * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, size, bias=False)
        self.q_norm, self.k_norm = Norm(self.head_dim), Norm(self.head_dim)

    def spread(self, x):
        """[B, L, keys, head_dim] -> [B, H, L, head_dim]."""
        rows, positions = x.shape[:2]
        x = x[:, :, :, None].expand(-1, -1, -1, self.heads // self.keys, -1)
        return x.reshape(rows, positions, self.heads, self.head_dim).transpose(1, 2)

    def forward(self, x, table, mask=None):
        rows, positions = x.shape[:2]
        query = self.q_proj(x).view(rows, positions, self.heads, self.head_dim)
        key = self.k_proj(x).view(rows, positions, self.keys, self.head_dim)
        value = key if self.v_proj is None else self.v_proj(x).view(key.shape)
        query, key = rotate(self.q_norm(query), *table), rotate(self.k_norm(key), *table)
        value = functional.rms_norm(value, (self.head_dim,), None, EPSILON)
        out = functional.scaled_dot_product_attention(
            query.transpose(1, 2), self.spread(key), self.spread(value), attn_mask=mask,
            is_causal=mask is None, scale=1.0)
        return self.o_proj(out.transpose(1, 2).reshape(rows, positions, -1))


class Feedforward(nn.Module):
    def __init__(self, settings):
        super().__init__()
        size, inner = settings["hidden"], settings["inner"]
        self.gate_proj, self.up_proj = (nn.Linear(size, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x):
        gate = functional.gelu(self.gate_proj(x), approximate="tanh")
        return self.down_proj(gate * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, settings, kind):
        super().__init__()
        size = settings["hidden"]
        self.self_attn, self.mlp = Attention(settings, kind), Feedforward(settings)
        self.input_layernorm, self.post_attention_layernorm = Norm(size), Norm(size)
        self.pre_feedforward_layernorm, self.post_feedforward_layernorm = Norm(size), Norm(size)
        self.dropout = settings.get("dropout", 0.0)

    def forward(self, x, table, mask=None, drops=False):
        """drops: whether `dropout` of what each branch adds is left out."""
        share = self.dropout if drops else 0.0
        y = self.post_attention_layernorm(self.self_attn(self.input_layernorm(x), table, mask))
        x = x + functional.dropout(y, share, drops)
        y = self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))
        return x + functional.dropout(y, share, drops)


class Decoder(nn.Module):
    """settings: the `model` part of the run's YAML; vocabulary: rows of the embedding. A network
    without a `vision` part in its settings takes no pictures."""

    def __init__(self, settings, vocabulary, letters):
        super().__init__()
        size = settings["hidden"]
        self.kinds = layer_kinds(settings["layers"], settings["full_period"])
        self.embed_tokens = nn.Embedding(vocabulary, size)
        self.layers = nn.ModuleList([Layer(settings, kind) for kind in self.kinds])
        self.norm = Norm(size)
        self.audio = nn.Linear(settings["frame"], size, bias=False)
        self.letters = nn.Linear(size, letters + 1)          # helper head: blank and letters
        self.scale, self.cap, self.dropout = math.sqrt(size), settings["logit_cap"], settings.get("dropout", 0.0)
        self.initialise()
        self.vision = VisionEmbedder(settings["vision"], size) if "vision" in settings else None
        if self.vision is not None:                          # helper head: nouns and colours
            self.thing_sizes = tuple(settings["things"])
            self.things = nn.Linear(size, sum(self.thing_sizes))
            nn.init.normal_(self.things.weight, std=0.02)
        for kind in (SLIDING, FULL):
            dim = settings["head_dim" if kind == SLIDING else "global_head_dim"]
            for name, table in zip(("cosine", "sine"), rotary_table(kind, dim, settings["positions"])):
                self.register_buffer(f"{kind}_{name}", table, persistent=False)

    def initialise(self):
        """Normal weights of deviation 0.02; k_norm at head_dim ** -0.5, because scores are unscaled."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(self.letters.bias)
        for layer in self.layers:
            nn.init.constant_(layer.self_attn.k_norm.weight, layer.self_attn.head_dim ** -0.5)

    def embed(self, tokens, frames, audio_id):
        """tokens int64 [B, L] with audio_id where frames go, frames [B, T, 640] -> [B, L, D].

        The audio positions of a row are contiguous; frames past their number are not used."""
        dtype = self.embed_tokens.weight.dtype
        is_audio = tokens == audio_id
        text = self.embed_tokens(torch.where(is_audio, 0, tokens)) * self.scale
        heard = self.audio(functional.rms_norm(frames.to(dtype), (frames.shape[-1],), None, EPSILON))
        return place(text, is_audio, heard)

    def embed_pictures(self, tokens, patches, columns, image_id, begin):
        """(embeddings [B, L, D], mask bool [L, L]) of rows with one picture of one grid each.

        tokens int64 [B, L] with image_id at N places from `begin` on, patches uint8 [B, N, 6912] in
        raster order of a grid with so many columns."""
        is_image = tokens == image_id
        text = self.embed_tokens(torch.where(is_image, 0, tokens)) * self.scale
        number = torch.arange(patches.shape[1], device=tokens.device)
        places = torch.stack([number % columns, number // columns], -1)
        seen = self.vision(patches, places.expand(len(patches), -1, -1))
        mask = picture_mask(tokens.shape[1], begin, patches.shape[1], tokens.device)
        return place(text, is_image, seen.to(text.dtype)), mask

    def embed_videos(self, tokens, patches, columns, video_id, begins):
        """The same of rows with one video each, whose frames begin at `begins`; patches uint8 [B, F, N, 6912]."""
        is_video = tokens == video_id
        text = self.embed_tokens(torch.where(is_video, 0, tokens)) * self.scale
        number = torch.arange(patches.shape[2], device=tokens.device)
        places = torch.stack([number % columns, number // columns], -1)
        seen = self.vision(patches, places.expand(*patches.shape[:2], -1, -1)).flatten(1, 2)
        mask = video_mask(tokens.shape[1], begins, patches.shape[2], tokens.device)
        return place(text, is_video, seen.to(text.dtype)), mask

    def forward(self, x, mask=None, run_layer=None, drops=False):
        """[B, L, D] -> normed last hidden states [B, L, D]; without a mask all is causal.

        run_layer: what to call instead of Layer.forward, e.g. that function compiled; drops: whether
        the share `dropout` of the settings is left out of x and of what each layer adds."""
        length, dtype = x.shape[1], x.dtype
        tables = {kind: tuple(getattr(self, f"{kind}_{name}")[:length].to(dtype) for name in ("cosine", "sine"))
                  for kind in (SLIDING, FULL)}
        x = functional.dropout(x, self.dropout, drops)
        run_layer = run_layer or Layer.forward
        for layer, kind in zip(self.layers, self.kinds):
            x = run_layer(layer, x, tables[kind], mask, drops)
        return self.norm(x)

    def logits(self, hidden):
        """Softcapped logits of hidden states [..., D] -> float32 [..., V]."""
        raw = functional.linear(hidden, self.embed_tokens.weight).float()
        return self.cap * torch.tanh(raw / self.cap)

    def published(self):
        """(name in a published checkpoint, parameter) pairs, the helper heads left out."""
        for name, parameter in self.named_parameters():
            if name == "audio.weight":
                yield AUDIO, parameter
            elif not name.startswith(("letters.", "things.", "vision.")):
                yield PREFIX + name, parameter
        if self.vision is not None:
            yield from self.vision.published()
