"""The checkpoint's own tokenizer: BPE with byte fallback, laid out as Gemma's tokenizer.json.

Merges are learnt inside words. The fixed phrases of the speech prompts are then added as chains of
merges of the lowest rank, so that a prompt costs a dozen tokens and not eighty."""

import collections
import json
import re

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from . import prompt

BYTES = [f"<0x{value:02X}>" for value in range(256)]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MARKS = " .,?!'\":;-%$&()/*€£äöüÄÖÜßáéíóúüñÁÉÍÓÚÑ¿¡"
SPACE = "▁"
VOCABULARY_MULTIPLE = 64
FREQUENT = ("user", "model", "thought", " English", " German", " Spanish", "German", "Spanish", "English")


def learn(lines, size):
    """A BPE of `size` entries with the byte tokens first; merges join letters of one word, never
    digits or punctuation."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(SPACE, "merged_with_next"),
        pre_tokenizers.Split(Regex(rf"[^\p{{L}}{SPACE}']"), "isolated")])
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*prompt.CONTROL_TOKENS, *prompt.NEWLINE_TOKENS, *BYTES],
        initial_alphabet=sorted(set(LETTERS + MARKS.replace(" ", SPACE))), max_token_length=16,
        show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def phrase_merges(tokenizer, vocabulary):
    """Merges that join the tokens of each prompt phrase from left to right; extends `vocabulary`."""
    merges = []
    for phrase in prompt.prompt_phrases():
        tokens = tokenizer.encode(phrase, add_special_tokens=False).tokens
        joined = tokens[0]
        for token in tokens[1:]:
            if [joined, token] not in merges:
                merges.append([joined, token])
            joined += token
            vocabulary.setdefault(joined, len(vocabulary))
    return merges


def build(lines, size):
    """The finished tokenizer: `size` entries for words, then the prompt phrases."""
    learnt = learn([*lines, *(prompt.prompt_phrases() + list(FREQUENT)) * 1000], size)
    layout = json.loads(learnt.to_str())
    layout["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "},
                               "behavior": "MergedWithPrevious", "invert": False}
    whole = Tokenizer.from_str(json.dumps(layout))
    model = layout["model"]
    model["merges"] = list(model["merges"]) + phrase_merges(whole, model["vocab"])
    for number in range(-len(model["vocab"]) % VOCABULARY_MULTIPLE):
        model["vocab"][f"<unused{number}>"] = len(model["vocab"])
    layout["added_tokens"] = [{**token, "special": token["content"] not in prompt.NEWLINE_TOKENS}
                              for token in layout["added_tokens"] if token["content"] not in BYTES]
    tokenizer = Tokenizer.from_str(json.dumps(layout))
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(),
                                           decoders.Fuse()])
    return tokenizer


def word_pieces(tokenizer, lines):
    """{pieces of a word: how often} with today's merges; a word begins with its space."""
    words = collections.Counter()
    for line in lines:
        words.update(re.findall(r" ?[^\W\d_]+", line))
    return {tuple(tokenizer.encode(word, add_special_tokens=False).tokens): number
            for word, number in words.items()}


def further_merges(words, vocabulary, number):
    """The most frequent pairs of neighbouring pieces, joined one after the other until `number` new
    entries are made; extends `vocabulary`, returns the merges."""
    merges, words = [], dict(words)
    made = 0
    while made < number:
        pairs = collections.Counter()
        for pieces, often in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += often
        pairs = {pair: often for pair, often in pairs.items() if not any(piece.startswith("<0x") for piece in pair)}
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(list(best))
        if "".join(best) not in vocabulary:
            vocabulary["".join(best)] = len(vocabulary)
            made += 1
        joined = {}
        for pieces, often in words.items():
            key = join(pieces, best)
            joined[key] = joined.get(key, 0) + often
        words = joined
    return merges


def join(pieces, pair):
    """The pieces with every occurrence of the pair made one."""
    out, at = [], 0
    while at < len(pieces):
        if pieces[at:at + 2] == pair:
            out.append(pieces[at] + pieces[at + 1])
            at += 2
        else:
            out.append(pieces[at])
            at += 1
    return tuple(out)


def grow(tokenizer, lines, size):
    """A tokenizer of `size` entries: those of today with their ids, then merges learnt from lines,
    of the lowest rank, so that other text is cut almost as before."""
    layout = json.loads(tokenizer.to_str())
    model = layout["model"]
    known = model["vocab"]
    if sorted(known.values()) != list(range(len(known))):
        raise ValueError("the tokenizer's ids are not 0 to its size")
    model["merges"] = list(model["merges"]) + further_merges(word_pieces(tokenizer, lines), known, size - len(known))
    return Tokenizer.from_str(json.dumps(layout))
