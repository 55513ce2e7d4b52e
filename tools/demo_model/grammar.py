"""A small grammar that writes one sentence in English, German and Spanish at once.

A template is three lines, one a language. `{word}` is filled from the list of that name, with the
same entry in all three; `{word2}` is another entry of the same list. Forms and agreement:

  {doc.pl}              a form of the entry, e.g. the plural
  {doc.den *neu}        German: determiner in its masculine form (which says the case) and adjectives
  {doc.un _ *nuevo}     Spanish: the same; the noun stands where '_' is, else at the end
  {thing.einen @color}  '@' takes the adjective from the entry of that name
  {who:have/has/have/have}  choice by person (1s 3s 1p 3p) of a subject, by gender (m f n; m f) of a noun
  {adjective@doc}       Spanish: the adjective agrees with another entry ({adjective@doc.pl} with its plural);
                        for an action: the past tense, agreeing with a subject
  {do+who} {do-who}     Spanish: future and conditional of an action; '3s' in place of a subject is a person
  {do.nicht} {do.noch nicht getan}  German: with its negation in the right place

Lists are in text/parallel_slots.yaml: `kind: {list: [english ; german ; spanish, …]}`. Entries may
hold references themselves."""

import re

from . import inflection as inflect
from . import sentences

LANGUAGES = ("english", "german", "spanish")
REFERENCE = re.compile(r"\{([a-z_]+)(\d?)(?:([.:@+-])([^{}]*))?\}")
HELD_FROM = 20           # lists of fewer entries are closed classes, of which none is held out


def is_held(entry, share):
    """Whether a filler is never used in training: decided by its text alone."""
    return sentences.share_of(entry, "filler") < share


class Entry:
    """One filler of a list: what it is in each language, and how it agrees."""

    person, gender = "3s", {}

    def __init__(self, spec, grammar):
        self.grammar, self.scope = grammar, {}
        self.parts = [part.strip() for part in spec.split(";")]
        if len(self.parts) != len(LANGUAGES):
            raise ValueError(f"'{spec}': expected 3 parts (English ; German ; Spanish), found {len(self.parts)}")

    def expand(self, text, language):
        return self.grammar.expand(text, language, self.scope)

    def form(self, language, name, scope):
        """The plain form; kinds with more forms say which."""
        if name:
            raise ValueError(f"'{self.parts}' has no form '{name}'")
        return self.expand(self.parts[LANGUAGES.index(language)], language)

    def choose(self, language, options):
        """One of the options of {entry:a/b/…}."""
        if len(options) == len(inflect.PERSONS):
            return options[inflect.PERSONS.index(self.person)]
        gender = self.gender.get(language)
        if gender is None or len(options) != (3 if language == "german" else 2):
            raise ValueError(f"'{self.parts}': cannot choose from {options} in {language}")
        return options[inflect.GENDERS.index(gender)]


class Plain(Entry):
    """Words or phrases; 'name=text' after '|' adds a form: 'está soleado' in 'estará soleado|hoy=está soleado'."""

    def form(self, language, name, scope):
        text, *more = self.parts[LANGUAGES.index(language)].split("|")
        if name:
            forms = dict(one.strip().split("=", 1) for one in more)
            if name not in forms:
                raise ValueError(f"'{self.parts}' has no form '{name}' in {language}")
            text = forms[name]
        return self.expand(text.strip(), language)


class Name(Entry):
    """A first name with its gender: 'Anna f'."""

    def __init__(self, spec, grammar):
        word, gender = spec.rsplit(" ", 1)
        super().__init__(" ; ".join([word] * 3), grammar)
        self.gender = dict.fromkeys(LANGUAGES, gender)


class Subject(Entry):
    """'3p the customers ; die Kunden ; los clientes'. The Spanish one may be empty."""

    def __init__(self, spec, grammar):
        person, _, rest = spec.partition(" ")
        super().__init__(rest, grammar)
        self.person = person
        self.gender = {"spanish": "m"}


THIRD_PERSON = Subject("3s somebody ; jemand ; alguien", None)


class Noun(Entry):
    """'report ; der Bericht, Berichte ; el informe'. Irregular plurals follow a comma; 'der
    Kunde/Kunden' gives the form of accusative and dative."""

    def __init__(self, spec, grammar):
        super().__init__(spec, grammar)
        english, german, spanish = self.parts
        self.singular, self.plural = {}, {}
        word, _, plural = english.partition(",")
        self.singular["english"], self.plural["english"] = word, plural.strip() or inflect.english_plural(word)
        word, _, plural = german.partition(",")
        article, _, word = word.partition(" ")
        self.singular["german"], _, oblique = word.partition("/")
        self.oblique, self.plural["german"] = oblique or self.singular["german"], plural.strip()
        word, _, plural = spanish.partition(",")
        spanish_article, _, word = word.partition(" ")
        self.singular["spanish"], self.plural["spanish"] = word, plural.strip() or inflect.spanish_plural(word)
        self.gender = {"german": {"der": "m", "die": "f", "das": "n"}[article],
                       "spanish": {"el": "m", "la": "f"}[spanish_article]}

    def form(self, language, name, scope):
        if not name:
            return self.singular[language]
        if name == "pl":
            return self.plural[language]
        return getattr(self, language)(name, scope)

    def english(self, name, scope):
        raise ValueError(f"'{self.parts}' has no English form '{name}'")

    def german(self, name, scope):
        if name == "pldat":
            return inflect.german_dative_plural(self.plural["german"])
        if name == "obl":
            return self.oblique
        determiner, *adjectives = name.split()
        stems = [inflect.german_stem(scope[word[1:]].parts[1]) if word[0] == "@" else inflect.german_stem(word[1:])
                 for word in adjectives]
        phrase = inflect.german_phrase(determiner, stems, self.gender["german"])
        nominative = inflect.GERMAN_DETERMINERS[determiner][0] == "nominative"
        return f"{phrase} {self.singular['german'] if nominative else self.oblique}"

    def spanish(self, name, scope):
        words = name.split()
        plural = any(word.lstrip("*") in inflect.SPANISH_PLURALS for word in words)
        noun, gender, out = (self.plural if plural else self.singular)["spanish"], self.gender["spanish"], []
        for word in words if "_" in words else [*words, "_"]:
            if word == "_":
                out.append(noun)
            elif word[0] == "@":
                out.append(inflect.spanish_adjective(scope[word[1:]].parts[2], gender, plural))
            else:
                out.append(inflect.spanish_word(word.lstrip("*"), gender))
        return " ".join(out)


class Adjective(Entry):
    """'cheap ; billig ; barato': as a predicate, or with '@' inside a noun's form."""

    def agree(self, other, _, plural):
        return inflect.spanish_adjective(self.parts[2], other.gender["spanish"], plural or other.person[1] == "p")


SPANISH_TENSES = {"@": inflect.spanish_preterite, "+": inflect.spanish_future, "-": inflect.spanish_conditional}


class Action(Entry):
    """What somebody does: 'send/sent the {doc} ; {doc.den} ab|schicken/abgeschickt ; enviar {doc.el}'.

    English: base, did, done, doing. German: infinitive, zu, getan (with 'haben'). Spanish:
    infinitive, hecho, haciendo, nosotros, and tenses by '@', '+' and '-'."""

    def form(self, language, name, scope):
        return self.expand(getattr(self, language)(name), language)

    def english(self, name):
        verb, blank, rest = self.parts[0].partition(" ")
        return inflect.english_verb(verb)[("", "did", "done", "doing").index(name)] + blank + rest

    def german(self, name):
        before, blank, verb = self.parts[1].rpartition(" ")
        *negation, name = name.split(" ") if name else [""]
        if name == "nicht":
            negation, name = [*negation, name], ""
        if negation:
            before = self.negated(before, " ".join(negation))
        return before + blank + inflect.german_verb(verb)[("", "zu", "getan").index(name)]

    @staticmethod
    def negated(before, words):
        """'nicht' stands behind a definite object and before all else; 'ein' becomes 'kein'."""
        if re.fullmatch(r"\{[a-z]+(\.de[nm])?( @[a-z]+)?\}|d(en|ie|as) \w+", before):
            return f"{before} {words}"
        none = re.sub(r"^(ein)|(?<=\.)(einen)", lambda match: "k" + match[0], before)
        if none != before:
            return " ".join(words.split()[:-1] + [none])
        return f"{words} {before}"

    def spanish(self, name):
        verb, blank, rest = self.parts[2].partition(" ")
        forms = {"": str, "hecho": inflect.spanish_participle, "haciendo": inflect.spanish_gerund,
                 "nosotros": inflect.spanish_present_of_us}
        return forms[name](verb) + blank + rest

    def agree(self, other, tense, _):
        verb, blank, rest = self.parts[2].partition(" ")
        return self.expand(SPANISH_TENSES[tense](verb, other.person) + blank + rest, "spanish")


class Clause(Entry):
    """A statement; German has the order of a main clause and, after '//', of a subordinate one."""

    def form(self, language, name, scope):
        text = self.parts[LANGUAGES.index(language)]
        if language == "german":
            text = text.split("//")[("", "dass").index(name)].strip()
        return self.expand(text, language)


VOWEL_SOUND = r"(?:[aeioAEIO]|un(?!i)|um|up|ur|8|11\b|18\b|hour|honest)(?!ne\b|uro|uni)"
KINDS = {"plain": Plain, "name": Name, "subject": Subject, "noun": Noun, "adjective": Adjective,
         "action": Action, "clause": Clause}


GERMAN_CONTRACTIONS = {"in dem": "im", "an dem": "am", "zu dem": "zum", "zu der": "zur", "bei dem": "beim",
                       "von dem": "vom", "in das": "ins", "an das": "ans"}
GERMAN_PAIR = re.compile(r"\b(?:" + "|".join(GERMAN_CONTRACTIONS) + r")\b", re.IGNORECASE)


def contract(text, language):
    """Articles that grow together with the preposition before them, and English 'an'."""
    if language == "english":
        return re.sub(rf"\b([Aa]) (?={VOWEL_SOUND})", r"\1n ", text)
    if language == "spanish":
        text = re.sub(r"\b([Aa]|[Dd]e) el\b", r"\1l", text)
        return re.sub(r"\by (?=[Ii](?!e))", "e ", re.sub(r"\bo (?=[Oo])", "u ", text))
    return GERMAN_PAIR.sub(lambda match: match[0][0] + GERMAN_CONTRACTIONS[match[0].lower()][1:], text)


class Grammar:
    """Lists of fillers and number makers; `write` fills a template in three languages."""

    def __init__(self, lists, makers, random, held_share):
        """lists: {kind: {list: [spec, …]}}; makers: {name: function of random -> spec of three parts}."""
        self.random, self.makers, self.kinds, self.specs = random, makers, {}, {}
        for kind, named in lists.items():
            for name, specs in named.items():
                self.kinds[name] = KINDS[kind]
                held = {spec for spec in specs if len(specs) >= HELD_FROM and is_held(spec, held_share)}
                self.specs[name] = ([spec for spec in specs if spec not in held], sorted(held))
        self.held_wanted, self.held_used, self.used = 0.0, 0, set()

    def new_entry(self, name):
        if name in self.makers:
            return Plain(self.makers[name](self.random), self)
        if name not in self.specs:
            raise ValueError(f"{{{name}}}: there is no such list or number")
        common, held = self.specs[name]
        wanted = bool(held) and self.random.random() < self.held_wanted
        self.held_used += wanted
        for _ in range(6):                              # the same entry twice makes odd sentences
            spec = self.random.choice(held if wanted else common)
            if spec not in self.used:
                break
        self.used.add(spec)
        return self.kinds[name](spec, self)

    def expand(self, text, language, scope):
        def value(match):
            name, number, sign, rest = match.groups()
            entry = scope.get(name + number)
            if entry is None:
                entry = scope[name + number] = self.new_entry(name)
            if sign == ":":
                return entry.choose(language, rest.split("/"))
            if sign in ("@", "+", "-"):
                other, _, form = rest.partition(".")
                return entry.agree(THIRD_PERSON if other == "3s" else scope[other], sign, form == "pl")
            return entry.form(language, rest or "", scope)
        while REFERENCE.search(text):
            text = REFERENCE.sub(value, text)
        return text

    def write(self, lines, held_wanted=0.0):
        """(english, german, spanish, whether a held-out filler was used) of one template."""
        self.held_wanted, self.held_used, self.used, scope = held_wanted, 0, set(), {}
        out = []
        for line, language in zip(lines, LANGUAGES):
            text = contract(re.sub(r"\s+", " ", self.expand(line, language, scope)).strip(), language)
            text = re.sub(r"\.\.$", ".", re.sub(r"\s+([,.?!])", r"\1", text))
            out.append(re.sub(r"^[¿¡]*\w", lambda match: match[0].upper(), text))
        return (*out, self.held_used > 0)
