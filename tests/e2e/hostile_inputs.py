"""Configurations, checkpoints and media that nobody should be able to do harm with.

Each function fills a folder and returns what must come of each input. Deterministic; standard
library only.
"""

import json
import os
import pathlib
import random
import shutil
import struct

# What `captiond transcribe` may do with a file: fail with one sentence, or find nothing in it.
FAILS, SILENT, EITHER = "fails", "silent", "either"


def wav(rate=16000, channels=1, bits=16, data=b"", size=None, code=1):
    """A WAV file with the header fields as they are given, sensible or not."""
    align = channels * bits // 8
    fields = struct.pack("<HHIIHH", code, channels, rate, rate * align & 0xFFFFFFFF,
                         align & 0xFFFF, bits)
    size = len(data) if size is None else size
    return (b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt " +
            struct.pack("<I", 16) + fields + b"data" + struct.pack("<I", size) + data)


def media(folder, recording):
    """Writes media files made from `recording` (FLAC) or from nothing. Returns name → outcome."""
    noise = random.Random(3)
    flac = recording.read_bytes()
    spoiled = bytearray(flac)
    for _ in range(200):
        spoiled[noise.randrange(5000, len(flac))] ^= 1 << noise.randrange(8)
    quiet = bytes(64000)
    nan = struct.pack("<f", float("nan")) * 16000
    files = {
        "empty.wav": (b"", FAILS),
        "text.wav": (b"this is a text, whatever its name says\n" * 20, FAILS),
        "noise.mp4": (noise.randbytes(50000), FAILS),
        "zeros.mp3": (bytes(50000), FAILS),
        "header_alone.wav": (wav(), FAILS),
        "half_a_header.wav": (wav()[:20], FAILS),
        "no_rate.wav": (wav(rate=0, data=quiet), FAILS),
        "no_channels.wav": (wav(channels=0, data=quiet), FAILS),
        "absurd_rate.wav": (wav(rate=0xFFFFFFFF, data=quiet), EITHER),
        "absurd_channels.wav": (wav(channels=0xFFFF, data=quiet), EITHER),
        "three_bits.wav": (wav(bits=3, data=quiet), EITHER),
        "longer_than_it_is.wav": (wav(data=quiet, size=0xFFFFFFF0), SILENT),
        "unknown_codec.wav": (wav(code=0x7777, data=quiet), FAILS),
        "not_a_number.wav": (wav(bits=32, code=3, data=nan), EITHER),
        "silence.wav": (wav(data=quiet), SILENT),
        "truncated.flac": (flac[:3000], EITHER),
        "flac_without_header.flac": (flac[200:], EITHER),
        "spoiled.flac": (bytes(spoiled), EITHER),
        "picture.png": (b"\x89PNG\r\n\x1a\n" + noise.randbytes(2000), FAILS),
        "itself.m3u8": (b"#EXTM3U\n#EXTINF:10,\nitself.m3u8\n", FAILS),
        "elsewhere.m3u8": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", FAILS),
        "new\nline\x1b[2J.wav": (b"text again\n" * 20, FAILS),
    }
    outcomes = {}
    for name, (content, outcome) in files.items():
        (folder / name).write_bytes(content)
        outcomes[name] = outcome
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "fifo.wav")
    (folder / "device.wav").symlink_to("/dev/zero")
    (folder / "loop.wav").symlink_to("loop.wav")
    for name in ("folder.wav", "fifo.wav", "device.wav", "loop.wav", "absent.wav"):
        outcomes[name] = FAILS
    return outcomes


def split_safetensors(file):
    """The header (a dict) and the number of bytes after it."""
    with open(file, "rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        return json.loads(stream.read(length)), os.path.getsize(file) - 8 - length


def write_safetensors(file, header, data_bytes, length=None):
    """A file with `header` and a hole of `data_bytes` zeros, which takes no room."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(file, "wb") as stream:
        stream.write(struct.pack("<Q", len(text) if length is None else length) + text)
        stream.truncate(stream.tell() + data_bytes)


def checkpoints(folder, model):
    """Writes spoiled copies of the checkpoint `model`; every one must be refused. Returns names."""
    header, data_bytes = split_safetensors(model / "model.safetensors")
    names = [name for name in header if name != "__metadata__"]
    config = json.loads((model / "config.json").read_text())

    def copy(name):
        target = folder / name
        target.mkdir()
        for file in ("config.json", "generation_config.json", "tokenizer.json"):
            shutil.copy(model / file, target)
        write_safetensors(target / "model.safetensors", header, data_bytes)
        return target

    def tensors(name, change):
        changed = json.loads(json.dumps(header))
        change(changed)
        write_safetensors(copy(name) / "model.safetensors", changed, data_bytes)

    def text(name, file, content):
        (copy(name) / file).write_bytes(content)

    def configured(name, change):
        changed = json.loads(json.dumps(config))
        change(changed)
        text(name, "config.json", json.dumps(changed).encode())

    (folder / "empty").mkdir()
    (folder / "a_file").write_text("no folder")
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (copy("without_" + file) / file).unlink()
    text("config_is_no_json", "config.json", b"{")
    text("config_is_deep", "config.json", b"[" * 100000)
    text("config_is_no_text", "config.json", bytes(range(256)))
    text("tokenizer_is_no_json", "tokenizer.json", b"\0" * 1000)
    text("tokenizer_is_empty", "tokenizer.json", b"{}")
    configured("other_model", lambda c: c.update(model_type="llama"))
    configured("no_layers", lambda c: c["text_config"].update(layer_types=[]))
    configured("negative_size", lambda c: c["text_config"].update(hidden_size=-1))
    configured("huge_size", lambda c: c["text_config"].update(hidden_size=2**62))
    configured("no_heads", lambda c: c["text_config"].update(num_attention_heads=0))
    write_safetensors(copy("header_beyond_the_file") / "model.safetensors", header, 0, 2**40)
    write_safetensors(copy("header_without_end") / "model.safetensors", header, 0, 2**63)
    write_safetensors(copy("header_is_no_json") / "model.safetensors", b"{" * 1000, data_bytes)
    write_safetensors(copy("data_cut") / "model.safetensors", header, data_bytes // 2)
    (copy("weights_are_empty") / "model.safetensors").write_bytes(b"")
    tensors("tensor_missing", lambda h: h.pop(names[0]))
    tensors("tensor_unknown", lambda h: h.update(more=dict(h[names[0]])))
    tensors("tensor_of_another_type", lambda h: h[names[0]].update(dtype="I64"))
    tensors("tensor_of_another_shape", lambda h: h[names[0]]["shape"].append(1))
    tensors("tensors_overlap", lambda h: h[names[1]].update(data_offsets=h[names[0]]["data_offsets"]))
    tensors("tensor_beyond_the_file",
            lambda h: h[names[0]].update(data_offsets=[2**60, 2**60 + 2]))
    return sorted(each.name for each in folder.iterdir())


def configs(folder, model, recording):
    """Writes configurations that must be refused. Returns their names."""
    stream = f"streams: [{{id: a, uri: '{recording}', pace: fast}}]\n"
    good = f"engine: {{model: '{model}'}}\nexit_when_done: true\n"
    laughs = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join('*' + a for _ in range(9))}]\n"
        for a, b in zip("abcdefghijklmnop", "bcdefghijklmnopq"))
    (folder / "precious").write_text("a file that must stay")
    texts = {
        "empty.yaml": "",
        "zeros.yaml": "\0" * 100,
        "no_text.yaml": bytes(range(128, 256)),
        "deep.yaml": "{a: " * 100000,
        "laughs.yaml": laughs,
        "long.yaml": "# " + "x" * 5_000_000,
        "unknown_key.yaml": good + "verbose: true\n" + stream,
        "repeated_key.yaml": good + stream + stream,
        "wrong_type.yaml": good + stream + "stop_timeout: [4s]\n",
        "out_of_range.yaml": good + stream + "stop_timeout: 9999999h\n",
        "no_streams.yaml": good,
        "same_id.yaml": good + "streams: [{id: a, uri: a.wav}, {id: a, uri: b.wav}]\n",
        "id_with_slash.yaml": good + "streams: [{id: a/b, uri: a.wav}]\n",
        "id_with_escape.yaml": good + "streams: [{id: \"a\\e[2J\", uri: a.wav}]\n",
        "no_model.yaml": "engine: {model: /nowhere}\n" + stream,
        "port_of_nobody.yaml": good + stream + "publisher: {endpoint: 'tcp://127.0.0.1:99999'}\n",
        "no_protocol.yaml": good + stream + "publisher: {endpoint: 'http://127.0.0.1:80'}\n",
    }
    # These look right; only a start finds out.
    starts = {
        "address_of_another.yaml":
            good + stream + "publisher: {endpoint: 'tcp://192.0.2.1:5580'}\n",
        "path_of_nobody.yaml":
            good + stream + f"publisher: {{endpoint: 'ipc://{folder}/absent/socket'}}\n",
        "path_of_a_file.yaml":
            good + stream + f"publisher: {{endpoint: 'ipc://{folder}/precious'}}\n",
    }
    for name, text in {**texts, **starts}.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    os.mkfifo(folder / "fifo.yaml")
    (folder / "folder.yaml").mkdir()
    return sorted(texts) + ["fifo.yaml", "folder.yaml", "absent.yaml"], sorted(starts)
