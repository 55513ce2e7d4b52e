"""Captions beside the truth: which sentence was heard in which segment, and how many words are wrong."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools import beside_truth  # noqa: E402

SENTENCES = ["Here is the news.", "It costs 5 pounds.", "Good bye."]


def transcript(segment, text, start=0.0, final=True):
    return {"kind": "transcript", "segment": segment, "text": text, "start": start, "final": final}


class Alignment(unittest.TestCase):
    def test_errors_are_insertions_deletions_and_replacements(self):
        said = "a b c d".split()
        for heard, places, wrong in (("a b c d", [0, 1, 2, 3], 0), ("a x c d", [0, 1, 2, 3], 1),
                                     ("a c d", [0, 2, 3], 1), ("a b x c d", [0, 1, 1, 2, 3], 1),
                                     ("", [], 4), ("x a b c d", [0, 0, 1, 2, 3], 1)):
            self.assertEqual(beside_truth.alignment(said, heard.split()), (places, wrong), heard)

    def test_case_and_marks_do_not_count(self):
        self.assertEqual(beside_truth.alignment(["Here,", "o'clock."], ["here", "O'clock"])[1], 0)

    def test_segments_may_join_and_miss_sentences(self):
        found, wrong = beside_truth.lines_of_segments(SENTENCES, ["Here is a news it costs 5 pounds"])
        self.assertEqual((found, wrong), ([[0, 1]], 3))

    def test_a_sentence_is_in_one_segment(self):
        found, wrong = beside_truth.lines_of_segments(SENTENCES, ["Here is the news. It", "costs 5 pounds.", "Good bye."])
        self.assertEqual((found, wrong), ([[0], [1], [2]], 0))

    def test_nothing_heard_is_all_wrong(self):
        self.assertEqual(beside_truth.lines_of_segments(SENTENCES, []), ([], 10))


class Report(unittest.TestCase):
    def test_each_kind_stands_beside_its_truth(self):
        captions = [
            {"kind": "scene", "at": 0.0, "text": "A bus."},
            transcript(0, "Here", final=False),
            transcript(0, "Here is the news."),
            transcript(1, "It cost 5 pounds.", 4.2),
            {"kind": "translation", "segment": 1, "language": "de", "text": "Es kostete 5 Pfund."},
            {"kind": "scene", "at": 5.0, "text": "Two cats."},
        ]
        with tempfile.TemporaryDirectory() as folder:
            sample = pathlib.Path(folder) / "radio"
            sample.with_suffix(".txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
            sample.with_suffix(".de.txt").write_text("Hier.\nEs kostet 5 Pfund.\nAde.\n", encoding="utf-8")
            sample.with_suffix(".scenes.txt").write_text("0\tA bus.\n5\tTwo dogs.\n", encoding="utf-8")
            text = "\n".join(beside_truth.report(captions, sample))
        self.assertIn("00:04  said    It costs 5 pounds.\n       heard   It cost 5 pounds.\n"
                      "       German  Es kostete 5 Pfund.\n       true    Es kostet 5 Pfund.\n", text)
        self.assertIn("said    Good bye.\n       heard   –\n", text)
        self.assertIn("00:05  there   Two dogs.\n       seen    Two cats.\n", text)
        self.assertIn("3 of 10 words wrong (30.0 %)\nGerman: 0 of 1 translations as the true one, "
                      "1 of 4 words differ\n", text)
        self.assertTrue(text.endswith("1 of 2 scenes told word for word"))

    def test_scenes_are_told_only_where_they_were_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            sample = pathlib.Path(folder) / "radio"
            sample.with_suffix(".txt").write_text("Here.\n", encoding="utf-8")
            text = "\n".join(beside_truth.report([transcript(0, "Here.")], sample))
        self.assertIn("0 of 1 words wrong", text)
        self.assertNotIn("seen", text)


if __name__ == "__main__":
    unittest.main()
