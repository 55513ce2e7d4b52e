"""Evaluation G: what a checkpoint says of held-out scenes, in seen drawing styles and an unseen one.

The scenes are painted from a seed when they are asked for; their sentences are on the held-out side.
Each sentence is compared as a whole, and by what it says of the things, their colours, their numbers
and how they lie. Intervals are Wilson's, 95 %."""

import json
import math
import pathlib
import random
import subprocess
import tempfile
import time

import numpy

from . import drawing, patches, pictures, prompt, scenes, sprites

SEED = 41
TOKENS_MAX = 48
BATCH = 16
FACETS = ("object", "colour", "count", "relation")
WHOLE = "whole sentence"


def questions(sprite_file, styles, number, seed=SEED):
    """Held-out scenes: every kind as often as the others, grids as in training.

    Our own shapes look the same in every style, so there are none of them in the unseen one."""
    return painted(pictures.Painter(sprite_file, "held", styles), list(scenes.KINDS), styles, number, seed)


def painted(painter, kinds, styles, number, seed):
    """So many scenes or videos of a painter, the kinds in turn."""
    chooser = random.Random(seed)
    if sprites.UNSEEN_STYLE in styles:
        coloured = painter.vocabulary.coloured
        painter.vocabulary.coloured = [word for word in coloured if word not in drawing.SHAPES]
    return [painter.make(chooser, kind=kinds[place % len(kinds)]) for place in range(number)]


def told(facts, facet):
    """What a sentence's Facts say of one facet, comparable with ==; None if it says nothing of it."""
    things = sorted(facts.things, key=lambda thing: (thing.word, thing.colour, thing.count))
    if facet == "object":
        return [thing.word for thing in things]
    if facet == "colour":
        return [(thing.word, thing.colour) for thing in things] if any(thing.colour for thing in things) else None
    if facet == "count":
        return [(thing.word, thing.count) for thing in things]
    order = [thing.word for thing in facts.things]
    sizes = [thing.size for thing in facts.things]
    return (facts.relation, order, sizes) if facts.relation or any(sizes) else None


def compare(reader, wanted, found):
    """Name of a facet -> whether it is right; a facet that the wanted sentence lacks is left out."""
    right = {WHOLE: found.strip() == wanted}
    truth, answer = reader.read(wanted), reader.read(found)
    for facet in FACETS:
        expected = told(truth, facet)
        if expected is not None:
            right[facet] = answer is not None and told(answer, facet) == expected
    return right


def interval(hits, number):
    """95 % bounds of a share, after Wilson."""
    z, share = 1.96, hits / number
    middle = share + z * z / (2 * number)
    reach = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return (middle - reach) / (1 + z * z / number), (middle + reach) / (1 + z * z / number)


def summary(title, results, names=(WHOLE, *FACETS)):
    """Lines of a table for the compare() results of many scenes or videos; names: the facets, in order."""
    lines = []
    for name in names:
        counted = [result[name] for result in results if name in result]
        if not counted:
            continue
        low, high = interval(sum(counted), len(counted))
        lines.append(f"{title:24} {name:16} {100 * sum(counted) / len(counted):5.1f} %  "
                     f"[{100 * low:.1f}, {100 * high:.1f}]  {sum(counted)} of {len(counted)}")
    return lines


def tell(title, shown, found, results, kinds, names=(WHOLE, *FACETS), of_kind=WHOLE):
    """Prints the tables of one set, of each kind the facet `of_kind` alone; a line for each sentence found."""
    print("\n".join(summary(title, results, names)), flush=True)
    for kind in kinds:
        part = [result for scene, result in zip(shown, results) if scene.kind == kind]
        print("  " + summary(f"kind {kind}", part, (of_kind,))[0], flush=True)
    return [f"{title}\t{scene.kind}\t{scene.text}\t{sentence}" for scene, sentence in zip(shown, found)]


class Describer:
    """A checkpoint as it lies, through transformers in float32."""

    def __init__(self, folder, device="cpu"):
        import torch
        from transformers import AutoTokenizer, Gemma4UnifiedForConditionalGeneration
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = Gemma4UnifiedForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model = self.model.eval().to(device)
        if self.model.config.vision_config is None:
            raise ValueError(f"{folder}/config.json has no vision_config: this checkpoint cannot see")
        self.before, self.after = prompt.scene_tokens(self.tokenizer.backend_tokenizer)

    def inputs(self, shown):
        """A batch of scenes of one grid."""
        torch, rows, soft = self.torch, len(shown), len(shown[0].patches)
        line = self.before + [self.model.config.image_token_id] * soft + self.after
        kinds = [0] * len(self.before) + [1] * soft + [0] * len(self.after)
        places = patches.places(shown[0].columns, soft // shown[0].columns)
        pixels = numpy.stack([scene.patches for scene in shown]).astype(numpy.float32)
        tokens = torch.tensor([line] * rows)
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens),
                  "mm_token_type_ids": torch.tensor([kinds] * rows),
                  "pixel_values": torch.from_numpy(pixels) * 0.00392156862745098,
                  "image_position_ids": torch.from_numpy(places).expand(rows, -1, -1)}
        return {name: tensor.to(self.model.device) for name, tensor in inputs.items()}

    def groups(self, shown):
        """Numbers of the scenes that a batch may hold together."""
        grids = {}
        for number, scene in enumerate(shown):
            grids.setdefault((scene.patches.shape, scene.columns), []).append(number)
        return grids.values()

    def describe(self, shown):
        """Greedy sentences, in the order given."""
        out = [""] * len(shown)
        for numbers in self.groups(shown):
            for at in range(0, len(numbers), BATCH):
                part = numbers[at:at + BATCH]
                inputs = self.inputs([shown[number] for number in part])
                with self.torch.inference_mode():
                    written = self.model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS_MAX)
                for number, ids in zip(part, written[:, inputs["input_ids"].shape[1]:]):
                    out[number] = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return out


class ProbeDescriber:
    """The same through the project's own engine: one run of captiond-probe for each scene."""

    def __init__(self, program, folder):
        from tokenizers import Tokenizer
        self.program, self.folder = program, folder
        self.tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
        self.before, self.after = prompt.scene_tokens(self.tokenizer)

    def describe_one(self, scene, folder):
        from PIL import Image
        from safetensors.numpy import load_file
        picture = Image.fromarray(patches.joined(scene.patches, scene.columns))
        picture.save(folder / "scene.png")
        budget = next(one for one in patches.BUDGETS if one >= len(scene.patches))
        columns, rows = patches.target_grid(*picture.size, budget)     # a painted grid may be scaled up to it
        (folder / "prompt.json").write_text(json.dumps({"parts": [
            {"ids": self.before[:-1]}, {"image": "scene.png", "budget": budget}, {"ids": self.after[1:]}]}),
            encoding="utf-8")      # the program writes the tokens around a picture itself
        subprocess.run([self.program, "--model", self.folder, "--prompt", folder / "prompt.json",
                        "--out", folder / "out.safetensors", "--generate", str(TOKENS_MAX)], check=True)
        tokens = load_file(folder / "out.safetensors")["tokens"].tolist()
        written = tokens[len(self.before) + columns * rows + len(self.after):]
        return self.tokenizer.decode(written).strip()

    def describe(self, shown):
        with tempfile.TemporaryDirectory() as folder:
            return [self.describe_one(scene, pathlib.Path(folder)) for scene in shown]


def report(model, sprite_file, seen=200, unseen=100, out=None, probe=None, probed=8, device="cpu"):
    """Prints the tables; `out` gets every sentence. With `probe`, the program captiond-probe, some
    scenes are described by it too, and a sentence that differs is an error."""
    started, reader = time.time(), scenes.Reader(scenes.Vocabulary())
    describer, log = Describer(model, device), []
    for title, styles, number in (("scenes, seen styles", sprites.SEEN_STYLES, seen),
                                  ("scenes, unseen style", (sprites.UNSEEN_STYLE,), unseen)):
        shown = questions(sprite_file, styles, number)
        found = describer.describe(shown)
        results = [compare(reader, scene.text, sentence) for scene, sentence in zip(shown, found)]
        log += tell(title, shown, found, results, scenes.KINDS)
        if probe:
            theirs = ProbeDescriber(probe, model).describe(shown[:probed])
            differing = [pair for pair in zip(found, theirs) if pair[0] != pair[1]]
            print(f"  {title}: {probed - len(differing)} of {probed} sentences are the same through captiond-probe")
            log += [f"captiond-probe differs\t\t{ours}\t{other}" for ours, other in differing]
    print(f"scenes in {time.time() - started:.0f} s of wall time")
    if out:
        pathlib.Path(out).write_text("\n".join(log) + "\n", encoding="utf-8")
