"""Word forms that the parallel templates need: English plurals and verbs, German determiners and
adjectives by case and gender, Spanish agreement and verb endings. Each function covers the words of
text/parallel_slots.yaml; what is irregular is listed here or spelled out there."""

import re

CASES = ("nominative", "accusative", "dative")
GENDERS = ("m", "f", "n")
DER_ENDINGS = {"nominative": ("er", "e", "es"), "accusative": ("en", "e", "es"), "dative": ("em", "er", "em")}
EIN_ENDINGS = {"nominative": ("", "e", ""), "accusative": ("en", "e", ""), "dative": ("em", "er", "em")}
WEAK_ENDINGS = {"nominative": ("e", "e", "e"), "accusative": ("en", "e", "e"), "dative": ("en", "en", "en")}
MIXED_ENDINGS = {"nominative": ("er", "e", "es"), "accusative": ("en", "e", "es"), "dative": ("en", "en", "en")}


def german_determiners():
    """Masculine form -> (case, weak adjectives follow, forms by gender), for 'der', 'einen', 'diesem' …"""
    table = {}
    articles = {"nominative": ("der", "die", "das"), "accusative": ("den", "die", "das"),
                "dative": ("dem", "der", "dem")}
    for case in CASES:
        table[articles[case][0]] = (case, True, articles[case])
        for stem in ("dies", "jed", "welch", "jen"):
            forms = tuple(stem + ending for ending in DER_ENDINGS[case])
            table[forms[0]] = (case, True, forms)
        for stem in ("ein", "kein", "mein", "sein", "unser", "ihr", "Ihr"):
            forms = tuple(stem + ending for ending in EIN_ENDINGS[case])
            table[forms[0]] = (case, False, forms)
    return table


GERMAN_DETERMINERS = german_determiners()


def german_phrase(determiner, stems, gender):
    """'den', ['neu'], 'f' -> 'die neue': the determiner is given in its masculine form, which says
    the case, and adjectives as stems."""
    if determiner not in GERMAN_DETERMINERS:
        raise ValueError(f"'{determiner}' is no masculine form of a German determiner; write der, den, dem, ein, …")
    case, weak, forms = GERMAN_DETERMINERS[determiner]
    place = GENDERS.index(gender)
    ending = (WEAK_ENDINGS if weak else MIXED_ENDINGS)[case][place]
    return " ".join([forms[place]] + [stem + ending for stem in stems])


def german_stem(adjective):
    """The form that endings are added to: 'dunkel' -> 'dunkl', 'teuer' -> 'teur', 'leise' -> 'leis'."""
    irregular = {"dunkel": "dunkl", "teuer": "teur", "hoch": "hoh"}
    return irregular.get(adjective, adjective[:-1] if adjective.endswith("e") else adjective)


def german_dative_plural(plural):
    return plural if plural[-1] in "ns" else plural + "n"


def english_plural(noun):
    irregular = {"person": "people", "child": "children", "man": "men", "woman": "women", "knife": "knives",
                 "shelf": "shelves", "sheep": "sheep", "mouse": "mice", "goose": "geese", "fish": "fish"}
    head, last = noun.rsplit(" ", 1) if " " in noun else ("", noun)
    if last in irregular:
        last = irregular[last]
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "es" if re.search(r"(s|x|ch|sh)$", last) else "s"
    return f"{head} {last}".strip()


def english_verb(spec):
    """'send/sent' or 'take/took/taken/taking' -> (base, past, participle, ing form); regular if short."""
    parts = spec.split("/")
    base = parts[0]
    if base.endswith("e"):
        regular = base + "d"
    else:
        regular = base[:-1] + "ied" if re.search(r"[^aeiou]y$", base) else base + "ed"
    ing = base[:-1] + "ing" if re.search(r"[^eoy]e$", base) else base + "ing"
    past = parts[1] if len(parts) > 1 else regular
    done = parts[2] if len(parts) > 2 else past
    return base, past, done, parts[3] if len(parts) > 3 else ing


def german_verb(spec):
    """'an|rufen/angerufen' -> (infinitive, infinitive with zu, participle)."""
    infinitive, participle = spec.split("/")
    before, bar, rest = infinitive.rpartition("|")
    return before + rest, f"{before}zu{rest}" if bar else f"zu {infinitive}", participle


SPANISH_FEMININE = {"el": "la", "un": "una", "ningún": "ninguna", "algún": "alguna", "primer": "primera",
                    "tercer": "tercera", "buen": "buena", "este": "esta", "ese": "esa"}
SPANISH_PLURALS = {"los", "unos", "estos", "esos", "muchos", "nuestros", "todos", "otros", "nuevos", "pocos",
                   "algunos", "cuántos", "varios", "sus", "mis", "demasiados", "suficientes"}


def spanish_word(word, gender):
    """A determiner or adjective given in its masculine form, for a noun of this gender."""
    if gender == "m":
        return word
    if word in SPANISH_FEMININE:
        return SPANISH_FEMININE[word]
    return re.sub(r"o(s?)$", r"a\1", word)


def spanish_adjective(masculine, gender, plural):
    word = spanish_word(masculine, gender)
    return spanish_plural(word) if plural else word


def spanish_plural(noun):
    """'camión' -> 'camiones', 'luz' -> 'luces'; only the first word changes: 'hoja de cálculo'."""
    first, blank, rest = noun.partition(" ")
    bare = first[:-2] + first[-2:].translate(str.maketrans("áéíóú", "aeiou"))
    if first[-1] in "aeiouáéó":
        first += "s"
    elif first[-1] == "z":
        first = first[:-1] + "ces"
    elif first[-1] == "s" and bare == first:
        pass                                            # 'el lunes', 'los lunes'
    else:
        first = bare + "es"
    return first + blank + rest


PERSONS = ("1s", "3s", "1p", "3p")
PRETERITE = {"ar": ("é", "ó", "amos", "aron"), "er": ("í", "ió", "imos", "ieron"),
             "ir": ("í", "ió", "imos", "ieron")}
PRETERITE_IRREGULAR = {
    "hacer": ("hice", "hizo", "hicimos", "hicieron"), "poner": ("puse", "puso", "pusimos", "pusieron"),
    "tener": ("tuve", "tuvo", "tuvimos", "tuvieron"), "dar": ("di", "dio", "dimos", "dieron"),
    "traer": ("traje", "trajo", "trajimos", "trajeron"), "ir": ("fui", "fue", "fuimos", "fueron"),
    "traducir": ("traduje", "tradujo", "tradujimos", "tradujeron"),
    "reducir": ("reduje", "redujo", "redujimos", "redujeron"), "leer": ("leí", "leyó", "leímos", "leyeron"),
    "pedir": ("pedí", "pidió", "pedimos", "pidieron"), "servir": ("serví", "sirvió", "servimos", "sirvieron"),
    "corregir": ("corregí", "corrigió", "corregimos", "corrigieron"),
    "construir": ("construí", "construyó", "construimos", "construyeron"),
    "decir": ("dije", "dijo", "dijimos", "dijeron"), "ver": ("vi", "vio", "vimos", "vieron"),
    "elegir": ("elegí", "eligió", "elegimos", "eligieron"), "oír": ("oí", "oyó", "oímos", "oyeron"),
    "repetir": ("repetí", "repitió", "repetimos", "repitieron"), "medir": ("medí", "midió", "medimos", "midieron"),
    "creer": ("creí", "creyó", "creímos", "creyeron"), "detener": ("detuve", "detuvo", "detuvimos", "detuvieron")}
FUTURE_STEMS = {"hacer": "har", "poner": "pondr", "tener": "tendr", "decir": "dir", "detener": "detendr", "salir": "saldr", "venir": "vendr",
                "oír": "oir"}
PARTICIPLES = {"hacer": "hecho", "poner": "puesto", "abrir": "abierto", "escribir": "escrito", "ver": "visto",
               "decir": "dicho", "romper": "roto", "leer": "leído", "traer": "traído", "resolver": "resuelto",
               "devolver": "devuelto", "oír": "oído", "imprimir": "impreso", "descubrir": "descubierto",
               "describir": "descrito", "creer": "creído"}
GERUNDS = {"leer": "leyendo", "traer": "trayendo", "pedir": "pidiendo", "servir": "sirviendo", "ir": "yendo",
           "corregir": "corrigiendo", "construir": "construyendo", "decir": "diciendo", "elegir": "eligiendo",
           "oír": "oyendo", "repetir": "repitiendo", "medir": "midiendo", "creer": "creyendo"}


def spanish_preterite(infinitive, person):
    place = PERSONS.index(person)
    if infinitive in PRETERITE_IRREGULAR:
        return PRETERITE_IRREGULAR[infinitive][place]
    stem, ending = infinitive[:-2], infinitive[-2:]
    if person == "1s" and ending == "ar":
        for written, changed in (("c", "qu"), ("g", "gu"), ("z", "c")):
            if stem.endswith(written):
                return stem[:-1] + changed + "é"
    return stem + PRETERITE[ending][place]


def spanish_future(infinitive, person):
    return FUTURE_STEMS.get(infinitive, infinitive) + ("é", "á", "emos", "án")[PERSONS.index(person)]


def spanish_conditional(infinitive, person):
    return FUTURE_STEMS.get(infinitive, infinitive) + ("ía", "ía", "íamos", "ían")[PERSONS.index(person)]


def spanish_present_of_us(infinitive):
    """'enviar' -> 'enviamos': the one present form without changes of the stem."""
    return infinitive[:-2] + {"ar": "amos", "er": "emos", "ir": "imos", "ír": "ímos"}[infinitive[-2:]]


def spanish_participle(infinitive):
    return PARTICIPLES.get(infinitive) or infinitive[:-2] + ("ado" if infinitive.endswith("ar") else "ido")


def spanish_gerund(infinitive):
    return GERUNDS.get(infinitive) or infinitive[:-2] + ("ando" if infinitive.endswith("ar") else "iendo")
