"""Shards of a run: what is written comes back, halved ones nearly. Needs torch."""

import importlib.util
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
MISSING = [name for name in ("safetensors", "torch") if importlib.util.find_spec(name) is None]


@unittest.skipIf(MISSING, f"not installed: {MISSING}")
class Shards(unittest.TestCase):
    def setUp(self):
        import torch
        torch.manual_seed(3)
        self.network = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.LayerNorm(20))
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "checkpoint"

    def read_back(self, halved):
        from tools.demo_model import shards
        shards.replace(self.path, lambda folder: shards.save(folder, self.network.named_parameters(), {"steps": 7}, halved))
        return shards.load(self.path, self.network)

    def test_bfloat16_shards_hold_the_rounded_weights(self):
        import torch
        tensors, state = self.read_back(False)
        self.assertEqual(state, {"steps": 7, "shards": 1})
        for name, parameter in self.network.named_parameters():
            self.assertTrue(torch.equal(tensors[name], parameter.detach().to(torch.bfloat16)))

    def test_halved_shards_are_within_half_a_step_of_each_row(self):
        tensors, _ = self.read_back(True)
        self.assertEqual(set(tensors), {name for name, _ in self.network.named_parameters()})
        weight = self.network[0].weight.detach()
        error = (tensors["0.weight"] - weight).abs().amax(1)
        self.assertTrue((error <= weight.abs().amax(1) / 127 * 0.501).all())

    def test_halved_shards_of_a_matrix_take_about_half_the_bytes(self):
        import torch
        self.network = torch.nn.Linear(1000, 1000, bias=False)
        self.read_back(False)
        large = (self.path / "shard-0.safetensors").stat().st_size
        self.read_back(True)
        self.assertAlmostEqual((self.path / "shard-0.safetensors").stat().st_size / large, 0.5, delta=0.01)
        self.assertFalse(torch.isnan(self.network.weight).any())

    def test_a_new_checkpoint_takes_the_place_of_the_old_one_alone(self):
        self.read_back(False)
        self.read_back(True)
        names = sorted(path.name for path in pathlib.Path(self.folder.name).iterdir())
        self.assertEqual(names, ["checkpoint"])
        self.assertEqual(json.loads((self.path / "state.json").read_text())["shards"], 1)

    def test_a_mixture_is_the_mean_and_keeps_what_it_is_told_to_of_the_first(self):
        import torch

        from tools.demo_model import shards
        folders = []
        for number in range(2):
            folders.append(pathlib.Path(self.folder.name) / f"part-{number}")
            named = [(name, torch.full_like(parameter, 1.0 + number)) for name, parameter in
                     self.network.named_parameters()]
            shards.save(folders[-1], named, {"steps": number})
        mixed = dict(shards.mixed([(folders[0], 0.75), (folders[1], 0.25)], self.network, kept=("1.",)))
        self.assertEqual(set(mixed), {name for name, _ in self.network.named_parameters()})
        for name, tensor in mixed.items():
            self.assertTrue((tensor == (1.0 if name.startswith("1.") else 1.25)).all(), name)
        with self.assertRaisesRegex(ValueError, "instead of 1"):
            shards.mixed([(folders[0], 0.75)], self.network)


if __name__ == "__main__":
    unittest.main()
