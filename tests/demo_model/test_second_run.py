"""What the second run adds to the data code: people's recordings, prompts of several turns, examples
without words, growing tokenizer pieces, and the proof of the split. numpy is enough."""

import pathlib
import random
import struct
import sys
import tempfile
import unittest
import zipfile

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tools.demo_model import batches, examples, game_voices, music, prompt, split_check, store, truncation  # noqa: E402

RATE = store.RATE_HZ


def dialogue(key, person, player):
    """The bytes of a dialogue file without a tree."""
    def strings(texts):
        out = b""
        for number, text in texts:
            out += struct.pack(">hhB", 0, number, len(text)) + text.encode()
            out += b"\0" * (-(len(out)) % 4)
        return out
    header_size = 32
    player_strings, person_strings = strings(player), strings(person)
    header = struct.pack(">5h", 0, 1, key, len(player), len(person)) + b"\0" * 12
    header += struct.pack(">3H", header_size + len(player_strings), 0, 0) + b"\0" * 4
    return b"\0" * 20 + header + player_strings + person_strings


def game_archive(files):
    table, data, at = b"", b"", 15 + 21 * len(files)
    for name, content in files.items():
        table += struct.pack(">12sBII", name.encode(), 1, at + len(data), len(content))
        data += content
    return b"QTBLCEM10\0\0\0\1" + struct.pack(">H", len(files)) + table + data


class GameVoices(unittest.TestCase):
    def archive(self, folder):
        clip = b"\xff" * 2000
        files = {"BOB1.DOG": dialogue(5, [(1, "Hello there.*05And good bye!*WT")], [(31, "Who are you?")]),
                 "050001P1.SB": clip + b"1", "050001P2.SB": clip + b"2", "05001FJ1.SB": clip + b"3"}
        path = pathlib.Path(folder) / "queen.1c"
        path.write_bytes(game_archive(files))
        return path

    def test_every_clip_gets_the_words_of_its_place_in_the_string(self):
        with tempfile.TemporaryDirectory() as folder:
            found = [(clip.character, clip.text, clip.mp3[-1:]) for clip in game_voices.clips(self.archive(folder))]
        self.assertEqual(found, [("BOB", "Hello there.", b"1"), ("BOB", "And good bye!", b"2"),
                                 ("JOE", "Who are you?", b"3")])

    def test_a_packed_zip_keeps_the_table_and_the_files(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "queen.zip"
            game_voices.pack(self.archive(folder), out)
            self.assertEqual(game_voices.read_table(out)[0], ("0000.mp3", "BOB", "Hello there."))
            self.assertEqual(zipfile.ZipFile(out).read("0002.mp3")[-1:], b"3")

    def test_captions_have_no_trailing_dots_no_shouting_and_no_grunts(self):
        self.assertEqual(game_voices.caption("...and no BACK talk..."), "And no back talk.")
        self.assertEqual(game_voices.caption("Well... I had two"), "Well, I had 2.")
        self.assertIsNone(game_voices.caption("Frt MMFRT!"))

    def test_another_file_is_refused(self):
        with self.assertRaisesRegex(ValueError, "QTBL"):
            game_voices.entries(b"RIFF" + b"\0" * 20)


class Letters:
    """A tokenizer of single characters; markers are one token each."""

    def __init__(self):
        self.known = {name: 1000 + number for number, name in enumerate(prompt.CONTROL_TOKENS)}

    def token_to_id(self, name):
        return self.known[name]

    def encode(self, text, add_special_tokens):
        ids = []
        while text:
            name = next((name for name in self.known if text.startswith(name)), text[0])
            ids.append(self.known.get(name, ord(name[0])))
            text = text[len(name):]
        return type("Encoding", (), {"ids": ids})


class Rows(unittest.TestCase):
    def setUp(self):
        self.tokenizer = Letters()
        self.layout = batches.Layout(self.tokenizer, "English")
        self.shape = batches.Shape(2, 700, 12, 80)

    def said(self, row):
        """The text of what has to be said, without the ends of turns."""
        return "".join(chr(token) for token, learnt in zip(row.after, row.learnt) if learnt and token < 1000)

    def example(self, form, **fields):
        return examples.Example([examples.Segment(0, 0, 6400)], 6400, 1.0, "Good day.", form, **fields)

    def test_a_transcript_is_learnt_to_its_end(self):
        row = self.layout.speech_row(self.example(examples.TRANSCRIBE))
        self.assertEqual(self.said(row), "Good day.")
        self.assertEqual(row.after[-1], self.layout.end_id)
        self.assertTrue(row.learnt[-1])
        self.assertEqual(row.soft, 10)

    def test_the_translation_prompt_is_answered_in_one_turn(self):
        row = self.layout.speech_row(self.example(examples.DIRECT, language="German", translation="Guten Tag."))
        self.assertEqual(self.said(row), "Good day.\nGerman: Guten Tag.")
        self.assertNotEqual(row.before, self.layout.before)

    def test_a_follow_up_repeats_the_transcript_and_learns_only_the_translation(self):
        example = self.example(examples.FOLLOW_UP, language="Spanish", translation="Buenos dias.")
        row = self.layout.speech_row(example)
        self.assertEqual(self.said(row), "Good day. Buenos dias.")
        after = "".join(chr(token) for token in row.after if token < 1000)
        self.assertEqual(after.count("Good day."), 2)
        self.assertTrue(after.endswith("Good day.\nSpanish: Buenos dias."))
        self.assertEqual(row.before, self.layout.before)

    def test_a_transcript_that_is_not_heard_is_given_and_not_learnt(self):
        example = self.example(examples.FOLLOW_UP, language="Spanish", translation="Buenos dias.", has_words=False)
        self.assertEqual(self.said(self.layout.speech_row(example)), " Buenos dias.")
        batch = batches.collate([example], [self.layout.speech_row(example)], self.layout, self.shape)
        self.assertEqual(batch["letter_count"].tolist(), [0, 0])

    def test_labels_stand_one_place_after_the_position_that_predicts_them(self):
        chosen = [self.example(examples.TRANSCRIBE), self.example(examples.DIRECT, language="German", translation="Tag.")]
        batch = batches.collate(chosen, [self.layout.speech_row(one) for one in chosen], self.layout, self.shape)
        counted = batch["labels"] != batches.NO_LABEL
        self.assertTrue((batch["tokens"].ravel()[batch["label_at"] + 1] == batch["labels"])[counted].all())
        self.assertGreater(counted.sum(), 20)
        for row, begin in enumerate(batch["soft_at"]):
            audio = batch["tokens"][row] == self.layout.audio_id
            self.assertEqual(audio.argmax(), begin)
            self.assertEqual(audio.sum(), 10)

    def test_a_batch_has_the_sizes_of_its_shape_however_few_its_examples(self):
        example = self.example(examples.TRANSCRIBE)
        batch = batches.collate([example], [self.layout.speech_row(example)], self.layout, self.shape)
        self.assertEqual(batch["tokens"].shape, (2, 700))
        self.assertEqual(batch["labels"].shape, (80,))
        self.assertEqual((batch["length"].sum(1) > 0).tolist(), [True, False])
        self.assertEqual((batch["frames"].tolist(), batch["letter_count"].tolist()), ([10, 1], [8, 0]))

    def test_every_example_comes_out_once_in_a_batch_that_takes_it(self):
        chooser, filler, given, out = random.Random(4), batches.Filler(batches.shapes(2000)), [], []
        for number in range(3000):
            soft, answer = chooser.randint(1, 388), chooser.randint(0, 40)
            row = batches.Row([1] * 16, soft, [2] * answer, [True] * answer)
            if any(shape.takes(row) for shape in filler.shapes):
                given.append(number)
            full = filler.add((number, row), row)
            if full:
                shape, items = full
                self.assertLessEqual(len(items), shape.rows)
                self.assertLessEqual(sum(len(row.after) for _, row in items), shape.labels)
                self.assertTrue(all(shape.takes(row) for _, row in items))
                out += [number for number, _ in items]
        left = [number for waiting in filler.waiting for number, _ in waiting]
        self.assertGreater(len(out), 2000)
        self.assertEqual(sorted(out + left), given)

    def test_the_question_about_a_picture_puts_the_patches_first(self):
        row = self.layout.scene_row(66, "A bus.")
        self.assertEqual(row.before[-1], self.tokenizer.known[prompt.IMAGE_BEGIN])
        self.assertEqual((row.soft, self.said(row)), (66, "A bus."))


class Index:
    """Recordings of one second: two of a voice, one of a person, one of music."""
    start = numpy.arange(4) * RATE
    length = numpy.full(4, RATE)
    sentence = numpy.array([0, 1, 2, -1])
    speaker = numpy.array([0, 0, 200, -1])
    engine = numpy.array([0, 0, store.ENGINES.index("person"), store.ENGINES.index("background")])

    def __len__(self):
        return 4

    def word_times(self, number):
        empty = numpy.zeros(0, int)
        return (empty, empty) if number >= 2 else (numpy.array([0, RATE // 2]), numpy.array([RATE // 3, RATE * 9 // 10]))


SETTINGS = {"short_samples": 5 * RATE, "silence_share": 0.2, "silent_share": 0.5, "people_share": 0.3,
            "translated_share": 0.3, "translated_pair_share": 0.3, "direct_share": 0.5, "unheard_share": 0.3,
            "cut_share": 0.4, "join_share": 0.4, "late_start_share": 0.1, "rate_share": 0.5, "rate_min": 0.82,
            "rate_max": 1.2, "seconds_max": 15.4, "segments_max": 4}


class Kinds(unittest.TestCase):
    def setUp(self):
        planner = examples.Planner(Index(), ["One two.", "Three four.", "Five six."], SETTINGS,
                                   {0: {"German": "Eins zwei.", "Spanish": "Uno dos."}, 2: {"German": "Fünf sechs."}})
        chooser = random.Random(5)
        self.made = [planner.make(chooser, False) for _ in range(4000)]

    def test_music_is_heard_only_where_nothing_is_said(self):
        music_at = 3 * RATE
        with_music = [one for one in self.made if any(segment.source >= music_at for segment in one.segments)]
        self.assertGreater(len(with_music), 200)
        for one in with_music:
            self.assertEqual((one.text, one.has_words, len(one.segments)), ("", False, 1))

    def test_translations_are_of_whole_recordings_in_a_language_that_all_have(self):
        translated = [one for one in self.made if one.form != examples.TRANSCRIBE]
        self.assertAlmostEqual(len(translated) / len(self.made), 0.3, delta=0.04)
        known = {"One two.": {"German": "Eins zwei.", "Spanish": "Uno dos."}, "Five six.": {"German": "Fünf sechs."}}
        for one in translated:
            parts = [part + "." for part in one.text.rstrip(".").split(". ")]
            self.assertEqual(one.translation, " ".join(known[part][one.language] for part in parts))
            if one.heard:
                self.assertEqual(len(one.segments), len(parts))
        self.assertTrue(any(not one.heard for one in translated))

    def test_people_are_chosen_more_often_than_by_their_number(self):
        firsts = [one.segments[0].source for one in self.made if one.segments and one.form == examples.TRANSCRIBE
                  and one.has_words]
        share = sum(2 * RATE <= source < 3 * RATE for source in firsts) / len(firsts)
        self.assertAlmostEqual(share, 0.3 + 0.7 / 3, delta=0.05)


class Music(unittest.TestCase):
    def test_the_same_seed_makes_the_same_sound_and_it_is_heard(self):
        first, second = (music.make_one(numpy.random.default_rng(4)) for _ in range(2))
        self.assertTrue((first == second).all())
        self.assertEqual((first.dtype, len(first)), (numpy.int16, music.SECONDS * RATE))
        self.assertGreater(numpy.abs(first).max(), 100)


class Truncation(unittest.TestCase):
    def test_any_beginning_of_the_text_explains_a_transcript(self):
        for said in ("", "The red", "The red bus stops here."):
            self.assertEqual(truncation.unexplained("The red bus stops here.", said)[0], 0)

    def test_invented_and_misheard_words_count(self):
        self.assertEqual(truncation.unexplained("The red bus stops here.", "The red busy"), (1, 3))
        self.assertEqual(truncation.unexplained("The red bus stops here.", "The red bus is late"), (2, 5))
        self.assertEqual(truncation.unexplained("The red bus.", "Thank you."), (2, 2))

    def test_cuts_are_shorter_and_keep_the_text(self):
        items = [("one two", numpy.zeros(4 * RATE, numpy.int16)), ("short", numpy.zeros(100, numpy.int16))]
        (place, text, samples), = truncation.cut(items, 1)
        self.assertEqual(text, "one two")
        self.assertTrue(RATE <= len(samples) <= 3.4 * RATE)


class SplitProof(unittest.TestCase):
    ROWS = [("a", "train", "We met at two."), ("b", "held", "We left at three."), ("c", "train", "Nobody came.")]

    def test_a_clean_table_has_no_problems(self):
        self.assertEqual(split_check.sentence_problems(self.ROWS, {"set": ["We left at 3!"]}), [])

    def test_a_sentence_on_both_sides_is_found_whatever_its_spelling(self):
        rows = self.ROWS + [("d", "train", "we left at 3")]
        self.assertEqual(len(split_check.sentence_problems(rows, {})), 1)

    def test_a_sentence_of_an_evaluation_set_that_is_trained_on_is_found(self):
        problems = split_check.sentence_problems(self.ROWS, {"set": ["nobody came", "Something else."]})
        self.assertEqual(problems, ["held out by set, but trained on: nobody came"])

    def test_recordings_of_held_out_sentences_and_speakers_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, items in (("kokoro-0", ((0, 1), (1, 1), (2, 9))), ("held", ((1, 9),)), ("background-0", ((-1, -1),))):
                writer = store.Writer(pathlib.Path(folder) / name)
                for row, speaker in items:
                    writer.add(numpy.ones(10, numpy.int16), row, speaker, "kokoro")
                writer.close()
            problems = split_check.store_problems(self.ROWS, folder, {9})
        self.assertEqual(len(problems), 2)
        self.assertIn("held sentence 'We left at three.'", problems[0])
        self.assertIn("speaker 9", problems[1])


class SplitOfTheSecondRun(unittest.TestCase):
    """The built tables, if they are there: run after make-text."""

    root = pathlib.Path(__file__).resolve().parents[2]
    work = root / "build/demo_model/work2"

    def test_nothing_that_is_held_out_is_trained_on(self):
        if not (self.work / "tokenizer.json").exists():
            self.skipTest("no tables of the second run: make-text was not run here")
        import yaml
        config = yaml.safe_load((self.root / "tools/demo_model/second.yaml").read_text(encoding="utf-8"))
        self.assertEqual(split_check.check(config, self.work, self.root / "assets"), 0)


if __name__ == "__main__":
    unittest.main()
