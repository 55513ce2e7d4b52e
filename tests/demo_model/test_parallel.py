"""The parallel templates of tools/demo_model: word forms, agreement, and the split of the table.

Needs PyYAML besides the standard library."""

import pathlib
import random
import re
import sys
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
try:
    import yaml
    from tools.demo_model import cascade, grammar, inflection, parallel, parallel_numbers, sentences
except ImportError as error:
    raise unittest.SkipTest(f"PyYAML is not installed: {error}") from error

LISTS = {"noun": {"doc": ["report ; der Bericht, Berichte ; el informe"],
                  "list": ["list ; die Liste, Listen ; la lista"],
                  "hero": ["lion ; der Löwe/Löwen, Löwen ; el león"]},
         "adjective": {"color": ["red ; rot ; rojo"]},
         "subject": {"who": ["1p we ; wir ; "], "they": ["3p they ; sie ; ellos"]},
         "plain": {"when": ["tomorrow ; morgen ; mañana"]},
         "action": {"do": ["send/sent the {list} ; {list.den} ab|schicken/abgeschickt ; enviar {list.el}"],
                    "break": ["take/took/taken/taking a break ; eine Pause machen/gemacht ; hacer una pausa"]}}


def write(english, german, spanish, lists=LISTS):
    return grammar.Grammar(lists, {}, random.Random(1), 0.0).write((english, german, spanish))[:3]


class WordForms(unittest.TestCase):
    def test_german_phrases_follow_gender_and_case(self):
        phrases = [inflection.german_phrase(determiner, ["neu"], gender)
                   for determiner in ("der", "den", "dem", "ein", "einem") for gender in "mfn"]
        self.assertEqual(phrases, ["der neue", "die neue", "das neue", "den neuen", "die neue", "das neue",
                                   "dem neuen", "der neuen", "dem neuen", "ein neuer", "eine neue", "ein neues",
                                   "einem neuen", "einer neuen", "einem neuen"])
        with self.assertRaisesRegex(ValueError, "masculine form"):
            inflection.german_phrase("die", [], "f")

    def test_spanish_verbs_plurals_and_agreement(self):
        self.assertEqual([inflection.spanish_preterite("apagar", person) for person in inflection.PERSONS],
                         ["apagué", "apagó", "apagamos", "apagaron"])
        self.assertEqual([inflection.spanish_preterite("hacer", "3s"), inflection.spanish_future("hacer", "1p"),
                          inflection.spanish_conditional("ver", "3p"), inflection.spanish_participle("abrir")],
                         ["hizo", "haremos", "verían", "abierto"])
        self.assertEqual([inflection.spanish_plural(noun) for noun in
                          ("camión", "luz", "autobús", "café", "hoja de papel", "orden")],
                         ["camiones", "luces", "autobuses", "cafés", "hojas de papel", "ordenes"])
        self.assertEqual([inflection.spanish_adjective(word, "f", True) for word in ("rojo", "azul", "grande")],
                         ["rojas", "azules", "grandes"])

    def test_english_verbs(self):
        self.assertEqual(inflection.english_verb("copy/copied/copied/copying"), ("copy", "copied", "copied", "copying"))
        self.assertEqual(inflection.english_verb("prepare"), ("prepare", "prepared", "prepared", "preparing"))


class Grammar(unittest.TestCase):
    def test_the_three_lines_share_their_fillers_and_agree(self):
        self.assertEqual(write("The {color} {list} is next to the {hero}.", "{list.der @color} ist neben {hero.dem}.",
                               "{list.el _ @color} está al lado de {hero.el}."),
                         ("The red list is next to the lion.", "Die rote Liste ist neben dem Löwen.",
                          "La lista roja está al lado del león."))
        self.assertEqual(write("Two {doc.pl} are {color}.", "2 {doc.pl} sind {color}.", "{doc.los} son {color@doc.pl}."),
                         ("Two reports are red.", "2 Berichte sind rot.", "Los informes son rojos."))

    def test_verbs_agree_with_their_subject_and_separable_verbs_keep_zu_inside(self):
        self.assertEqual(write("{who} {who:have/has/have/have} {do.done}.",
                               "{who} {who:habe/hat/haben/haben} {do.getan}.", "{who} {do@who}."),
                         ("We have sent the list.", "Wir haben die Liste abgeschickt.", "Enviamos la lista."))
        self.assertEqual(write("{they} try to {do}.", "{they} versuchen, {do.zu}.", "{they} {do+they}."),
                         ("They try to send the list.", "Sie versuchen, die Liste abzuschicken.", "Ellos enviarán la lista."))

    def test_german_negation_stands_behind_a_definite_object_and_makes_kein_of_ein(self):
        lines = "{who} do not {do}.", "{who} werden {do.nicht}.", "{who} no {do.nosotros}."
        self.assertEqual(write(*lines)[1], "Wir werden die Liste nicht abschicken.")
        self.assertEqual(write(*(line.replace("do.", "break.").replace("{do}", "{break}") for line in lines)),
                         ("We do not take a break.", "Wir werden keine Pause machen.", "No hacemos una pausa."))

    def test_words_grow_together(self):
        self.assertEqual(grammar.contract("a hour, a apple, a uniform, a 8", "english"), "an hour, an apple, a uniform, an 8")
        self.assertEqual(grammar.contract("a el museo de el Prado y iglesias", "spanish"), "al museo del Prado e iglesias")
        self.assertEqual(grammar.contract("Zu der Post und in dem Haus", "german"), "Zur Post und im Haus")

    def test_what_a_template_asks_for_must_exist(self):
        for line, message in (("{nothing}", "no such list"), ("{doc.warm}", "no English form"), ("{when:a/b}", "cannot choose")):
            with self.assertRaisesRegex(ValueError, message):
                write(line, "", "")

    def test_a_held_out_filler_is_used_only_when_it_is_wanted(self):
        specs = [f"word{chr(97 + n)} ; x ; y" for n in range(26)]
        held = {spec for spec in specs if grammar.is_held(spec, 0.3)}
        self.assertTrue(0 < len(held) < 26)
        rules = grammar.Grammar({"plain": {"word": specs}}, {}, random.Random(2), 0.3)
        for wanted in (0.0, 1.0):
            for _ in range(200):
                english, _, _, used = rules.write(("{word}", "", ""), wanted)
                self.assertEqual(used, bool(wanted))
                self.assertEqual(any(spec.startswith(english.lower() + " ") for spec in held), used)


class Split(unittest.TestCase):
    def found(self):
        for number in range(400):
            split = "held-template" if number < 40 else "held" if number < 80 else None
            yield (f"This is sentence {number}.", "", "", False), "template-x", split

    def test_no_sentence_of_the_other_table_changes_sides(self):
        known = {sentences.normalise(f"this is Sentence {number}"): "train" if number % 2 else "held" for number in range(0, 400, 5)}
        table = list(parallel.assign(self.found(), known, 0.1))
        self.assertLess(len(table), 400)
        for english, _, _, _, split in table:
            other = known.get(sentences.normalise(english))
            self.assertTrue(other is None or (other == "train") == (split == "train"), english)

    def test_a_sentence_is_held_out_once_and_for_all_its_spellings(self):
        twice = [(("We need 3 cats.", "a", "b", False), "x", "held"), (("We need three cats!", "a", "b", False), "x", None)]
        self.assertEqual(list(parallel.assign(twice, {}, 0.0)), [("We need 3 cats.", "a", "b", "x", "held")])


class Choice(unittest.TestCase):
    def test_only_held_out_rows_are_chosen_and_each_kind_as_often_as_asked(self):
        table = [(f"sentence {number}", "a", "b", *kind) for number in range(30)
                 for kind in (("template-x", "train"), ("template-x", "held"), ("filler-x", "held"), ("template-x", "held-template"))]
        chosen = parallel.choose_held(table, {"seen": 3, "filler": 4, "template": 5}, 1)
        kinds = [kind for kind, _ in chosen]
        self.assertEqual([kinds.count(kind) for kind in ("seen", "filler", "template")], [3, 4, 5])
        for kind, row in chosen:
            self.assertEqual(row[3:], {"seen": ("template-x", "held"), "filler": ("filler-x", "held"),
                                       "template": ("template-x", "held-template")}[kind])
        self.assertEqual(chosen, parallel.choose_held(table[::-1], {"template": 5, "filler": 4, "seen": 3}, 1))
        with self.assertRaisesRegex(ValueError, "expected at least 31"):
            parallel.choose_held(table, {"seen": 31}, 1)

    def test_the_peer_gets_a_sentence_with_a_capital_and_a_stop(self):
        self.assertEqual(cascade.as_sentence("we think i am late"), "We think I am late.")
        self.assertEqual([cascade.as_sentence(text) for text in ("", "Yes?")], ["", "Yes?"])


class Lists(unittest.TestCase):
    """The project's own templates and lists."""

    @classmethod
    def setUpClass(cls):
        cls.lists = yaml.safe_load((parallel.FOLDER / "parallel_slots.yaml").read_text(encoding="utf-8"))
        cls.templates = parallel.read_templates(parallel.FOLDER / "parallel_templates.txt")

    def test_every_template_and_every_entry_can_be_written_in_all_languages(self):
        rules = grammar.Grammar(self.lists, parallel_numbers.MAKERS, random.Random(3), 0.05)
        letters = re.compile(r"[A-Za-z0-9äöüÄÖÜßáéíóúñÁÉÍÓÚÑ¿¡ ,.?!':;-]+")
        for _, lines in self.templates:
            plain = [row for row in (rules.write(lines) for _ in range(6)) if parallel.is_plain(row)]
            self.assertTrue(plain, lines)
            for row in plain:
                for text in row[:3]:
                    self.assertTrue(letters.fullmatch(text), text)
                    self.assertNotRegex(text, r"  |\.\.|(?<!m)[,.?!] *[,.]|^[a-zäöü]", text)
        for kind, named in self.lists.items():
            for spec in (spec for specs in named.values() for spec in specs):
                grammar.KINDS[kind](spec, rules)

    def test_the_same_seed_gives_the_same_sentences(self):
        def some(seed):
            rules = grammar.Grammar(self.lists, parallel_numbers.MAKERS, random.Random(seed), 0.05)
            return [rules.write(lines) for _, lines in self.templates[:40]]
        self.assertEqual(some(4), some(4))
        self.assertNotEqual(some(4), some(5))


class Table(unittest.TestCase):
    """The whole table, made anew, and the shipped recordings."""

    @classmethod
    def setUpClass(cls):
        cls.rows = list(parallel.rows({}))

    def test_sides_are_apart_and_every_row_is_complete(self):
        table = self.rows
        self.assertGreater(len(table), 100000)
        sides = {side: {sentences.normalise(row[0]) for row in table if (row[4] == "train") == (side == "train")}
                 for side in ("train", "held")}
        self.assertEqual(len(sides["train"]) + len(sides["held"]), len(table))
        self.assertFalse(sides["train"] & sides["held"])
        self.assertTrue(all(all(row) for row in table))

    def test_the_shipped_translation_set_holds_no_training_sentence(self):
        path = pathlib.Path(__file__).resolve().parents[2] / "assets/evaluation/translation.zip"
        rows = {row[0]: row for row in self.rows}
        lines = zipfile.ZipFile(path).read("items.tsv").decode().splitlines()
        self.assertEqual(len(lines), 200)
        for _, kind, _, *texts in (line.split("\t") for line in lines):
            self.assertEqual(list(rows[texts[0]][:3]), texts)
            self.assertNotEqual(rows[texts[0]][4], "train")
            self.assertEqual(parallel.kind_of(rows[texts[0]]), kind)

    def test_what_an_earlier_table_held_out_or_trained_on_stays_so(self):
        earlier = parallel.earlier_splits(parallel.FOLDER / "parallel_earlier.tsv")
        self.assertGreater(len(earlier), 400)
        for english, _, _, _, split in self.rows:
            other = earlier.get(sentences.normalise(english))
            self.assertTrue(other is None or (other == "train") == (split == "train"), english)


if __name__ == "__main__":
    unittest.main()
