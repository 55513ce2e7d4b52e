"""Videos in training: their rows, their batches of few shapes, and what their frames see."""

import pathlib
import random
import sys
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_scenes import small_sprites  # noqa: E402
from tools.demo_model import batches, pictures, prompt, sprites, videos  # noqa: E402

TOKENIZER = ROOT / "assets/demo-model/tokenizer.json"
MODEL = {"hidden": 64, "inner": 96, "layers": 3, "full_period": 3, "heads": 2, "head_dim": 32, "key_heads": 1,
         "global_head_dim": 64, "global_key_heads": 1, "frame": 640, "positions": 512, "sliding_window": 512,
         "logit_cap": 30.0, "vision": {"embedder": 96, "positions": 128}, "things": list(pictures.LABELS)}


def stored(folder, number=30):
    """A folder of pictures and one of videos."""
    path = small_sprites(folder, sprites.SEEN_STYLES)
    pictures.write(path, pathlib.Path(folder) / "scenes-0", 7, 60, number)
    videos.write(path, pathlib.Path(folder) / "scenes-1", 8, 60, number)
    return pictures.Scenes(folder)


class Batches(unittest.TestCase):
    def setUp(self):
        from tokenizers import Tokenizer
        self.layout = batches.Layout(Tokenizer.from_file(str(TOKENIZER)), "English")

    def test_a_row_is_the_question_and_the_sentence(self):
        row = self.layout.video_row(2, 3, "A dog disappears.")
        ids = row.before + [self.layout.video_id] * row.soft + row.after
        parts = prompt.video_tokens(self.layout.tokenizer, (0, 1))
        soft = [self.layout.video_id] * 3
        answer = self.layout.ids("A dog disappears.") + [self.layout.end_id]
        self.assertEqual(ids, parts[0] + soft + parts[1] + soft + parts[2] + answer)
        self.assertEqual(sum(row.learnt), len(answer))
        begins = self.layout.video_begins(2, 3)
        places = [place for begin in begins for place in range(begin, begin + 3)]
        self.assertEqual(places, [place for place, one in enumerate(ids) if one == self.layout.video_id])

    def test_videos_come_as_often_as_asked_in_few_shapes(self):
        with tempfile.TemporaryDirectory() as folder:
            stream = batches.SceneBatches(stored(folder), self.layout, 800, random.Random(1), 0.4)
            made = [stream.next() for _ in range(300)]
        moving = [batch for batch in made if batch["patches"].ndim == 4]
        self.assertTrue(0.3 < len(moving) / 300 < 0.5)
        self.assertLessEqual(len({batch["patches"].shape for batch in moving}), 6)
        for batch in moving[:20]:
            rows, frames, count, _ = batch["patches"].shape
            self.assertEqual((batch["tokens"] == self.layout.video_id).sum(), rows * frames * count)
            self.assertEqual(batch["things"].shape, (rows, frames, count, 2))
            predicted = batch["labels"][batch["labels"] != batches.NO_LABEL]
            at = batch["label_at"][batch["labels"] != batches.NO_LABEL]
            numpy.testing.assert_array_equal(batch["tokens"].ravel()[at + 1], predicted)

    def test_a_share_of_videos_without_videos_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            pictures.write(small_sprites(folder, sprites.SEEN_STYLES), pathlib.Path(folder) / "scenes-0", 7, 60, 4)
            with self.assertRaisesRegex(ValueError, "video_share"):
                batches.SceneBatches(pictures.Scenes(folder), self.layout, 800, random.Random(1), 0.4)


class Seeing(unittest.TestCase):
    def test_transformers_sees_a_video_as_the_training_network_does(self):
        import torch
        from tokenizers import Tokenizer
        from tools.demo_model import export, motion_evaluation, network, watch
        torch.manual_seed(3)
        decoder = network.Decoder(MODEL, Tokenizer.from_file(str(TOKENIZER)).get_vocab_size(), 27)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.copy_(parameter.to(torch.bfloat16).float())
        with tempfile.TemporaryDirectory() as folder:
            export.write({"model": MODEL}, decoder, TOKENIZER, folder)
            describer = motion_evaluation.Describer(folder)
            painter = videos.Painter(small_sprites(folder), styles=("round", "square"))
            shown = [painter.make(random.Random(seed), grid=(9, 7), number=2) for seed in (1, 2)]
            inputs = describer.inputs(shown)
            layout = batches.Layout(describer.tokenizer.backend_tokenizer, "English")
            with torch.inference_mode():
                theirs = describer.model(**inputs).logits
                pixels = torch.from_numpy(numpy.stack([scene.patches for scene in shown]))
                x, mask = decoder.embed_videos(inputs["input_ids"], pixels, 9, layout.video_id,
                                               layout.video_begins(2, 63))
                ours = decoder.logits(decoder(x, mask))
                causal = decoder.logits(decoder(x))
            error, reach = (ours - theirs).abs().max().item(), (ours - causal).abs().max().item()
            self.assertTrue(error <= 2e-4, error)
            self.assertGreater(reach, 100 * error)      # the mask matters here
            told = describer.describe(shown)
            seen = watch.Watch(decoder, layout, {}, "cpu", print)
            picture = pictures.Painter(small_sprites(folder), styles=("round", "square")).make(random.Random(3))
            mixed = seen.describe([shown[0], picture, shown[1]], longest=5)
            for theirs, ours in zip(told, (mixed[0], mixed[2])):
                self.assertTrue(ours and theirs.startswith(ours.strip(" \ufffd")), (theirs, ours))
            self.assertEqual(mixed[1:2], seen.describe([picture], longest=5))


class Evaluation(unittest.TestCase):
    def test_questions_are_held_out_and_the_same_every_time(self):
        from tools.demo_model import motion, motion_evaluation, scenes, sentences
        with tempfile.TemporaryDirectory() as folder:
            path = small_sprites(folder)
            first, again = (motion_evaluation.questions(path, ("round", "square"), 14) for _ in range(2))
        self.assertEqual({scene.kind for scene in first}, set(motion.KINDS))
        for one, other in zip(first, again):
            self.assertEqual(one.text, other.text)
            numpy.testing.assert_array_equal(one.patches, other.patches)
            told = one.text.removeprefix(motion.NOTHING)
            self.assertEqual(sentences.split_of(told, scenes.HELD_SHARE), "held")

    def test_kind_and_way_of_a_motion_are_compared_apart_from_things(self):
        from tools.demo_model import motion, motion_evaluation, scenes
        reader = motion.Reader(scenes.Vocabulary())
        wanted = "A red bus moves to the left."
        for found, right in ((wanted, (True, True, True, True)),
                             ("A dog moves to the left.", (False, True, True, False)),
                             ("A red bus moves up.", (False, True, False, True)),
                             ("A red bus disappears.", (False, False, False, True)), ("Hello.", (False,) * 4)):
            result = motion_evaluation.compare(reader, wanted, found)
            self.assertEqual(tuple(result[name] for name in motion_evaluation.FACETS), right, found)


if __name__ == "__main__":
    unittest.main()
