"""Has transformers save small random checkpoints in the ways that it knows, for
test_saved_checkpoints.

    make_saved_checkpoints.py FOLDER

FOLDER/NAME is a folder as save_pretrained writes it. expected.json and expected.bin beside it hold
what transformers itself has in memory: each tensor under its published name with shape, dtype and
bytes, the heads of each layer, and the rotary frequencies of each layer type. Deterministic.
"""
import copy
import json
import pathlib
import shutil
import sys

import torch
from transformers import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration

VOCABULARY = 300
SPECIALS = ("image_token_id", "audio_token_id", "video_token_id", "boi_token_id", "eoi_token_id",
            "boa_token_id", "eoa_token_index")
SLIDING, FULL = "sliding_attention", "full_attention"


def make_model(vision=True, audio=True, dtype=torch.float32, **changes):
    text = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 3, "layer_types": [SLIDING, SLIDING, FULL],
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 16,
        "num_global_key_value_heads": 1, "attention_k_eq_v": True, "sliding_window": 8,
        "final_logit_softcapping": 30.0, "max_position_embeddings": 512, **changes}
    config = Gemma4UnifiedConfig(
        text_config=text,
        vision_config={"mm_embed_dim": 24, "output_proj_dims": 24, "mm_posemb_size": 10}
        if vision else None,
        audio_config={} if audio else None,
        **{key: VOCABULARY - 1 - i for i, key in enumerate(SPECIALS)})
    torch.manual_seed(7)
    model = Gemma4UnifiedForConditionalGeneration(config)
    ropes = copy.deepcopy(model.model.language_model.rotary_emb)
    model.to(dtype)
    # to() rounds the rotary frequencies too, which loading in that dtype does not.
    model.model.language_model.rotary_emb = ropes
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return model


def published(name):
    """The name in Google's checkpoint, by the model card's list and not by any program's table."""
    old = name.replace("model.embed_vision.multimodal_embedder.", "model.embed_vision.")
    if old != name or not name.startswith("model.embed_vision."):
        return old
    return name.replace("model.embed_vision.", "model.vision_embedder.")


def write_expected(model, folder):
    tensors, data = [], b""
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":  # tied
            continue
        raw = tensor.contiguous().view(torch.uint8).numpy()
        tensors.append({"name": published(name), "shape": list(tensor.shape),
                        "dtype": str(tensor.dtype).removeprefix("torch."), "offset": len(data)})
        data += raw.tobytes()
    text = model.model.language_model
    layers = []
    for layer, kind in zip(text.layers, text.config.layer_types):
        attention = layer.self_attn
        layers.append({"type": kind, "head_dim": attention.head_dim,
                       "kv_heads": attention.k_proj.out_features // attention.head_dim,
                       "value_is_key": attention.v_proj is None})
    ropes = {kind: getattr(text.rotary_emb, f"{kind}_inv_freq").tolist()
             for kind in set(text.config.layer_types)}
    (folder / "expected.json").write_text(json.dumps(
        {"tensors": tensors, "layers": layers, "inv_freq": ropes,
         "vision": model.config.vision_config is not None,
         "audio": model.config.audio_config is not None}))
    (folder / "expected.bin").write_bytes(data)


def as_published(folder):
    """Rewrites config.json from transformers' per_layer_config to Google's two keys."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    overrides = config["text_config"].pop("per_layer_config")
    last = overrides[max(overrides, key=int)]
    config["text_config"]["global_head_dim"] = last["head_dim"]
    # Without attention_k_eq_v this key is there and means nothing.
    config["text_config"]["num_global_key_value_heads"] = last.get("num_key_value_heads", 1)
    path.write_text(json.dumps(config))


def main():
    root = pathlib.Path(sys.argv[1])
    shutil.rmtree(root, ignore_errors=True)

    def save(name, model, rewrite=None, **how):
        folder = root / name
        model.save_pretrained(folder, **how)
        if rewrite:
            rewrite(folder)
            model = Gemma4UnifiedForConditionalGeneration.from_pretrained(folder, dtype="auto")
        write_expected(model, folder)

    save("float32", make_model())
    save("bfloat16", make_model(dtype=torch.bfloat16))
    save("newer_names", make_model(), save_original_format=False)
    save("shards", make_model(dtype=torch.bfloat16), max_shard_size="20KB")
    save("newer_names_in_shards", make_model(), max_shard_size="50KB", save_original_format=False)
    save("no_vision", make_model(vision=False))
    save("no_audio", make_model(audio=False))
    save("text_only", make_model(vision=False, audio=False))
    save("separate_values", make_model(attention_k_eq_v=False))
    save("same_heads", make_model(global_head_dim=8, num_global_key_value_heads=2))
    save("fewer_heads_only", make_model(global_head_dim=8))
    save("all_full", make_model(layer_types=[FULL] * 3))
    save("default_layers", make_model(layer_types=None, num_hidden_layers=12, head_dim=20))
    save("published_keys", make_model(), rewrite=as_published)
    save("published_keys_separate_values", make_model(attention_k_eq_v=False), rewrite=as_published)
    save("other_ropes", make_model(global_head_dim=26, rope_parameters={
        SLIDING: {"rope_type": "proportional", "rope_theta": 5e4, "partial_rotary_factor": 0.5},
        FULL: {"rope_type": "proportional", "rope_theta": 3e5, "partial_rotary_factor": 0.3,
               "factor": 4.0}}))


main()
