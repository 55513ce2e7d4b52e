"""Scores of a network in training on held-out recordings, without a cache: quick on a GPU, and
independent of transformers."""

import numpy
import torch
from torch import distributed

from . import errors, frames, prompt

BATCH = 128      # recordings: with fewer, launching kernels takes longer than running them
SHOWN = 128      # pictures or videos of a batch
WIDTHS = 32      # positions are rounded up to a multiple: each new shape costs the attention a plan


class Watch:
    """held: store's name -> (samples int16, text) recordings, the same on all processes; say: prints a line."""

    def __init__(self, network, layout, held, device, say):
        self.network, self.layout, self.held, self.device, self.say = network, layout, held, device, say

    @torch.inference_mode()
    def generate(self, rows, embed, longest):
        """Greedy answers of rows of token ids, the whole batch computed anew for every token.

        embed: padded tokens int64 [B, L] -> embeddings and the mask of attention or None."""
        rows, starts, done = [list(row) for row in rows], [len(row) for row in rows], [False] * len(rows)
        for _ in range(longest):
            width = -(-max(map(len, rows)) // WIDTHS) * WIDTHS
            tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self.device)
            hidden = self.network(*embed(tokens))
            last = torch.tensor([len(row) - 1 for row in rows], device=self.device)
            best = self.network.logits(hidden[torch.arange(len(rows), device=self.device), last]).argmax(-1).tolist()
            for number, token in enumerate(best):
                done[number] |= token == self.layout.end_id
                if not done[number]:
                    rows[number].append(token)
            if all(done):
                break
        return [row[start:] for row, start in zip(rows, starts)]

    def hear(self, recordings, language=None, longest=80):
        """Transcripts of int16 recordings, and captiond's follow-up translations if asked for."""
        heard = [torch.from_numpy(frames.cut(samples)) for samples in recordings]
        stacked = torch.nn.utils.rnn.pad_sequence(heard, batch_first=True).to(self.device)

        def embed(tokens):
            return self.network.embed(tokens, stacked, self.layout.audio_id), None

        rows = [self.layout.before + [self.layout.audio_id] * len(one) + self.layout.after for one in heard]
        transcripts = self.generate(rows, embed, longest)
        decode = self.layout.tokenizer.decode
        if language is None:
            return [decode(ids) for ids in transcripts]
        rows = [row + ids + prompt.follow_up_tokens(self.layout.tokenizer, language, ids, self.layout.language)
                for row, ids in zip(rows, transcripts)]
        return [f"{decode(ids)} | {decode(answer)}"
                for ids, answer in zip(transcripts, self.generate(rows, embed, longest))]

    def hear_all(self, recordings):
        """Transcripts of any number of int16 recordings, in the order given."""
        order, out = sorted(range(len(recordings)), key=lambda item: len(recordings[item])), {}
        for at in range(0, len(order), BATCH):
            part = order[at:at + BATCH]
            out.update(zip(part, self.hear([recordings[item] for item in part])))
        return [out[item] for item in range(len(recordings))]

    def describe(self, shown, longest=40):
        """Sentences about pictures and videos (pictures.Scene), in the order given."""
        out, shapes, layout = {}, {}, self.layout
        for number, scene in enumerate(shown):
            shapes.setdefault((scene.patches.shape, scene.columns), []).append(number)
        for ((*frames, count, _), columns), every in shapes.items():
            if frames:
                row = layout.video_before(*frames, count) + [layout.video_id] * count + layout.video_parts(*frames)[-1]
                see, soft_id, begins = self.network.embed_videos, layout.video_id, layout.video_begins(*frames, count)
            else:
                row = layout.scene_before + [layout.image_id] * count + layout.scene_after
                see, soft_id, begins = self.network.embed_pictures, layout.image_id, len(layout.scene_before)
            for at in range(0, len(every), SHOWN):
                numbers = every[at:at + SHOWN]
                patches = torch.from_numpy(numpy.stack([shown[number].patches for number in numbers])).to(self.device)

                def embed(tokens, patches=patches, see=see, soft_id=soft_id, columns=columns, begins=begins):
                    return see(tokens, patches, columns, soft_id, begins)

                answers = self.generate([row] * len(numbers), embed, longest)
                out.update(zip(numbers, map(layout.tokenizer.decode, answers)))
        return [out[number] for number in range(len(shown))]

    def score(self, number, show=0):
        """Word error rate over all processes on `number` recordings of each store and process."""
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
        for name, every in self.held.items():
            recordings = every[rank::world]
            mine, counts = recordings[:number], torch.zeros(2, device=self.device)
            for (_, wanted), heard in zip(mine, self.hear_all([samples for samples, _ in mine])):
                counts += torch.tensor(errors.count(wanted, heard), device=self.device)
            if distributed.is_initialized():
                distributed.all_reduce(counts)
            self.say(f"{name}: WER {100 * counts[0].item() / max(1, counts[1].item()):.2f} % "
                     f"on {int(counts[1])} held-out words")
            for language in ("German", "Spanish") if show else ():
                part = recordings[:show]
                for (_, wanted), heard in zip(part, self.hear([samples for samples, _ in part], language)):
                    self.say(f"  wanted: {wanted} | heard: {heard}")
