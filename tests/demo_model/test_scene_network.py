"""Transformers sees a picture of an exported checkpoint as the training network does."""

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
from tools.demo_model import pictures, scene_evaluation  # noqa: E402


class Seeing(unittest.TestCase):
    """A small random checkpoint with eyes, exported as the demo checkpoint is."""

    def test_transformers_sees_a_picture_as_the_training_network_does(self):
        import torch
        from tokenizers import Tokenizer
        from tools.demo_model import export, network
        tokenizer_path = ROOT / "assets/demo-model/tokenizer.json"
        model = {"hidden": 64, "inner": 96, "layers": 3, "full_period": 3, "heads": 2, "head_dim": 32, "key_heads": 1,
                 "global_head_dim": 64, "global_key_heads": 1, "frame": 640, "positions": 512, "sliding_window": 512,
                 "logit_cap": 30.0, "vision": {"embedder": 96, "positions": 128}, "things": list(pictures.LABELS)}
        torch.manual_seed(3)
        decoder = network.Decoder(model, Tokenizer.from_file(str(tokenizer_path)).get_vocab_size(), 27)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.copy_(parameter.to(torch.bfloat16).float())
        with tempfile.TemporaryDirectory() as folder:
            export.write({"model": model}, decoder, tokenizer_path, folder)
            describer = scene_evaluation.Describer(folder)
            painter = pictures.Painter(small_sprites(folder), styles=("round", "square"))
            shown = [painter.make(random.Random(seed), grid=(9, 7)) for seed in (1, 2)]
            inputs = describer.inputs(shown)
            with torch.inference_mode():
                theirs = describer.model(**inputs).logits
                image_id = describer.model.config.image_token_id
                pixels = torch.from_numpy(numpy.stack([scene.patches for scene in shown]))
                x, mask = decoder.embed_pictures(inputs["input_ids"], pixels, 9, image_id, len(describer.before))
                ours = decoder.logits(decoder(x, mask))
                causal = decoder.logits(decoder(x))
            error, reach = (ours - theirs).abs().max().item(), (ours - causal).abs().max().item()
            self.assertTrue(error <= 2e-4, error)
            self.assertGreater(reach, 100 * error)      # the mask matters here
            self.assertEqual(len(describer.describe(shown)), 2)


if __name__ == "__main__":
    unittest.main()
