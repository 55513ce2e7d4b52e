"""A checkpoint with more words answers as before: the tokenizer keeps its ids, and new rows of the
embedding are the means of their pieces. Needs tokenizers and torch."""

import importlib.util
import json
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
MISSING = [name for name in ("tokenizers", "torch", "safetensors") if importlib.util.find_spec(name) is None]
LINES = ["Guten Morgen, wie geht es Ihnen heute Morgen?", "Buenos días, ¿cómo está usted esta mañana?"] * 20


@unittest.skipIf(MISSING, f"not installed: {MISSING}")
class Growing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from tools.demo_model import tokenizer
        cls.old = tokenizer.build(["the red bus stops here every morning", "where is my other shoe"] * 50, 400)
        cls.size = cls.old.get_vocab_size() + 24
        cls.new = tokenizer.grow(cls.old, LINES, cls.size)

    def test_old_entries_keep_their_ids_and_the_size_is_what_was_asked_for(self):
        grown = self.new.get_vocab()
        self.assertEqual(len(grown), self.size)
        self.assertTrue(all(grown[token] == number for token, number in self.old.get_vocab().items()))

    def test_other_languages_get_shorter_and_decode_to_what_they_were(self):
        for line in LINES[:2]:
            ids = self.new.encode(line, add_special_tokens=False).ids
            self.assertLess(len(ids), len(self.old.encode(line, add_special_tokens=False).ids))
            self.assertEqual(self.new.decode(ids), line)

    def test_english_is_cut_as_before(self):
        text = "the red bus stops here"
        self.assertEqual(self.new.encode(text, add_special_tokens=False).ids,
                         self.old.encode(text, add_special_tokens=False).ids)

    def test_new_rows_are_means_of_the_rows_of_their_pieces(self):
        import torch

        from tools.demo_model import grow
        old, new = (json.loads(one.to_str()) for one in (self.old, self.new))
        rows = torch.randn(len(old["model"]["vocab"]), 8)
        grown = grow.grown_rows(rows, old, new)
        self.assertTrue(torch.equal(grown[:len(rows)], rows))
        for token, number in new["model"]["vocab"].items():
            if number >= len(rows):
                pieces = self.old.encode(token.replace("▁", " "), add_special_tokens=False).ids
                torch.testing.assert_close(grown[number], rows[pieces].mean(0))

    def test_a_tokenizer_with_other_ids_is_refused(self):
        import torch

        from tools.demo_model import grow
        old, new = (json.loads(one.to_str()) for one in (self.old, self.new))
        first, second = list(new["model"]["vocab"])[400:402]
        vocabulary = new["model"]["vocab"]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
        with self.assertRaisesRegex(ValueError, "another id"):
            grow.grown_rows(torch.zeros(len(old["model"]["vocab"]), 2), old, new)


if __name__ == "__main__":
    unittest.main()
