"""The picture embedder for training equals the module of transformers; who sees whom in a picture."""

import pathlib
import sys
import unittest

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import patches  # noqa: E402

SETTINGS = {"embedder": 96, "positions": 128}
HIDDEN = 64


def text_config():
    from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig
    return Gemma4UnifiedTextConfig(
        vocab_size=64, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, num_global_key_value_heads=1, head_dim=32, global_head_dim=32, sliding_window=512,
        layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention="vision")


class Embedder(unittest.TestCase):
    def network(self):
        import torch
        from tools.demo_model import vision_network
        torch.manual_seed(1)
        network = vision_network.VisionEmbedder(SETTINGS, HIDDEN)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter) * parameter.std().nan_to_num(1).clamp(min=0.1))
        return network

    def test_equal_to_the_module_of_transformers_by_its_published_names(self):
        import torch
        from tools.demo_model import vision_network
        from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedVisionConfig
        from transformers.models.gemma4_unified.modeling_gemma4_unified import Gemma4UnifiedVisionEmbedder
        network = self.network()
        config = Gemma4UnifiedVisionConfig(**vision_network.config_json(SETTINGS))
        oracle = Gemma4UnifiedVisionEmbedder(config, text_config())
        in_memory = {vision_network.PROJECTION: "multimodal_embedder.embedding_projection.weight"}
        oracle.load_state_dict({in_memory.get(name, name.removeprefix(vision_network.EMBEDDER)): parameter
                                for name, parameter in network.published()})
        generator = numpy.random.default_rng(1)
        for columns, rows in ((11, 6), (9, 7), (1, 1)):
            pixels = torch.from_numpy(generator.integers(0, 256, (2, columns * rows, patches.BYTES), numpy.uint8))
            places = torch.from_numpy(patches.places(columns, rows)).expand(2, -1, -1)
            found = network(pixels, places)
            wanted = oracle(pixels.float() * 0.00392156862745098, places, return_dict=True).pooler_output
            error = (found - wanted).abs().max().item()
            self.assertTrue(error <= 1e-5 * wanted.abs().max().item(), error)

    def test_the_first_weights_tell_the_place_and_the_colour_of_a_spot(self):
        import torch
        network = self.network()
        picture = numpy.full((48, 48, 3), 128, numpy.uint8)
        pictures = []
        for column in (4, 30):
            for colour in ((255, 0, 0), (0, 0, 255)):
                spotted = picture.copy()
                spotted[10:22, column:column + 12] = colour
                pictures.append(patches.cut(spotted))
        pixels = torch.from_numpy(numpy.stack(pictures))
        embedded = network(pixels, torch.zeros(4, 1, 2, dtype=torch.int64)).flatten(1)
        distances = torch.cdist(embedded, embedded) / embedded.norm(dim=1).mean()
        self.assertTrue((distances[~torch.eye(4, dtype=torch.bool)] > 0.2).all(), distances)


class Mask(unittest.TestCase):
    def test_a_picture_is_seen_whole_by_its_own_patches_and_causally_by_all_others(self):
        from tools.demo_model import vision_network
        mask = vision_network.picture_mask(9, 3, 4)
        for query in range(9):
            for key in range(9):
                inside = 3 <= query < 7 and 3 <= key < 7
                self.assertEqual(mask[query, key].item(), inside or key <= query)


if __name__ == "__main__":
    unittest.main()
