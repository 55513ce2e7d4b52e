"""The flat weights of a run: parameters are views of them, and new ones learn faster. Needs torch."""

import importlib.util
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
SETTINGS = {"betas": [0.9, 0.98], "weight_decay": 0.0, "clip": 1.0, "average_decay": 0.5}


@unittest.skipIf(importlib.util.find_spec("torch") is None, "not installed: torch")
class Flat(unittest.TestCase):
    def made(self, **settings):
        import torch

        from tools.demo_model.weights import FlatWeights
        torch.manual_seed(2)
        network = torch.nn.Sequential()
        network.add_module("old", torch.nn.Linear(3, 4))
        network.add_module("new", torch.nn.Linear(4, 2))
        return network, FlatWeights(network, torch.float32, SETTINGS | settings)

    def moved(self, network, weights):
        """Largest change of each parameter by one step of rate 0.01; Adam's first step has that size."""
        import torch
        before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        network(torch.ones(2, 3)).square().sum().backward()
        weights.step(0.01)
        return {name: (parameter - before[name]).abs().max().item() for name, parameter in network.named_parameters()}

    def test_a_step_moves_every_parameter_by_the_rate_and_clears_the_gradients(self):
        network, weights = self.made()
        for name, size in self.moved(network, weights).items():
            self.assertAlmostEqual(size, 0.01, delta=1e-4, msg=name)
        self.assertFalse(weights.gradients.any())

    def test_faster_parameters_move_further(self):
        network, weights = self.made(faster=["new."], faster_rate=3.0)
        for name, size in self.moved(network, weights).items():
            self.assertAlmostEqual(size, 0.03 if name.startswith("new.") else 0.01, delta=1e-4, msg=name)

    def test_faster_parameters_must_be_the_last_ones(self):
        with self.assertRaisesRegex(ValueError, "not the network's last"):
            self.made(faster=["old."])

    def test_the_average_by_name_has_the_shapes_of_the_parameters(self):
        network, weights = self.made()
        self.moved(network, weights)
        named = dict(weights.named(network, weights.average))
        for name, parameter in network.named_parameters():
            self.assertEqual(named[name].shape, parameter.shape)
            self.assertLess((named[name] - parameter).abs().max().item(), 0.01)
        weights.use(weights.average)
        self.assertTrue(all((named[name] == parameter).all() for name, parameter in network.named_parameters()))


if __name__ == "__main__":
    unittest.main()
