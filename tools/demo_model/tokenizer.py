"""The checkpoint's own tokenizer: BPE with byte fallback, laid out as Gemma's tokenizer.json.

Merges are learnt inside words. The fixed phrases of the speech prompts are then added as chains of
merges of the lowest rank, so that a prompt costs a dozen tokens and not eighty."""

import json

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
