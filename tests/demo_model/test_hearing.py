"""How a batch is heard: three kinds, and fewer changed voices when steps become slow. Needs torch."""

import importlib.util
import pathlib
import sys
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
MISSING = [name for name in ("torch", "numpy", "tokenizers") if importlib.util.find_spec(name) is None]
SETTINGS = {"changed_share": 0.5, "mouth_share": 0.5, "machine_share": 0.25, "lost": [[0.5, 3]], "replaced_share": 0.0}


@unittest.skipIf(MISSING, f"not installed: {MISSING}")
class Kinds(unittest.TestCase):
    def setUp(self):
        import torch

        from tools.demo_model import step, trainer
        torch.manual_seed(6)
        self.torch, self.step, self.trainer = torch, step, trainer

    def test_each_kind_has_its_share(self):
        import random
        one = types.SimpleNamespace(changed_share=0.25, turns=random.Random(1))
        found = [self.trainer.Trainer.kind(one, 0.8) for _ in range(4000)]
        for kind, share in ((self.step.LIGHT, 0.2), (self.step.DISTURBED, 0.6), (self.step.CHANGED, 0.2)):
            self.assertAlmostEqual(found.count(kind) / len(found), share, delta=0.03)

    def test_scenes_come_as_often_as_wanted_and_at_the_same_steps_everywhere(self):
        import random
        settings = {"examples": {"scene_share": 0.4, "scene_share_late": 0.1}}

        def one(seed):
            return types.SimpleNamespace(settings=settings, turns=random.Random(seed), short=types.SimpleNamespace(value=0),
                                         batches=[iter(["speech"] * 4000), iter(["scenes"] * 4000)])
        first, second, short = one(5), one(5), one(5)
        short.short.value = 1
        for part, share in ((0.2, 0.4), (0.7, 0.1)):
            turns = [[self.trainer.Trainer.next_batch(each, part) for _ in range(2000)] for each in (first, second)]
            self.assertEqual(*turns)
            self.assertAlmostEqual(turns[0].count("scenes") / 2000, share, delta=0.04)
        self.assertEqual({self.trainer.Trainer.next_batch(short, 0.2) for _ in range(50)}, {"speech"})

    def test_each_of_several_processes_sees_its_own_gpu(self):
        import os
        from unittest import mock
        for visible, local, wanted in (("", None, "0"), ("", "1", "1"), ("2,5", "1", "5"), ("3", None, "3")):
            given = {"CUDA_VISIBLE_DEVICES": visible} | ({"LOCAL_RANK": local} if local else {})
            with mock.patch.dict(os.environ, given):
                if local is None:
                    os.environ.pop("LOCAL_RANK", None)
                self.trainer.see_one_device()
                self.assertEqual(os.environ["CUDA_VISIBLE_DEVICES"], wanted)

    def test_slow_steps_halve_the_changed_voices_until_there_are_none(self):
        said = []
        one = types.SimpleNamespace(changed_share=0.2, settings={"step_ms_max": 38}, say=said.append)
        for step_ms in (30.0, 38.0, 40.0):
            self.trainer.Trainer.keep_fast(one, step_ms)
        self.assertEqual(one.changed_share, 0.1)
        for _ in range(9):
            self.trainer.Trainer.keep_fast(one, 99.0)
        self.assertEqual(one.changed_share, 0.0)
        self.assertEqual(len(said), 3)

    def test_frames_of_every_kind_are_finite_and_differ(self):
        torch = self.torch
        flat = (9000 * torch.sin(torch.arange(60000) / 9)).to(torch.int16)
        layout, network = types.SimpleNamespace(), types.SimpleNamespace()
        step = self.step.Step(network, layout, SETTINGS, flat, torch.zeros(1, dtype=torch.int64))
        columns = [torch.tensor([[value]] * 8) for value in (100, 640, 9000)]
        batch = dict(zip(("source", "begin", "length"), columns)) | {
            "rate": torch.ones(8), "has_words": torch.ones(8, dtype=torch.bool)}
        heard = []
        for kind in (self.step.LIGHT, self.step.DISTURBED, self.step.CHANGED):
            frames = step.heard(batch, 20, kind)
            self.assertEqual(frames.shape, (8, 20, 640))
            self.assertTrue(torch.isfinite(frames).all())
            heard.append(frames)
        clean = flat[100:9100].float() / 32768
        for row in range(8):             # after a frame of silence the recording, hardly disturbed
            self.assertLess((heard[0][row].flatten()[640:9640] - clean).std(), 0.01)
        self.assertGreater((heard[1] - heard[2]).abs().mean(), 0.001)


if __name__ == "__main__":
    unittest.main()
