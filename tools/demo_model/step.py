"""What a batch costs and teaches: its losses, with every shape fixed by the batch's bucket.

Nothing here waits for the accelerator, and but for `letter_loss` nothing depends on a value in host
memory, so that graphs.Graphs can record these functions once for each bucket and play them again.
B rows, L positions, T frames, K labels, C letters and the blank."""

import torch
from torch.nn import functional

from . import batches, store, voice_change, waves

FIRST_WORD = 284      # ids below are control tokens and bytes
LIGHT, DISTURBED, CHANGED = range(3)      # how a batch is heard: hardly disturbed, disturbed, and with other voices


class Step:
    """network: network.Decoder; flat: int16 [S], all samples; music: int64 [M], first samples of
    recordings without words; settings: `train` of a run's YAML."""

    def __init__(self, network, layout, settings, flat, music, run_layer=None):
        self.network, self.layout, self.settings, self.flat, self.music = network, layout, settings, flat, music
        self.device, self.run_layer = flat.device, run_layer
        self.changes_voices = settings.get("changed_share", 0.0) > 0

    # speech

    def background(self, rows, samples):
        """Music or another sound without words for each row, float [rows, samples]."""
        first = self.music[torch.randint(len(self.music), (rows, 1), device=self.device)]
        first = (first + torch.randint(4 * store.RATE_HZ, (rows, 1), device=self.device))
        place = (first + torch.arange(samples, device=self.device)).clamp(max=len(self.flat) - 1)
        return self.flat[place].float() / 32768

    @torch.no_grad()
    def heard(self, batch, frame_count, kind):
        """Frames [B, frame_count, 640] of a batch: LIGHT, DISTURBED or CHANGED."""
        samples = frame_count * waves.FRAME
        wave = waves.compose(self.flat, batch["source"], batch["begin"], batch["length"], batch["rate"], samples)
        if kind == CHANGED:
            wave = waves.changed(wave, self.settings["mouth_share"], voice_change.new_mouths)
            wave = waves.changed(wave, self.settings["machine_share"], voice_change.machines)
        if kind == LIGHT:
            wave = waves.lightly_noisy(wave, batch["has_words"])
        else:
            music = (lambda rows: self.background(rows, samples)) if len(self.music) else None
            wave = waves.disturb(wave, batch["has_words"], music)
        frames = waves.to_frames(wave)
        for share, longest in () if kind == LIGHT else self.settings["lost"]:
            frames = waves.drop_frames(frames, share, longest)
        return frames

    def shown(self, batch):
        """Tokens as the decoder reads them: some of those that it has to say are replaced."""
        tokens = batch["tokens"]
        said = torch.zeros(tokens.numel(), dtype=torch.bool, device=self.device)
        said = said.index_fill(0, (batch["label_at"] + 1).clamp(max=tokens.numel() - 1), True)
        chance = torch.rand(tokens.shape, device=self.device) < self.settings["replaced_share"]
        chosen = said.view_as(tokens) & chance & (tokens >= FIRST_WORD)
        others = torch.randint(FIRST_WORD, self.network.embed_tokens.num_embeddings, tokens.shape, device=self.device)
        return torch.where(chosen, others, tokens)

    def entropy(self, hidden, batch):
        """Mean cross-entropy of the labels; hidden [B, L, D]."""
        logits = self.network.logits(hidden.flatten(0, 1).index_select(0, batch["label_at"]))
        return functional.cross_entropy(logits, batch["labels"], ignore_index=batches.NO_LABEL,
                                        label_smoothing=self.settings["smoothing"])

    def speech(self, batch, heard):
        """(cross-entropy, log-probabilities of letters float32 [T, B, C]) of frames [B, T, 640]."""
        x = self.network.embed(self.shown(batch), heard, self.layout.audio_id)
        hidden = self.network(x, run_layer=self.run_layer, drops=True)
        rows, width, size = hidden.shape
        place = batch["soft_at"][:, None] + torch.arange(heard.shape[1], device=self.device)
        place = place.clamp(max=width - 1) + width * torch.arange(rows, device=self.device)[:, None]
        at_frames = hidden.view(-1, size).index_select(0, place.flatten()).view(rows, -1, size)
        letters = functional.log_softmax(self.network.letters(at_frames).float(), -1)
        return self.entropy(hidden, batch), letters.transpose(0, 1)

    @staticmethod
    def letter_loss(letters, spoken, host):
        """Mean CTC loss a letter of the rows that have letters; letters float32 [T, B, C] as `speech`
        gives them, spoken int64 [sum] on their device, host: the batch in host memory."""
        counts = host["letter_count"]
        each = functional.ctc_loss(letters, spoken, host["frames"], counts, reduction="none", zero_infinity=True)
        share = torch.where(counts > 0, 1.0 / counts.clamp(min=1), 0.0) / (counts > 0).sum().clamp(min=1)
        return (each * share.to(letters.device, non_blocking=True)).sum()

    # pictures

    def scenes(self, batch, columns):
        """(cross-entropy, cross-entropy of the noun and of the colour that lie on each patch). Nothing is
        dropped: each picture is seen once."""
        *frames, count, _ = batch["patches"].shape[1:]
        if frames:
            begins = self.layout.video_begins(*frames, count)
            x, mask = self.network.embed_videos(self.shown(batch), batch["patches"], columns,
                                                self.layout.video_id, begins)
        else:
            begins = len(self.layout.scene_before),
            x, mask = self.network.embed_pictures(self.shown(batch), batch["patches"], columns,
                                                  self.layout.image_id, *begins)
        hidden = self.network(x, mask, run_layer=self.run_layer)
        nouns = self.network.thing_sizes[0]
        seen = torch.cat([hidden[:, begin:begin + count] for begin in begins], 1)
        seen = self.network.things(seen).float().flatten(0, 1)
        noun, colour = batch["things"].flatten(0, -2).unbind(-1)
        things = functional.cross_entropy(seen[:, :nouns], noun) + functional.cross_entropy(seen[:, nouns:], colour)
        return self.entropy(hidden, batch), things
