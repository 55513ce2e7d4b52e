"""Texts and what Hugging Face `tokenizers` makes of them, for test_tokenizer_parity.cc.

    make_tokenizer_cases.py small OUT    the demo checkpoint's tokenizer and small ones of every kind
    make_tokenizer_cases.py gemma3 OUT   the full-size Gemma 3 tokenizer, if it has been fetched

OUT/NAME/tokenizer.json is the tokenizer, OUT/NAME/cases.bin what is expected of it: little-endian
uint32 counts before byte strings and id lists,
    number of texts, then of each: bytes, ids, ids without special tokens recognised
    number of decodes, then of each: ids, text without special tokens, text with them."""

import copy
import json
import pathlib
import random
import shutil
import struct
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import tokenizer_strings as strings

ROOT = pathlib.Path(__file__).resolve().parents[2]
GEMMA3 = ROOT / "build/test-data/gemma3-tokenizer.json"
DEMO = ROOT / "assets/demo-model/tokenizer.json"
TEXTS = 24000       # for a tokenizer that people use
TEXTS_SMALL = 3000  # for a small one that tries one setting
MARKERS = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", '<|"|>',
           "<|audio>", "<|audio|>", "<audio|>"]
SKIPPED = 77


def packed(data):
    return struct.pack("<I", len(data)) + data


def packed_ids(ids):
    return struct.pack(f"<I{len(ids)}I", len(ids), *ids)


def texts(tokenizer, count, rng):
    added = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
    tokens = sorted(tokenizer.get_vocab())
    out = [b"", b" ", b"\n", "▁".encode(), b"\xff"]
    for token in added:
        out.append(strings.around(rng, token, added))
    while len(out) < count:
        out.append(rng.choice(strings.GENERATORS)(rng, tokens))
    return out


def id_lists(tokenizer, encoded, rng):
    """Ids as a model might write them: also byte tokens in any order, special ones in between."""
    size = tokenizer.get_vocab_size()
    byte_ids = [i for i in map(tokenizer.token_to_id, (f"<0x{b:02X}>" for b in range(256))) if i is not None]
    out = [ids for ids in encoded if rng.random() < 0.2]
    for _ in range(len(encoded) // 5):
        pool = rng.choice([range(size), byte_ids or range(size), [*(byte_ids or [5])[:140], *range(20)]])
        out.append(rng.choices(pool, k=rng.randrange(1, 30)))
    for text in (strings.emoji(rng, None).decode() for _ in range(200 if byte_ids else 0)):
        ids = [byte_ids[b] for b in text.encode()]
        for _ in range(rng.randrange(3)):
            ids.insert(rng.randrange(len(ids) + 1), rng.randrange(size + 3))
        out.append(ids)
    return out


def write_cases(folder, text, count):
    tokenizer = Tokenizer.from_str(text)
    rng = random.Random(f"{folder.name} {count}")
    sources = texts(tokenizer, count, rng)
    decoded = [source.decode("utf-8", errors="replace") for source in sources]
    ids = [e.ids for e in tokenizer.encode_batch(decoded, add_special_tokens=False)]
    tokenizer.encode_special_tokens = True
    plain = [e.ids for e in tokenizer.encode_batch(decoded, add_special_tokens=False)]
    tokenizer.encode_special_tokens = False
    lists = id_lists(tokenizer, ids, rng)
    out = [struct.pack("<I", len(sources))]
    for source, one, two in zip(sources, ids, plain):
        out += [packed(source), packed_ids(one), packed_ids(two)]
    out.append(struct.pack("<I", len(lists)))
    for one in lists:
        out += [packed_ids(one), packed(tokenizer.decode(one, skip_special_tokens=True).encode()),
                packed(tokenizer.decode(one, skip_special_tokens=False).encode())]
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(text)
    (folder / "cases.bin").write_bytes(b"".join(out))
    print(f"{folder.name}: {len(sources)} texts, {len(lists)} decodes")


def trained():
    """A small BPE with the settings of Gemma's, as a JSON document."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = [*MARKERS, "\n", "\n\n", "\n\n\n", "▁▁", *(f"<0x{b:02X}>" for b in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    lines = [line for text in strings.SENTENCES + strings.CODE for line in text.split("\n")]
    tokenizer.train_from_iterator(lines * 3, trainer)
    document = json.loads(tokenizer.to_str())
    document["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "},
                                 "behavior": "MergedWithPrevious", "invert": False}
    document["decoder"] = json.loads(decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]).__getstate__())
    document["added_tokens"] = [{**token, "special": token["content"] in MARKERS}
                                for token in document["added_tokens"] if not token["content"].startswith("<0x")]
    return document


def variants(base):
    """Name and document of a tokenizer for every setting that is supported."""
    def changed(name, change):
        document = copy.deepcopy(base)
        change(document, document["model"], document["added_tokens"])
        return name, json.dumps(document, ensure_ascii=name == "plain")

    def flag(content, **flags):
        def change(_, __, added):
            for token in added:
                if token["content"] in content:
                    token.update(flags)
        return change

    def add(document, model, added):
        # The last ones look like byte tokens, or almost.
        for i, content in enumerate(["<soft token>", "▁x", "tr ain", "é", "<0xc3>", "<0x+9>", "<0xA >",
                                     "<0x-1>", "<0xG0>"]):
            added.append({"id": len(model["vocab"]) + i, "content": content, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": i > 0, "special": i == 0})

    def text_merges(_, model, __):
        model["merges"] = [" ".join(pair) for pair in model["merges"]]

    def no_bytes(_, model, __):
        model.update(byte_fallback=False, fuse_unk=False)

    def merge_twice(_, model, __):
        model["merges"] += model["merges"][:40]

    yield changed("plain", lambda *_: None)
    yield changed("no_pre_tokenizer", lambda document, *_: document.update(pre_tokenizer=None))
    yield changed("text_merges", text_merges)
    yield changed("ignore_merges", lambda _, model, __: model.update(ignore_merges=True))
    yield changed("unknown_fused", lambda _, model, __: model.update(byte_fallback=False))
    yield changed("unknown_apart", no_bytes)
    yield changed("stripped_left", flag(MARKERS, lstrip=True))
    yield changed("stripped_right", flag(MARKERS + ["\n"], rstrip=True))
    yield changed("stripped_both", flag(MARKERS, lstrip=True, rstrip=True, normalized=True))
    yield changed("normalized", flag(["\n\n", "▁▁", "<|turn>"], normalized=True))
    yield changed("added", add)
    yield changed("merge_twice", merge_twice)
    name, text = changed("token_twice", lambda *_: None)
    # A string with two ids: the last one counts. json cannot write it, so the text is edited.
    vocabulary = base["model"]["vocab"]
    last = max(vocabulary.values())
    yield name, text.replace('"vocab": {', f'"vocab": {{"e": {last + 1}, ', 1)


def main():
    kind, out = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if kind == "gemma3":
        if not GEMMA3.exists():
            reason = f"{GEMMA3} is not there: run tools/fetch_test_data"
            (out / "skipped.txt").write_text(reason)
            print(reason)
            sys.exit(SKIPPED)
        write_cases(out / "gemma3", GEMMA3.read_text(), TEXTS)
        return
    if DEMO.exists():
        write_cases(out / "demo", DEMO.read_text(), TEXTS)
    base = trained()
    for name, text in variants(base):
        write_cases(out / name, text, TEXTS if name == "plain" else TEXTS_SMALL)


main()
