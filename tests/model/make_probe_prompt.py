"""Makes a prompt of WAV and PNG files for captiond-probe, and what transformers computes with it.

    make_probe_prompt.py CHECKPOINT FOLDER

CHECKPOINT is one of make_parity_checkpoints.py. FOLDER gets prompt.json with its media and
expected.json and expected.safetensors. Deterministic.
"""
import json
import pathlib
import struct
import sys
import wave

import numpy
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer

import make_image_cases
import make_parity_checkpoints as parity

GENERATED = 12


def write_pcm(file, samples):
    whole = numpy.clip(numpy.round(samples * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(whole.tobytes())
    return whole.astype(numpy.float32) / 32768


def write_float(file, samples):
    """With a chunk of odd length in front of the data, as recorders leave there."""
    data = samples.astype("<f4").tobytes()
    body = (b"WAVE" + b"fmt " + struct.pack("<IHHIIHH", 16, 3, 1, 16000, 64000, 4, 32) +
            b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"data" + struct.pack("<I", len(data)) + data)
    file.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return samples.astype(numpy.float32)


def write_pictures(folder, random):
    """One of each usual kind of PNG; what Pillow's convert("RGB") makes of them is the truth."""
    noise = random.integers(0, 256, (90, 130, 4), dtype=numpy.uint8)
    smooth = numpy.stack([numpy.add.outer(numpy.arange(200), numpy.arange(150)) * k % 256
                          for k in (1, 2, 3)], -1).astype(numpy.uint8)
    pictures = {
        "rgb": Image.fromarray(smooth),
        "rgba": Image.fromarray(noise, "RGBA"),
        "grey": Image.fromarray(noise[:, :, 0]),
        "grey_alpha": Image.fromarray(noise[:, :, :2].copy(), "LA"),
        "palette": Image.fromarray(smooth).quantize(40),
        "bits": Image.fromarray(noise[:, :, 0] > 90),
    }
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png", **({"transparency": 3} if name == "palette" else {}))
    return {name: numpy.asarray(Image.open(folder / f"{name}.png").convert("RGB")).copy()
            for name in pictures}


def patches(picture, budget):
    height, width, _ = picture.shape
    new_width, new_height = make_image_cases.hugging_face_size(width, height, budget)
    pixels = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
    pixels = torch.nn.functional.interpolate(pixels, (new_height, new_width), mode="bicubic",
                                             antialias=True)[0]
    columns, rows = new_width // 48, new_height // 48
    cut = pixels.reshape(3, rows, 48, columns, 48).permute(1, 3, 2, 4, 0).reshape(-1, 6912)
    places = torch.tensor([[x, y] for y in range(rows) for x in range(columns)])
    return cut, places


def make_prompt(folder, config, tokenizer):
    random = numpy.random.default_rng(5)
    speech = write_pcm(folder / "speech.wav", random.normal(0, 0.1, 5000))
    music = write_float(folder / "music.wav", random.normal(0, 0.3, 1280))
    pictures = write_pictures(folder, random)
    parts = [{"ids": [2]}, {"image": "rgb.png", "budget": 70}, {"text": "ab a  b\n"},
             {"image": "rgba.png", "budget": 140}, {"audio": "speech.wav"}, {"text": "b"},
             {"image": "grey.png", "budget": 70}, {"image": "grey_alpha.png", "budget": 70},
             {"image": "palette.png", "budget": 70}, {"image": "bits.png", "budget": 70},
             {"audio": "music.wav"}, {"ids": [5, 6, 7]}]
    prompt = parity.Prompt(config, torch.Generator())
    for part in parts:
        if "ids" in part:
            prompt.tokens(part["ids"])
        elif "text" in part:
            prompt.tokens(tokenizer.encode(part["text"], add_special_tokens=False).ids)
        elif "audio" in part:
            samples = speech if part["audio"] == "speech.wav" else music
            padded = numpy.pad(samples, (0, -len(samples) % 640)).reshape(-1, 640)
            prompt.tokens([config.boa_token_id])
            prompt.add_audio(torch.from_numpy(padded))
            prompt.tokens([config.eoa_token_index])
        else:
            pixels, places = patches(pictures[part["image"].removesuffix(".png")], part["budget"])
            prompt.tokens([config.boi_token_id])
            prompt.add_picture(pixels, places)
            prompt.tokens([config.eoi_token_id])
    (folder / "prompt.json").write_text(json.dumps({"parts": parts}))
    return prompt


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    checkpoint, folder = map(pathlib.Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    model = parity.Gemma4UnifiedForConditionalGeneration.from_pretrained(
        checkpoint, dtype=torch.float32).eval()
    prompt = make_prompt(folder, model.config, Tokenizer.from_file(str(checkpoint / "tokenizer.json")))
    inputs = prompt.inputs()
    save_file({"logits": parity.logits_of(model, inputs),
               "logits_full_causal": parity.logits_of(model, inputs, "eager",
                                                      parity.full_causal_masks)},
              folder / "expected.safetensors")
    tokens, margin = parity.greedy(model, inputs, GENERATED)
    if margin <= parity.LEAST_MARGIN:
        raise SystemExit("the greedy tokens of the prompt are in doubt")
    (folder / "expected.json").write_text(json.dumps({"tokens": prompt.ids + tokens,
                                                      "positions": len(prompt.ids)}))
    print(f"{len(prompt.ids)} positions, margin {margin:.1e}")


if __name__ == "__main__":
    main()
