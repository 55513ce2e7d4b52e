"""Speech translation of a Hugging Face folder through transformers, in both forms that captiond uses.

One prompt: the published translation prompt, whose answer is 'TRANSCRIPT\nGerman: TRANSLATION'.
Follow-up turn: the transcription prompt and its answer stay in the context; a second turn with the
same translation prompt follows, whose answer begins with that transcript."""

import torch

from . import evaluate, frames, prompt

TOKENS_MAX = 240
BATCH_ON_GPU = 64


class Translator(evaluate.Captioner):
    """A checkpoint in float32 on a device; greedy answers."""

    def __init__(self, folder, device="cpu"):
        super().__init__(folder)
        self.device = torch.device(device)
        self.model.to(self.device)
        self.words = self.tokenizer.backend_tokenizer
        self.ends = {self.pad_id, self.words.token_to_id(prompt.TURN_END), self.tokenizer.eos_token_id}

    def batch(self, heard, asked):
        """Left-padded inputs. heard: float frames [T, 640] of each recording; asked: the token ids
        (before the frames, after them) of each."""
        rows = [before + [self.audio_id] * len(one) + after for one, (before, after) in zip(heard, asked)]
        width, longest = max(map(len, rows)), max(map(len, heard))
        ids = torch.full((len(rows), width), self.pad_id)
        seen = torch.zeros(len(rows), width, dtype=torch.long)
        features = torch.zeros(len(rows), longest, frames.FRAME)
        valid = torch.zeros(len(rows), longest, dtype=torch.bool)
        for number, (row, one) in enumerate(zip(rows, heard)):
            ids[number, width - len(row):] = torch.tensor(row)
            seen[number, width - len(row):] = 1
            features[number, :len(one)] = torch.from_numpy(one)
            valid[number, :len(one)] = True
        inputs = {"input_ids": ids, "attention_mask": seen, "input_features": features, "input_features_mask": valid}
        return {name: value.to(self.device) for name, value in inputs.items()}

    @torch.inference_mode()
    def answer(self, recordings, asked):
        """Token ids of each answer without the end of the turn, in the order given."""
        order = sorted(range(len(recordings)), key=lambda number: len(recordings[number]))
        out = [[] for _ in recordings]
        size = evaluate.BATCH if self.device.type == "cpu" else BATCH_ON_GPU
        for at in range(0, len(order), size):
            part = order[at:at + size]
            inputs = self.batch([frames.cut(recordings[number]) for number in part], [asked[number] for number in part])
            written = self.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS_MAX)
            for number, ids in zip(part, written[:, inputs["input_ids"].shape[1]:].tolist()):
                end = next((place for place, one in enumerate(ids) if one in self.ends), len(ids))
                out[number] = ids[:end]
        return out

    def text(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def translate(self, recordings, language):
        """(transcripts, translations) by the one prompt; an answer without its second line has an
        empty translation."""
        asked = prompt.translation_tokens(self.words, language)
        answers = [self.text(ids) for ids in self.answer(recordings, [asked] * len(recordings))]
        parts = [one.partition(f"\n{language}:") for one in answers]
        return [part[0].strip() for part in parts], [" ".join(part[2].split()) for part in parts]

    def transcript_ids(self, recordings):
        """Token ids of the transcripts by the transcription prompt."""
        return self.answer(recordings, [(self.before, self.after)] * len(recordings))

    def follow_up(self, recordings, language, transcripts):
        """Translations by a second turn after the transcripts, which are those of `transcript_ids`."""
        asked = [(self.before, self.after + ids + prompt.follow_up_tokens(self.words, language, ids))
                 for ids in transcripts]
        return [" ".join(self.text(ids).split()) for ids in self.answer(recordings, asked)]
