"""`export`: a training checkpoint as a normal Hugging Face folder in bfloat16."""

import json
import pathlib

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from . import batches, prompt, shards, vision_network
from .network import Decoder, layer_kinds

FORMAT = {"format": "pt"}


def config_json(model, tokenizer):
    """config.json, with the keys of the published checkpoints."""
    token = tokenizer.token_to_id
    text = {
        "model_type": "gemma4_unified_text", "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": model["hidden"], "intermediate_size": model["inner"],
        "num_hidden_layers": model["layers"], "num_attention_heads": model["heads"],
        "num_key_value_heads": model["key_heads"],
        "num_global_key_value_heads": model["global_key_heads"],
        "head_dim": model["head_dim"], "global_head_dim": model["global_head_dim"],
        "attention_k_eq_v": True, "attention_bias": False, "attention_dropout": 0.0,
        "sliding_window": model["sliding_window"],
        "layer_types": layer_kinds(model["layers"], model["full_period"]),
        "max_position_embeddings": model["positions"], "rms_norm_eps": 1e-6,
        "hidden_activation": "gelu_pytorch_tanh", "final_logit_softcapping": model["logit_cap"],
        "num_kv_shared_layers": 0, "use_double_wide_mlp": False, "tie_word_embeddings": True,
        "enable_moe_block": False, "hidden_size_per_layer_input": 0,
        "use_bidirectional_attention": "vision", "use_cache": True, "initializer_range": 0.02,
        "pad_token_id": token("<pad>"), "eos_token_id": token("<eos>"), "bos_token_id": token("<bos>"),
        "dtype": "bfloat16",
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0,
                               "partial_rotary_factor": 0.25}}}
    audio = {"model_type": "gemma4_unified_audio", "audio_embed_dim": model["frame"],
             "audio_samples_per_token": model["frame"], "hidden_size": model["frame"],
             "output_proj_dims": model["frame"], "rms_norm_eps": 1e-6, "initializer_range": 0.02}
    return {
        "architectures": ["Gemma4UnifiedForConditionalGeneration"], "model_type": "gemma4_unified",
        "dtype": "bfloat16", "tie_word_embeddings": True, "initializer_range": 0.02,
        "eos_token_id": end_tokens(tokenizer),
        "image_token_id": token("<|image|>"), "audio_token_id": token("<|audio|>"),
        "video_token_id": token("<|video|>"), "boi_token_id": token("<|image>"),
        "eoi_token_id": token("<image|>"), "boa_token_id": token("<|audio>"),
        "eoa_token_index": token("<audio|>"),
        "text_config": text, "audio_config": audio,
        "vision_config": vision_network.config_json(model["vision"]) if "vision" in model else None}


def end_tokens(tokenizer):
    return [tokenizer.token_to_id(name) for name in ("<eos>", prompt.TURN_END, "<|tool_response>")]


def generation_json(tokenizer):
    token = tokenizer.token_to_id
    return {"bos_token_id": token("<bos>"), "pad_token_id": token("<pad>"),
            "eos_token_id": end_tokens(tokenizer), "do_sample": False,
            "suppress_tokens": [token("<audio|>"), token("<image|>")]}


def tokenizer_config_json():
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 2048,
            "padding_side": "left", "clean_up_tokenization_spaces": False,
            "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
            "mask_token": "<mask>"}


def published_tensors(network, model):
    """name -> bfloat16 tensor, as in the published checkpoints; layer scalars are one."""
    tensors = {name: parameter.detach().to(torch.bfloat16).contiguous()
               for name, parameter in network.published()}
    for layer in range(model["layers"]):
        tensors[f"model.language_model.layers.{layer}.layer_scalar"] = torch.ones(1, dtype=torch.bfloat16)
    return tensors


def write(config, network, tokenizer_path, folder):
    """Writes the folder: configuration, tokenizer and one safetensors file."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in (("config.json", config_json(config["model"], tokenizer)),
                          ("generation_config.json", generation_json(tokenizer)),
                          ("tokenizer_config.json", tokenizer_config_json())):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    save_file(published_tensors(network, config["model"]), folder / "model.safetensors", metadata=FORMAT)
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


def mix(config, parts, tokenizer_path, out):
    """Shards of the mean of several checkpoints; parts: FOLDER:SHARE each."""
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS))
    pairs = [(folder, float(share)) for folder, _, share in (part.rpartition(":") for part in parts)]
    shards.save(out, shards.mixed(pairs, network), {"mixed": parts})
    print(f"{out}: the mean of {len(pairs)} checkpoints")


def export(config, checkpoint, tokenizer_path, folder):
    """Shards of a training run -> Hugging Face folder."""
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    network = Decoder(config["model"], tokenizer.get_vocab_size(), len(batches.LETTERS))
    tensors, _ = shards.load(checkpoint, network)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    write(config, network, tokenizer_path, folder)
