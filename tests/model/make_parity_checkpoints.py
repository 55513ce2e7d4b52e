"""Makes small random checkpoints and writes what transformers computes with them.

    make_parity_checkpoints.py FOLDER [NAME…]

FOLDER/NAME is a checkpoint as transformers saves it, with cases.json and cases.safetensors beside
it for test_engine_parity: prompts, logits of every position in float32 under both vision masks,
greedy tokens, logits in bfloat16 and how far transformers' eager and sdpa attention are apart there.
Deterministic.
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (GenerationConfig, Gemma4UnifiedAudioConfig, Gemma4UnifiedConfig,
                          Gemma4UnifiedForConditionalGeneration, Gemma4UnifiedTextConfig,
                          Gemma4UnifiedVisionConfig)
from transformers.models.gemma4_unified import modeling_gemma4_unified as modeling

GREEDY_TOKENS = 64
# A greedy choice counts only if the second best is further away than rounding can reach.
LEAST_MARGIN = 1e-3
# Ids of the small vocabularies: the specials stand last.
SPECIALS = ("image_token_id", "audio_token_id", "video_token_id", "boi_token_id", "eoi_token_id",
            "boa_token_id", "eoa_token_index")

SLIDING, FULL = "sliding_attention", "full_attention"


class Shape:
    """One checkpoint: what config.json says, and which prompts are run."""

    def __init__(self, layers, heads, kv_heads, head_dims, window, vocabulary=320, hidden=64,
                 vision=True, audio=True, key_is_value=True, softcap=30.0, suppress=True,
                 positions=128, long_prompt=0, shard=None, saved=torch.float32, keys=0.5):
        self.__dict__.update(locals())


def layer_types(pattern):
    return [FULL if letter == "F" else SLIDING for letter in pattern]


SHAPES = {
    # A full layer first, a window shorter than every prompt, full layers with one KV head.
    "full_first": Shape("FSF", 4, (2, 1), (16, 32), 8),
    # Seven layers, a window that only the long prompt leaves, several global KV heads, two shards.
    "seven_layers": Shape("SSFSSSF", 4, (4, 2), (24, 40), 1024, hidden=56, long_prompt=1100,
                          shard="200KB"),
    # Separate values on full layers, no eyes, no softcap; float32 from bfloat16 as the next ones.
    "separate_values": Shape("SFSF", 6, (3, 3), (64, 128), 8, hidden=96, vision=False,
                             key_is_value=False, softcap=None, saved=torch.bfloat16),
    # More than 2^16 ids, one KV head everywhere, no ears.
    "wide_vocabulary": Shape("SF", 2, (1, 1), (16, 32), 16, vocabulary=70000, hidden=40,
                             audio=False, suppress=False, saved=torch.bfloat16),
    # The published pattern in small: five sliding layers and a full one, 16 heads on 8 and 1.
    "published_pattern": Shape("SSSSSF", 16, (8, 1), (16, 32), 24, hidden=80, positions=40,
                               saved=torch.bfloat16),
    # The heads of the 12B on a narrow stream, and a prompt of several windows.
    "published_heads": Shape("SSF", 16, (8, 1), (256, 512), 40, long_prompt=210, keys=0.12,
                             saved=torch.bfloat16),
}


def make_config(shape):
    first_special = shape.vocabulary - len(SPECIALS)
    text = Gemma4UnifiedTextConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=2 * shape.hidden,
        num_hidden_layers=len(shape.layers), layer_types=layer_types(shape.layers),
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads[0],
        num_global_key_value_heads=shape.kv_heads[1], head_dim=shape.head_dims[0],
        global_head_dim=shape.head_dims[1], attention_k_eq_v=shape.key_is_value,
        sliding_window=shape.window, max_position_embeddings=4096,
        final_logit_softcapping=shape.softcap)
    vision = Gemma4UnifiedVisionConfig(mm_embed_dim=48, output_proj_dims=48,
                                       mm_posemb_size=shape.positions) if shape.vision else None
    audio = Gemma4UnifiedAudioConfig() if shape.audio else None
    return Gemma4UnifiedConfig(text_config=text, vision_config=vision, audio_config=audio,
                               **{name: first_special + i for i, name in enumerate(SPECIALS)})


@torch.no_grad()
def randomise(model, shape, generator):
    """Weights that make every term of the forward pass matter; norms and scalars are not ones."""
    def normal(tensor, deviation, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * deviation + mean)

    for name, tensor in model.named_buffers():
        if name.endswith("layer_scalar"):
            tensor.copy_(0.4 + torch.rand(tensor.shape, generator=generator))
    for name, tensor in model.named_parameters():
        if "q_norm" in name:
            normal(tensor, 0.2, 1.0)
        elif "k_norm" in name:  # scores are not scaled; the published weights do it here
            normal(tensor, 0.3 * shape.keys, shape.keys)
        elif "norm.weight" in name or "layernorm.weight" in name or "_ln" in name and tensor.dim() == 1:
            normal(tensor, 0.5, 0.0 if "bias" in name else 1.0)
        elif "pos_embedding" in name:
            normal(tensor, 0.5)
        elif "embed_tokens" in name or "lm_head" in name:
            normal(tensor, 1.0 / tensor.shape[1] ** 0.5)
        elif tensor.dim() == 2:
            normal(tensor, 1.5 / tensor.shape[1] ** 0.5)
        elif "bias" in name:
            normal(tensor, 0.3)


def save_tokenizer(folder):
    """The smallest of Gemma's kind: bytes and single letters. The tests speak in ids."""
    base = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = {token: id for id, token in enumerate(base + ["\u2581", "a", "b"])}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=[], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "),
                                           decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(folder / "tokenizer.json"))


class Prompt:
    """Parts in order: ids, audio patches, pictures. Builds what transformers takes."""

    def __init__(self, config, generator):
        self.config, self.generator = config, generator
        self.ids, self.types, self.parts = [], [], []
        self.audio, self.images, self.frames = [], [], []

    def text(self, count):
        usable = self.config.text_config.vocab_size - len(SPECIALS)
        ids = torch.randint(3, usable, (count,), generator=self.generator).tolist()
        return self.tokens(ids)

    def tokens(self, ids):
        self.ids += ids
        self.types += [0] * len(ids)
        self.parts.append({"ids": ids})
        return self

    def hear(self, patches):
        samples = torch.randn((patches, 640), generator=self.generator)
        samples *= torch.rand((patches, 1), generator=self.generator) * 0.3
        samples[-1, 300:] = 0.0  # a padded last patch
        return self.add_audio(samples)

    def add_audio(self, samples):
        patches = len(samples)
        self.ids += [self.config.audio_token_id] * patches
        self.types += [3] * patches
        self.audio.append(samples)
        self.parts.append({"audio": len(self.audio) - 1})
        return self

    def see(self, columns, rows, video=False):
        count = columns * rows
        pixels = torch.randint(0, 256, (count, 6912), generator=self.generator).to(torch.uint8)
        pixels //= torch.randint(1, 5, (count, 1), generator=self.generator).to(torch.uint8)
        places = torch.tensor([[x, y] for y in range(rows) for x in range(columns)])
        return self.add_picture(pixels, places, video)

    def add_picture(self, pixels, places, video=False):
        count, (columns, rows) = len(pixels), (places.max(0).values + 1).tolist()
        pictures = self.frames if video else self.images
        self.ids += [self.config.video_token_id if video else self.config.image_token_id] * count
        self.types += [2 if video else 1] * count
        pictures.append((pixels, places))
        self.parts.append({"video" if video else "image": len(pictures) - 1, "columns": columns,
                           "rows": rows})
        return self

    @staticmethod
    def padded(pictures):
        most = max(len(pixels) for pixels, _ in pictures)
        values = torch.zeros(len(pictures), most, 6912)
        places = torch.full((len(pictures), most, 2), -1)
        for i, (pixels, where) in enumerate(pictures):
            values[i, :len(pixels)] = pixels.float() * 0.00392156862745098
            places[i, :len(pixels)] = where
        return values, places

    def inputs(self):
        inputs = {"input_ids": torch.tensor([self.ids]),
                  "mm_token_type_ids": torch.tensor([self.types])}
        if self.images:
            inputs["pixel_values"], inputs["image_position_ids"] = self.padded(self.images)
        if self.frames:
            values, places = self.padded(self.frames)
            inputs["pixel_values_videos"] = values.unsqueeze(0)
            inputs["video_position_ids"] = places.unsqueeze(0)
        if self.audio:
            most = max(len(samples) for samples in self.audio)
            features = torch.zeros(len(self.audio), most, 640)
            valid = torch.zeros(len(self.audio), most, dtype=torch.bool)
            for i, samples in enumerate(self.audio):
                features[i, :len(samples)] = samples
                valid[i, :len(samples)] = True
            inputs["input_features"], inputs["input_features_mask"] = features, valid
        return inputs


def prompts(shape, config, generator):
    """Names and prompts; called again with the same generator they are others."""
    def new():
        return Prompt(config, generator)

    boi, eoi, boa, eoa = ([config.boi_token_id], [config.eoi_token_id], [config.boa_token_id],
                          [config.eoa_token_index])
    yield "text", new().tokens([2]).text(40)
    if shape.long_prompt:
        yield "long_text", new().tokens([2]).text(shape.long_prompt)
    if shape.vision:
        yield "image", new().tokens([2] + boi).see(4, 3).tokens(eoi).text(9)
        yield "images", (new().text(3).tokens(boi).see(7, 5).tokens(eoi).text(4).tokens(boi)
                         .see(2, 2).tokens(eoi + boi).see(1, 6).tokens(eoi).text(2))
        yield "video", (new().text(5).tokens(boi).see(3, 2, True).tokens(eoi).text(6).tokens(boi)
                        .see(3, 2, True).tokens(eoi).text(6).tokens(boi).see(3, 2, True)
                        .tokens(eoi).text(3))
    if shape.audio:
        yield "audio", new().text(8).tokens(boa).hear(25).tokens(eoa).text(4)
        yield "audios", (new().text(2).tokens(boa).hear(9).tokens(eoa).text(4).tokens(boa).hear(3)
                         .tokens(eoa).text(2))
    if shape.vision and shape.audio:
        yield "mixture", (new().tokens([2] + boi).see(3, 3).tokens(eoi).text(3).tokens(boi)
                          .see(2, 3, True).tokens(eoi).text(5).tokens(boa).hear(11).tokens(eoa)
                          .text(6))


def full_causal_masks(model, inputs):
    """Variant (a) of reference model.md 2.5, as transformers builds it for compiled caches."""
    ids = inputs["input_ids"]
    types = inputs["mm_token_type_ids"]
    text = model.config.get_text_config()
    return modeling.create_masks_for_vision_model(
        config=text, inputs_embeds=torch.zeros(*ids.shape, text.hidden_size, dtype=model.dtype),
        attention_mask=None, past_key_values=None,
        position_ids=torch.arange(ids.shape[1]).unsqueeze(0),
        block_sequence_ids=modeling.get_block_sequence_ids_for_mask(types, ids.device))


@torch.no_grad()
def logits_of(model, inputs, attention="eager", masks=None):
    model.set_attn_implementation(attention)
    cast = {name: value.to(model.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()}
    if masks:
        cast["attention_mask"] = masks(model, inputs)
    return model(**cast, use_cache=False).logits[0].float().contiguous()


@torch.no_grad()
def greedy(model, inputs, count=GREEDY_TOKENS):
    """The tokens, and the least relative margin by which one was chosen."""
    model.set_attn_implementation("sdpa")
    out = model.generate(**inputs, max_new_tokens=count, do_sample=False,
                         return_dict_in_generate=True, output_scores=True)
    scores = torch.stack(out.scores)[:, 0]
    best = scores.topk(2, dim=-1).values
    finite = scores[torch.isfinite(scores)].abs().max()
    return (out.sequences[0, inputs["input_ids"].shape[1]:].tolist(),
            float(((best[:, 0] - best[:, 1]) / finite).min()))


def make_cases(shape, model, halved, generator):
    tensors, cases = {}, []
    names = [name for name, _ in prompts(shape, model.config, torch.Generator().manual_seed(0))]
    for name in names:
        for _ in range(50):
            prompt = dict(prompts(shape, model.config, generator))[name]
            inputs = prompt.inputs()
            tokens, margin = greedy(model, inputs)
            if margin > LEAST_MARGIN and len(tokens) == GREEDY_TOKENS:
                break
        else:
            raise SystemExit(f"{name}: no prompt whose greedy tokens are beyond doubt")
        eager = logits_of(halved, inputs, "eager")
        gap = float((eager - logits_of(halved, inputs, "sdpa")).abs().max())
        cases.append({"name": name, "parts": prompt.parts, "ids": prompt.ids, "greedy": tokens,
                      "margin": margin, "bfloat16_gap": gap})
        tensors[f"{name}.logits"] = logits_of(model, inputs)
        tensors[f"{name}.logits_full_causal"] = logits_of(model, inputs, "eager",
                                                          full_causal_masks)
        tensors[f"{name}.logits_bfloat16"] = eager
        for kind, pictures in (("image", prompt.images), ("video", prompt.frames)):
            for i, (pixels, _) in enumerate(pictures):
                tensors[f"{name}.{kind}.{i}"] = pixels.float()
        for i, samples in enumerate(prompt.audio):
            tensors[f"{name}.audio.{i}"] = samples
    return cases, tensors


def make_checkpoint(folder, name, shape):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(sum(name.encode()))
    torch.manual_seed(0)
    config = make_config(shape)
    model = Gemma4UnifiedForConditionalGeneration(config)
    randomise(model, shape, generator)
    suppressed = [config.eoa_token_index, config.eoi_token_id, 1] if shape.suppress else None
    model.generation_config = GenerationConfig(eos_token_id=[1, 106], pad_token_id=0,
                                               suppress_tokens=suppressed)
    model.to(shape.saved).save_pretrained(
        folder, **({"max_shard_size": shape.shard} if shape.shard else {}))
    save_tokenizer(folder)
    whole, halved = (Gemma4UnifiedForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
                     for dtype in (torch.float32, torch.bfloat16))
    cases, tensors = make_cases(shape, whole, halved, generator)
    save_file(tensors, folder / "cases.safetensors")
    (folder / "cases.json").write_text(json.dumps({"cases": cases}))
    for case in cases:
        print(f"{name}: {case['name']}: {len(case['ids'])} positions, {len(set(case['greedy']))} "
              f"distinct greedy tokens, margin {case['margin']:.1e}, "
              f"eager and sdpa in bfloat16 {case['bfloat16_gap']:.1e} apart", flush=True)


def main():
    torch.set_num_threads(1)  # so small that a second thread only waits
    transformers.logging.set_verbosity_error()
    folder = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or SHAPES:
        make_checkpoint(folder / name, name, SHAPES[name])


if __name__ == "__main__":
    main()
