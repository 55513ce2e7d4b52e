"""Tests of what the commands say of wrong files. Needs PyYAML."""

import importlib.util
import pathlib
import tempfile
import unittest
from unittest import mock

if importlib.util.find_spec("yaml") is None:
    raise unittest.SkipTest("not installed: yaml")

from tools.demo_model import __main__ as command_line  # noqa: E402


def said(*arguments):
    with mock.patch("sys.argv", ["demo_model", *arguments]):
        return command_line.main()


class CommandLineTest(unittest.TestCase):
    def test_a_config_that_is_not_there_is_named(self):
        self.assertRegex(said("--config", "no-such-run.yaml", "check-split"),
                         r"^--config no-such-run\.yaml cannot be read: ")

    def test_a_config_that_is_no_description_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            for text, words in (("seed: [1", "cannot be read: "), ("a sentence", "has no keys: ")):
                path = pathlib.Path(folder) / "run.yaml"
                path.write_text(text, encoding="utf-8")
                with self.subTest(text):
                    self.assertIn(f"--config {path} {words}", said("--config", str(path), "check-split"))

    def test_a_folder_without_a_model_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            for command in (["evaluate", "--set", "s.zip"], ["evaluate-scenes"],
                            ["translate-set", "--set", "s.zip", "--out", "o.tsv"]):
                with self.subTest(command[0]):
                    self.assertRegex(said(*command, "--model", folder), f"^--model {folder} has no config.json: ")


if __name__ == "__main__":
    unittest.main()
