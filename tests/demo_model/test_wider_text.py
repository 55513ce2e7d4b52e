"""Tests of the text sources of the third run: books, dialogues, and patterns with WordNet's words."""

import pathlib
import random
import struct
import tempfile
import unittest
import zlib

import yaml

from tools.demo_model import books, dialogues, overlap, sentences, split_check, templates, text, words


def serialised(lines):
    """A block as R writes strings: only what the reader looks for."""
    return b"X\n" + b"".join(b"\0\4\0\t" + struct.pack(">i", len(line)) + line for line in (one.encode() for one in lines))


class BooksTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def test_novels_are_joined_over_lines_and_streams(self):
        first = ["CHAPTER ONE", "", "It was _very_ late when Mr.", "Brown came home; the dog slept.", ""]
        second = ["“Where is she?” he asked.", "", "IV"]
        self.write(books.NOVELS, b"head" + zlib.compress(serialised(first)) + b"size" + zlib.compress(serialised(second)))
        self.assertEqual([text for _, text in books.novels(self.folder)],
                         ["It was very late when Mr. Brown came home.", "The dog slept.", "Where is she? he asked."])

    def test_the_novel_that_evaluation_reads_from_stays_out(self):
        other = ["EMMA", "", "Emma was handsome and rich."]
        evaluated = [books.EVALUATED, "", "The family had long been settled there."]
        self.write(books.NOVELS, b"head" + zlib.compress(serialised(evaluated)) + zlib.compress(serialised(other)))
        self.assertEqual([text for _, text in books.novels(self.folder)], ["Emma was handsome and rich."])

    def test_the_bible_loses_its_notes_and_its_marks(self):
        front = '<milestone n="Preface"/> This is a preface.'
        book = (front + '<chapter n="1"/><title>Of the son</title><w lemma="x">The</w> <w lemma="y">book</w>,'
                '<note place="foot"><reference>1:1</reference>A note.</note><w>was</w> lost. <verse n="2"/>He found it there.')
        packed = zlib.compress(book.encode())
        for part in ("ot", "nt"):
            self.write(f"{books.BIBLE}/{part}.bzs", struct.pack("<III", 0, len(packed), len(book)))
            self.write(f"{books.BIBLE}/{part}.bzz", packed)
        self.assertEqual([text for _, text in books.bible(self.folder)],
                         ["The book, was lost.", "He found it there."] * 2)

    def test_a_game_speaks_without_colours_and_directions(self):
        story = ('void talk(void)\n{ say_stop("`5Woah!  WHAT is that...", 1); say("&mcrap gold pieces", 1);\n'
                 ' say_stop("<sigh> no", 1); }')
        self.write(f"{dialogues.GAME}/a.c", story.encode())
        self.assertEqual([text for _, text in dialogues.game(self.folder)], ["Woah!", "What is that."])

    def test_small_talk_is_cut_into_sentences(self):
        self.write(f"{dialogues.TALK}/food.yml", b"conversations:\n- - What do you eat?\n  - I eat bread. You know it.\n")
        self.write(f"{dialogues.TALK}/coding.yml", b"conversations:\n- - What is a loop here?\n")
        self.assertEqual([text for _, text in dialogues.talk(self.folder)],
                         ["What do you eat?", "I eat bread.", "You know it."])


class WordsTest(unittest.TestCase):
    def test_regular_forms_only_where_they_are_pronounced(self):
        forms = {"carried": "", "boxes": "", "hoping": "", "berries": ""}
        self.assertEqual(words.inflected("carry", "ed", forms), "carried")
        self.assertEqual(words.inflected("box", "s", forms), "boxes")
        self.assertEqual(words.inflected("hope", "ing", forms), "hoping")
        self.assertEqual(words.inflected("berry", "s", forms), "berries")
        self.assertIsNone(words.inflected("go", "ed", forms))

    def test_every_word_of_a_gap_comes_before_one_comes_again(self):
        made = words.Words.__new__(words.Words)
        made.random, made.forms, made.places = random.Random(1), {"owl": "ˈWl", "cat": "kˈæt"}, {}
        made.lists = {"animal": ["cat", "owl", "emu"]}
        found = [made.next("animal") for _ in range(6)]
        self.assertEqual(sorted(found[:3]), ["cat", "emu", "owl"])
        self.assertEqual(sorted(found[3:]), ["cat", "emu", "owl"])
        made.lists = {"animal": ["owl"]}
        self.assertEqual(made.fill("It is {a_animal}."), "It is an owl.")

    def test_patterns_name_gaps_that_there_are(self):
        known = {*words.GAPS, *(f"{ending}_{gap}" for ending in words.ENDINGS for gap in words.GAPS)}
        for line in words.PATTERNS.read_text(encoding="utf-8").splitlines():
            for _, gap in words.GAP.findall(line if line[:1] not in "#[" else ""):
                self.assertIn(gap, known, line)


class SpokenTemplatesTest(unittest.TestCase):
    def test_articles_and_held_templates(self):
        maker = templates.Templates(random.Random(1), "spoken_templates.txt")
        maker.slots["animal"] = ["owl"]
        self.assertEqual(maker.fill("It is {a_animal}."), "It is an owl.")
        made = list(templates.Templates(random.Random(1), "spoken_templates.txt").make(5, 0.06))
        self.assertGreater(sum(held for held, _ in made), 0)
        self.assertNotIn("{", " ".join(line for _, line in made))

    def test_old_templates_are_filled_as_before(self):
        lines = [line for _, line in templates.Templates(random.Random(1)).make(2, 0.06)]
        self.assertEqual(lines, [line for _, line in templates.Templates(random.Random(1)).make(2, 0.06)])
        self.assertTrue(all(sentences.normalise(line) for line in lines))


class SourcesTest(unittest.TestCase):
    def test_a_sentence_of_a_held_template_is_held_in_every_source(self):
        saved, text.sources = text.sources, lambda settings, folder: [
            ("novel", "I have no idea.", False), ("spoken-held", "I have no idea!", True), ("novel", "He left.", False)]
        try:
            rows = list(text.gather({"held_share": 0.0}, pathlib.Path(".")))
        finally:
            text.sources = saved
        self.assertEqual(rows, [("novel", "held", "I have no idea."), ("novel", "train", "He left.")])

    def test_a_row_with_much_of_an_evaluated_sentence_is_held(self):
        rows = [("novel", "He was not an ill-disposed young man, unless one knew him.", False),
                ("novel", "He was not ill.", False)]
        saved = text.sources, text.evaluated_texts
        text.sources = lambda settings, folder: rows
        text.evaluated_texts = lambda settings, folder: ["he was not an ill disposed young man"]
        try:
            made = [split for _, split, _ in text.gather({"held_share": 0.0}, pathlib.Path("."))]
        finally:
            text.sources, text.evaluated_texts = saved
        self.assertEqual(made, ["held", "train"])

    def test_nothing_is_evaluated_unless_the_settings_say_where(self):
        self.assertEqual(list(text.evaluated_texts({}, pathlib.Path("."))), [])


class OverlapTest(unittest.TestCase):
    KNOWN = overlap.Evaluated(["And then press the pound key.", "Thank you.", "He left at 3 with all of it on a train!"])

    def test_whole_sentences_are_found_inside_others_whatever_their_spelling(self):
        self.assertEqual(self.KNOWN.found_in("Enter 5 and then press the pound key twice."),
                         "And then press the pound key.")
        self.assertIsNotNone(self.KNOWN.found_in("he left at three, with all of it, on a train"))

    def test_a_run_of_eight_words_is_too_much_and_seven_are_not(self):
        self.assertIsNotNone(self.KNOWN.found_in("They say he left at 3 with all of it."))
        self.assertIsNone(self.KNOWN.found_in("They say he left at 3 with all of them."))

    def test_short_phrases_are_everybodys(self):
        self.assertIsNone(self.KNOWN.found_in("Thank you very much for all of this."))

    def test_check_split_names_them(self):
        rows = [("a", "train", "Now and then press the pound key."), ("b", "held", "And then press the pound key.")]
        problem, = split_check.overlap_problems(rows, {"people": ["And then press the pound key."]})
        self.assertIn("people", problem)

    def test_the_built_tables_have_nothing_of_what_is_evaluated(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        work = root / "build/demo_model/work4"
        if not (work / "sentences.tsv").exists() or not (work / "queen.zip").exists():
            self.skipTest(f"{work} has no tables: make them with fourth.yaml")
        config = yaml.safe_load((root / "tools/demo_model/fourth.yaml").read_text(encoding="utf-8"))
        self.assertEqual(split_check.check(config, work, root / "assets"), 0)


if __name__ == "__main__":
    unittest.main()
