"""Kokoro-82M text to speech in plain PyTorch: batched, exact under padding, 24 kHz mono.

  kokoro = Kokoro(["w-1.safetensors", "w-2.safetensors"], "cuda", torch.float16)
  waves = kokoro.synthesise([ids, ...], [style, ...], speeds)

ids are phoneme ids without the zeros at the ends, a style is 256 floats. The weight files are made
by kokoro_weights.py. Letters as in kokoro_parts.py."""

import math
import os

import numpy
import torch
from torch.nn import functional

from .kokoro_parts import RATE_HZ, ShortFourier, adaptive_norm, harmonic_source, load_weights, mask, snake

SAMPLES_A_FRAME = 600
ALBERT = "bert.encoder.albert_layer_groups.0.albert_layers.0."
IDS_MAX = 510


class Kokoro:
    """half: torch.float16 for the decoder's convolutions on a GPU; sums, norms, source and Fourier
    transforms stay in float32. noise: level of the noise source."""

    def __init__(self, files, device="cpu", half=None, noise=1.0):
        self.device, self.noise = torch.device(device), noise
        self.weights = {name: value.to(self.device) for name, value in load_weights(files).items()}
        self.convolutions = {
            name: value.to(half or value.dtype) for name, value in self.weights.items()
            if name.startswith("decoder.") and value.dim() == 3 and value.numel() > 1000}
        self.recurrent = {name[:-13]: self.lstm_module(name[:-13]) for name in self.weights
                          if name.endswith(".weight_ih_l0")}
        self.style_layers = {part: self.gather_style_layers(part)
                             for part in ("predictor.F0.", "predictor.N.", "decoder.")}
        self.fourier = ShortFourier(self.device)
        self.durations = []

    def lstm_module(self, name):
        inputs = self.weights[name + ".weight_ih_l0"].shape[1]
        module = torch.nn.LSTM(inputs, 256, batch_first=True, bidirectional=True).to(self.device)
        module.load_state_dict({key: self.weights[f"{name}.{key}"] for key in module.state_dict()})
        return module.requires_grad_(False).eval()

    def gather_style_layers(self, part):
        """All adaptive norms of a part as one matrix: (names, sizes, weight, bias)."""
        names = [key[:-10] for key in self.weights if key.startswith(part) and key.endswith(".fc.weight")]
        return (names, [self.weights[name + ".fc.bias"].numel() for name in names],
                torch.cat([self.weights[name + ".fc.weight"] for name in names]),
                torch.cat([self.weights[name + ".fc.bias"] for name in names]))

    # layers

    def linear(self, name, x):
        return functional.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def layer_norm(self, name, x, epsilon=1e-12, weight="weight", bias="bias"):
        return functional.layer_norm(x, x.shape[-1:], self.weights[f"{name}.{weight}"],
                                     self.weights[f"{name}.{bias}"], epsilon)

    def lstm(self, name, x, lengths):
        """lengths: CPU tensor [B]. Each direction starts at its own item's end; zeros past it."""
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out = self.recurrent[name](packed)[0]
        return torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0]

    def convolution(self, name, x, keep=None, **options):
        """float32 result, zeroed past each item's end if `keep` is given."""
        weight = self.convolutions.get(name + ".weight", self.weights[name + ".weight"])
        bias = self.weights.get(name + ".bias")
        out = functional.conv1d(x.to(weight.dtype), weight, bias if bias is None else bias.to(weight.dtype),
                                **options)
        return out.float() if keep is None else out * keep

    def styles(self, part, style):
        """Adaptive norm's name -> (1 + gamma, beta), each [B, C, 1]."""
        names, sizes, weight, bias = self.style_layers[part]
        out = {}
        for name, values in zip(names, functional.linear(style, weight, bias).split(sizes, 1)):
            gamma, beta = values.chunk(2, 1)
            out[name] = ((1 + gamma)[..., None], beta[..., None])
        return out

    # from phonemes to durations

    def albert(self, tokens, keep):
        """tokens int64 [B, T], keep bool [B, T] -> [B, T, 768]; one layer's weights, twelve times."""
        rows, positions = tokens.shape
        embedding = "bert.embeddings."
        x = (self.weights[embedding + "word_embeddings.weight"][tokens]
             + self.weights[embedding + "position_embeddings.weight"][:positions]
             + self.weights[embedding + "token_type_embeddings.weight"][0])
        x = self.linear("bert.encoder.embedding_hidden_mapping_in", self.layer_norm(embedding + "LayerNorm", x))
        for _ in range(12):
            query, key, value = (
                self.linear(f"{ALBERT}attention.{name}", x).view(rows, positions, 12, 64).transpose(1, 2)
                for name in ("query", "key", "value"))
            heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=keep[:, None, None])
            heard = self.linear(ALBERT + "attention.dense", heard.transpose(1, 2).flatten(2))
            x = self.layer_norm(ALBERT + "attention.LayerNorm", x + heard)
            inner = functional.gelu(self.linear(ALBERT + "ffn", x), approximate="tanh")
            x = self.layer_norm(ALBERT + "full_layer_layer_norm", self.linear(ALBERT + "ffn_output", inner) + x)
        return x

    def encode_durations(self, tokens, keep, lengths, style, speed):
        """(duration encoding [B, T, 640], frames of each phoneme int64 [B, T])."""
        keep_float = keep[..., None].float()
        prosody = style[:, None, 128:].expand(-1, tokens.shape[1], -1)
        x = torch.cat([self.linear("bert_encoder", self.albert(tokens, keep)), prosody], -1) * keep_float
        for number in (0, 2, 4):
            y = self.lstm(f"predictor.text_encoder.lstms.{number}", x, lengths)
            gamma, beta = self.linear(f"predictor.text_encoder.lstms.{number + 1}.fc", prosody).chunk(2, -1)
            y = (1 + gamma) * functional.layer_norm(y, (512,), eps=1e-5) + beta
            x = torch.cat([y, prosody], -1) * keep_float
        raw = self.linear("predictor.duration_proj.linear_layer", self.lstm("predictor.lstm", x, lengths))
        frames = (torch.sigmoid(raw).sum(-1) / speed[:, None]).round().clamp(min=1).long() * keep
        return x, frames

    def encode_text(self, tokens, keep, lengths):
        """Text encoding [B, T, 512]."""
        keep_float = keep[..., None].float()
        x = self.weights["text_encoder.embedding.weight"][tokens] * keep_float
        for number in range(3):
            x = self.convolution(f"text_encoder.cnn.{number}.0", x.transpose(1, 2), padding=2).transpose(1, 2)
            x = self.layer_norm(f"text_encoder.cnn.{number}.1", x, 1e-5, "gamma", "beta")
            x = functional.leaky_relu(x, 0.2) * keep_float
        return self.lstm("text_encoder.lstm", x, lengths)

    def encode(self, ids, style, speed):
        """Lists of ids -> duration encoding, text encoding, frames of each phoneme with both ends."""
        lengths = torch.tensor([len(one) + 2 for one in ids])
        size = int(lengths.max())
        tokens = torch.zeros(len(ids), size, dtype=torch.long)
        for row, one in enumerate(ids):
            tokens[row, 1:len(one) + 1] = torch.as_tensor(one)
        tokens = tokens.to(self.device)
        keep = (torch.arange(size) < lengths[:, None]).to(self.device)
        durations, frames = self.encode_durations(tokens, keep, lengths, style, speed)
        return durations, self.encode_text(tokens, keep, lengths), frames

    # from frames to a wave

    def block(self, name, x, styles, number, keep, up=False):
        """A residual block of the prosody curves and the decoder; `up` doubles the frames."""
        y = self.normed(name + ".norm1", x, styles, number, keep)
        side = x
        if up:                                             # depthwise transposed convolution, stride 2
            weight = self.weights[name + ".pool.weight"][:, 0, :, None]
            bias = self.weights[name + ".pool.bias"][:, None]
            odd = y * weight[:, 2] + functional.pad(y[..., 1:], (0, 1)) * weight[:, 0] + bias
            y = torch.stack([y * weight[:, 1] + bias, odd], -1).flatten(2)
            side, keep, number = x.repeat_interleave(2, -1), keep.repeat_interleave(2, -1), 2 * number
            y = y * keep
        y = self.convolution(name + ".conv1", y, keep, padding=1)
        y = self.normed(name + ".norm2", y, styles, number, keep)
        y = self.convolution(name + ".conv2", y, padding=1)
        if name + ".conv1x1.weight" in self.weights:
            side = self.convolution(name + ".conv1x1", side)
        return (y + side) * (math.sqrt(0.5) * keep)

    @staticmethod
    def normed(name, x, styles, number, keep):
        scale, shift = adaptive_norm(x, styles[name], number)
        return functional.leaky_relu(torch.addcmul(shift, x, scale), 0.2) * keep

    def snake_block(self, name, x, styles, number, keep):
        """A residual block of the generator with dilations 1, 3 and 5."""
        size = self.weights[name + ".convs1.0.weight"].shape[-1]
        for layer in range(3):
            spread = 2 * layer + 1
            y = snake(x, *adaptive_norm(x, styles[f"{name}.adain1.{layer}"], number),
                      self.weights[f"{name}.alpha1.{layer}"], keep)
            y = self.convolution(f"{name}.convs1.{layer}", y, keep, padding=(size - 1) * spread // 2,
                                 dilation=spread)
            y = snake(y, *adaptive_norm(y, styles[f"{name}.adain2.{layer}"], number),
                      self.weights[f"{name}.alpha2.{layer}"], keep)
            x = x + self.convolution(f"{name}.convs2.{layer}", y, keep, padding=(size - 1) // 2)
        return x

    def prosody(self, encoding, style, frames, number):
        """Pitch in hertz and energy, each [B, 1, 2 F]."""
        size = encoding.shape[1]
        keep, keep_twice = mask(number, size), mask(2 * number, 2 * size)
        shared = self.lstm("predictor.shared", encoding, frames).transpose(1, 2)
        curves = []
        for part in ("F0", "N"):
            styles, y = self.styles(f"predictor.{part}.", style[:, 128:]), shared
            for layer in range(3):
                y = self.block(f"predictor.{part}.{layer}", y, styles, number * (1 + (layer > 1)),
                               keep_twice if layer > 1 else keep, layer == 1)
            curves.append(self.convolution(f"predictor.{part}_proj", y, keep_twice))
        return curves

    def generate(self, x, pitch, styles, number, size):
        """Decoder frames [B, 512, 2 F] -> wave [B, 600 F]."""
        name = "decoder.generator."
        source = harmonic_source(pitch[:, 0], self.weights[name + "m_source.l_linear.weight"],
                                 self.weights[name + "m_source.l_linear.bias"], self.noise)
        harmonics = self.fourier.forward(source, (SAMPLES_A_FRAME * number[:, 0]).long())
        harmonics = harmonics * mask(120 * number + 1, harmonics.shape[-1])
        keep = None
        for stage, (stride, width, total) in enumerate(((10, 20, 20), (6, 12, 120))):
            length = number * total + stage
            keep = mask(length, size * total + stage)
            options = {"stride": 6, "padding": 3} if stage == 0 else {}
            side = self.convolution(f"{name}noise_convs.{stage}", harmonics, keep, **options)
            side = self.snake_block(f"{name}noise_res.{stage}", side, styles, length, keep)
            weight = self.convolutions[f"{name}ups.{stage}.weight"]
            x = functional.conv_transpose1d(
                functional.leaky_relu(x, 0.1).to(weight.dtype), weight,
                self.weights[f"{name}ups.{stage}.bias"].to(weight.dtype), stride, (width - stride) // 2).float()
            x = ((functional.pad(x, (1, 0), "reflect") if stage else x) + side) * keep
            x = sum(self.snake_block(f"{name}resblocks.{3 * stage + part}", x, styles, length, keep)
                    for part in range(3)) / 3
        x = self.convolution(name + "conv_post", functional.leaky_relu(x, 0.01), padding=3)
        return self.fourier.inverse(x, keep)

    def speech(self, encoding, text, style, frames):
        """Encodings stretched to frames [B, F, 640] and [B, F, 512]; frames: CPU tensor [B] ->
        [B, 600 F], zeros past the end."""
        number, size = frames.to(self.device, torch.float32)[:, None, None], encoding.shape[1]
        keep = mask(number, size)
        curves = self.prosody(encoding, style, frames, number)
        styles, text = self.styles("decoder.", style[:, :128]), text.transpose(1, 2)
        side = [self.convolution(f"decoder.{part}_conv", curve, keep, stride=2, padding=1)
                for part, curve in zip(("F0", "N"), curves)]
        x = self.block("decoder.encode", torch.cat([text, *side], 1), styles, number, keep)
        side = [self.convolution("decoder.asr_res.0", text, keep), *side]
        for layer in range(4):
            x = self.block(f"decoder.decode.{layer}", torch.cat([x, *side], 1), styles, number, keep, layer == 3)
        return self.generate(x, curves[0], styles, number, size)

    @torch.inference_mode()
    def synthesise(self, ids, styles, speed=1.0, batch_seconds=12.0, batch_tokens=16384):
        """ids: lists of at most 510 phoneme ids; styles: 256 floats each; speed: a number or one an
        item; batch_seconds: audio in one padded batch. Returns float32 CPU tensors in the order
        given, and leaves the frames of every phoneme in `durations`."""
        if max(map(len, ids)) > IDS_MAX:
            raise ValueError(f"a text has more than {IDS_MAX} phonemes")
        style = torch.stack([torch.as_tensor(one) for one in styles]).float().to(self.device)
        speed = torch.as_tensor(speed, dtype=torch.float32).expand(len(ids)).to(self.device)
        encoded, out = {}, [None] * len(ids)
        for group in groups([len(one) + 2 for one in ids], batch_tokens):
            durations, text, frames = self.encode([ids[item] for item in group], style[group], speed[group])
            frames = frames.cpu()
            for row, item in enumerate(group):
                encoded[item] = durations[row], text[row], frames[row]
        totals = [int(encoded[item][2].sum()) for item in range(len(ids))]
        self.durations = [encoded[item][2][:len(ids[item]) + 2] for item in range(len(ids))]
        for group in groups(totals, batch_seconds * RATE_HZ / SAMPLES_A_FRAME):
            order = [torch.arange(len(encoded[item][2])).repeat_interleave(encoded[item][2]).to(self.device)
                     for item in group]
            stretched = [torch.nn.utils.rnn.pad_sequence(
                [encoded[item][part][place] for item, place in zip(group, order)], batch_first=True)
                for part in (0, 1)]
            waves = self.speech(*stretched, style[group], torch.tensor([totals[item] for item in group])).cpu()
            for row, item in enumerate(group):
                out[item] = waves[row, :SAMPLES_A_FRAME * totals[item]]
        return out


def groups(sizes, most):
    """Item numbers, longest first, in batches of at most `most` with padding."""
    out = []
    for item in sorted(range(len(sizes)), key=lambda item: -sizes[item]):
        if not out or (len(out[-1]) + 1) * sizes[out[-1][0]] > most:
            out.append([])
        out[-1].append(item)
    return out


class Voices:
    """Style of a voice, or of a mixture, for a text of so many phonemes, from NAME.bin files of
    510 x 256 float32."""

    def __init__(self, folder):
        self.folder, self.tables = folder, {}

    def table(self, name):
        if name not in self.tables:
            values = numpy.fromfile(os.path.join(self.folder, name + ".bin"), numpy.float32)
            self.tables[name] = torch.from_numpy(values).view(IDS_MAX, 256)
        return self.tables[name]

    def __call__(self, voice, phonemes):
        parts = {voice: 1.0} if isinstance(voice, str) else voice
        row = min(phonemes, IDS_MAX - 1)
        return sum(share * self.table(name)[row] for name, share in parts.items()) / sum(parts.values())
