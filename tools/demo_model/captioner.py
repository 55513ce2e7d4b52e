"""Transcripts and translations of a Hugging Face folder through transformers, with a KV cache.

Translation has both forms that captiond uses. One prompt: the published translation prompt, whose
answer is 'TRANSCRIPT\nGerman: TRANSLATION'. Follow-up turn: the transcription prompt and its answer
stay in the context; a second turn with the translation prompt follows, whose answer begins with that
transcript."""

import torch

from . import frames, prompt

BATCH = {"cpu": 8, "cuda": 64}
TOKENS_MAX = 120              # of a transcript
TOKENS_MAX_TRANSLATED = 240   # of a transcript and its translation


class Captioner:
    """A checkpoint as it lies, in float32 on a device; greedy answers."""

    def __init__(self, folder, language="English", device="cpu"):
        from transformers import AutoTokenizer, Gemma4UnifiedForConditionalGeneration
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.device = torch.device(device)
        model = Gemma4UnifiedForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model = model.eval().to(self.device)
        self.words = self.tokenizer.backend_tokenizer
        self.asked = prompt.transcription_tokens(self.words, language)
        self.audio_id, self.pad_id = model.config.audio_token_id, model.config.text_config.pad_token_id
        self.ends = {self.pad_id, self.words.token_to_id(prompt.TURN_END), self.tokenizer.eos_token_id}

    def inputs(self, recordings, asked):
        """Left-padded batch of int16 or float recordings at 16 kHz, each with the token ids (before
        its frames, after them) that it is asked with."""
        heard = [frames.cut(samples) for samples in recordings]
        rows = [before + [self.audio_id] * len(one) + after for one, (before, after) in zip(heard, asked)]
        width, longest = max(map(len, rows)), max(map(len, heard))
        ids = torch.full((len(rows), width), self.pad_id)
        features = torch.zeros(len(rows), longest, frames.FRAME)
        valid = torch.zeros(len(rows), longest, dtype=torch.bool)
        for number, (row, one) in enumerate(zip(rows, heard)):
            ids[number, width - len(row):] = torch.tensor(row)
            features[number, :len(one)] = torch.from_numpy(one)
            valid[number, :len(one)] = True
        attention = torch.arange(width)[None] >= width - torch.tensor([len(row) for row in rows])[:, None]
        inputs = {"input_ids": ids, "attention_mask": attention.long(), "input_features": features,
                  "input_features_mask": valid}
        return {name: value.to(self.device) for name, value in inputs.items()}

    @torch.inference_mode()
    def answer(self, recordings, asked, tokens_max):
        """Token ids of each answer without the end of the turn, in the order given."""
        order = sorted(range(len(recordings)), key=lambda number: len(recordings[number]))
        out, size = [[] for _ in recordings], BATCH[self.device.type]
        for at in range(0, len(order), size):
            part = order[at:at + size]
            inputs = self.inputs([recordings[number] for number in part], [asked[number] for number in part])
            written = self.model.generate(**inputs, do_sample=False, max_new_tokens=tokens_max)
            for number, ids in zip(part, written[:, inputs["input_ids"].shape[1]:].tolist()):
                end = next((place for place, one in enumerate(ids) if one in self.ends), len(ids))
                out[number] = ids[:end]
        return out

    def text(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def transcript_ids(self, recordings):
        """Token ids of the transcripts, in the order given."""
        return self.answer(recordings, [self.asked] * len(recordings), TOKENS_MAX)

    def transcribe(self, recordings):
        """Transcripts, in the order given."""
        return [self.text(ids) for ids in self.transcript_ids(recordings)]

    def translate(self, recordings, language):
        """(transcripts, translations) by the one prompt; an answer without its second line has an
        empty translation."""
        asked = prompt.translation_tokens(self.words, language)
        answers = self.answer(recordings, [asked] * len(recordings), TOKENS_MAX_TRANSLATED)
        parts = [self.text(ids).partition(f"\n{language}:") for ids in answers]
        return [part[0].strip() for part in parts], [" ".join(part[2].split()) for part in parts]

    def follow_up(self, recordings, language, transcripts):
        """Translations by a second turn after the transcripts, which are those of `transcript_ids`."""
        before, after = self.asked
        asked = [(before, after + ids + prompt.follow_up_tokens(self.words, language, ids)) for ids in transcripts]
        return [" ".join(self.text(ids).split()) for ids in self.answer(recordings, asked, TOKENS_MAX)]
