"""Evaluation of motion: what a checkpoint says of held-out videos, in seen drawing styles and an unseen one.

The videos are painted from a seed when they are asked for; their sentences are on the held-out side. Besides
the whole sentence three things are compared: the kind of change, the kind with its way (to the left, comes
closer, above, become four), and the things told. Intervals are Wilson's, 95 %."""

import pathlib
import time

import numpy

from . import motion, patches, prompt, scene_evaluation, scenes, sprites, videos

SEED = 43
FACETS = (scene_evaluation.WHOLE, "kind of change", "kind and way", "things")


def questions(sprite_file, styles, number, seed=SEED):
    """Held-out videos: every kind as often as the others. None of our own shapes in the unseen style."""
    painter = videos.Painter(sprite_file, "held", styles)
    return scene_evaluation.painted(painter, list(motion.KINDS), styles, number, seed)


def compare(reader, wanted, found):
    """Name of a facet -> whether it is right."""
    truth, answer = reader.read(wanted), reader.read(found)
    same_kind = answer is not None and answer.kind == truth.kind
    return dict(zip(FACETS, (found.strip() == wanted, same_kind, same_kind and answer.change == truth.change,
                             answer is not None and answer.things.things == truth.things.things)))


class Describer(scene_evaluation.Describer):
    """The same checkpoint asked about videos."""

    def inputs(self, shown):
        """A batch of videos of one grid and number of frames."""
        torch, (frames, soft, _) = self.torch, shown[0].patches.shape
        parts = prompt.video_tokens(self.tokenizer.backend_tokenizer, range(frames))
        line, kinds = list(parts[0]), [0] * len(parts[0])
        for part in parts[1:]:
            line += [self.model.config.video_token_id] * soft + part
            kinds += [2] * soft + [0] * len(part)
        places = patches.places(shown[0].columns, soft // shown[0].columns)
        pixels = numpy.stack([scene.patches for scene in shown]).astype(numpy.float32)
        tokens = torch.tensor([line] * len(shown))
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens),
                  "mm_token_type_ids": torch.tensor([kinds] * len(shown)),
                  "pixel_values_videos": torch.from_numpy(pixels) * 0.00392156862745098,
                  "video_position_ids": torch.from_numpy(places).expand(len(shown), frames, -1, -1)}
        return {name: tensor.to(self.model.device) for name, tensor in inputs.items()}


def report(model, sprite_file, seen=210, unseen=105, out=None, device="cpu"):
    """Prints the tables; `out` gets every sentence."""
    started, reader = time.time(), motion.Reader(scenes.Vocabulary())
    describer, log = Describer(model, device), []
    for title, styles, number in (("motion, seen styles", sprites.SEEN_STYLES, seen),
                                  ("motion, unseen style", (sprites.UNSEEN_STYLE,), unseen)):
        shown = questions(sprite_file, styles, number)
        found = describer.describe(shown)
        results = [compare(reader, scene.text, sentence) for scene, sentence in zip(shown, found)]
        log += scene_evaluation.tell(title, shown, found, results, motion.KINDS, FACETS, FACETS[2])
    print(f"motion in {time.time() - started:.0f} s of wall time")
    if out:
        pathlib.Path(out).write_text("\n".join(log) + "\n", encoding="utf-8")
