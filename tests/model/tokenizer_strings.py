"""Texts that try a tokenizer: random Unicode, every script, emoji, runs, code, broken UTF-8.

Every generator takes a random.Random and gives bytes; the caller decodes them as it likes."""

import unicodedata

# First and last code point of blocks that stand for the scripts in use, marks and symbols included.
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x52F), (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7BF),
    (0x7C0, 0x7FF), (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xA7F), (0xA80, 0xAFF), (0xB00, 0xB7F),
    (0xB80, 0xBFF), (0xC00, 0xC7F), (0xC80, 0xCFF), (0xD00, 0xD7F), (0xD80, 0xDFF), (0xE00, 0xE7F),
    (0xE80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF),
    (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1400, 0x167F), (0x16A0, 0x16FF), (0x1780, 0x17FF),
    (0x1800, 0x18AF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F),
    (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2300, 0x23FF),
    (0x2500, 0x257F), (0x2580, 0x259F), (0x2600, 0x26FF), (0x2800, 0x28FF), (0x2E80, 0x2EFF),
    (0x3000, 0x303F), (0x3040, 0x309F), (0x30A0, 0x30FF), (0x3130, 0x318F), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA48F), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xF900, 0xFAFF),
    (0xFB00, 0xFB4F), (0xFB50, 0xFDFF), (0xFE00, 0xFE0F), (0xFE70, 0xFEFF), (0xFF00, 0xFFEF),
    (0x10330, 0x1034F), (0x12000, 0x123FF), (0x13000, 0x1342F), (0x1D100, 0x1D1FF),
    (0x1D400, 0x1D7FF), (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6FF),
    (0x1F900, 0x1F9FF), (0x20000, 0x2A6DF), (0xE0000, 0xE007F), (0xF0000, 0xF0FFF)]
MARKS = [chr(c) for c in range(0x250, 0x3100) if unicodedata.combining(chr(c))]
SENTENCES = [
    "The next train to the coast leaves at 7:45 from platform 3.", "It's 21.5 °C, isn't it?",
    "Der nächste Zug fährt um Viertel vor acht ab, vermutlich.", "Größe: 1,75 m — weiß man's?",
    "El próximo tren sale a las ocho menos cuarto. ¿De verdad?", "Où est la gare, s'il vous plaît ?",
    "Следующий поезд отходит в восемь часов.", "次の電車は八時に出ます。", "下一班火车八点开。",
    "다음 기차는 여덟 시에 떠납니다.", "القطار التالي يغادر في الساعة الثامنة.",
    "הרכבת הבאה יוצאת בשמונה.", "अगली ट्रेन आठ बजे जाती है।", "รถไฟขบวนต่อไปออกแปดโมง",
    "Το επόμενο τρένο φεύγει στις οκτώ.", "Sonraki tren sekizde kalkıyor, İstanbul'a."]
CODE = [
    "def area(width, height=1.0):\n    return width * height  # m²\n",
    "for (std::size_t i = 0; i < n; ++i) {\n\tsum += values[i];\n}\n", "<p class=\"note\">1 &lt; 2</p>",
    "SELECT name, COUNT(*) FROM cities GROUP BY name;\r\n", "{\"a\": [1, 2.5e-3, null], \"b\": \"\\n\"}",
    "#!/bin/sh\nset -eu\n\n\n\nls -la | grep '^d' > /tmp/x 2>&1\n", "\t\t\tif x:\n\t\t\t\tpass\n",
    "https://example.org/a/b?c=d&e=%20#f", "x = y ? -1 : 0xFF_FFu; // <?php ?>"]
ODD = ["\x00", "\x7f", "\ufeff", "\ufffd", "\ufffe", "\u200d", "\u200b", "\u00a0", "\u2581", "\u2028",
       "\r", "\r\n", "\x0b", "\x85", "\u3000", "\U0010ffff", "<0x41>", "<0x0A>", "<0xE2>", "<unk>", "▁▁"]


def code_point(rng):
    while True:
        c = rng.randrange(0x110000)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def any_unicode(rng, _):
    return "".join(code_point(rng) for _ in range(rng.randrange(40))).encode()


def one_script(rng, _):
    first, last = rng.choice(BLOCKS)
    letters = [chr(rng.randint(first, last)) for _ in range(rng.randrange(1, 60))]
    return "".join(c + (" " if rng.random() < 0.15 else "") for c in letters).encode()


def mixed_scripts(rng, _):
    return "".join(chr(rng.randint(*rng.choice(BLOCKS))) for _ in range(rng.randrange(60))).encode()


def emoji(rng, _):
    def one():
        kind = rng.randrange(6)
        if kind == 0:  # a family or a trade, joined
            return "\u200d".join(chr(rng.randint(0x1F466, 0x1F469)) for _ in range(rng.randint(2, 4)))
        if kind == 1:  # skin tone
            return chr(rng.randint(0x1F440, 0x1F4AA)) + chr(rng.randint(0x1F3FB, 0x1F3FF))
        if kind == 2:  # flag, sometimes half of one
            return "".join(chr(rng.randint(0x1F1E6, 0x1F1FF)) for _ in range(rng.choice([1, 2, 2, 3])))
        if kind == 3:  # keycap
            return rng.choice("0123456789#*") + "\ufe0f\u20e3"
        if kind == 4:  # flag of a region, in tags
            return "\U0001F3F4" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") + "\U000E007F"
        return chr(rng.randint(0x2600, 0x27BF)) + rng.choice(["", "\ufe0e", "\ufe0f"])
    return "".join(one() + rng.choice(["", "", " ", "a", "\n"]) for _ in range(rng.randint(1, 12))).encode()


def combining(rng, _):
    return "".join(chr(rng.randint(*rng.choice(BLOCKS))) + "".join(rng.choices(MARKS, k=rng.randrange(8)))
                   for _ in range(rng.randint(1, 10))).encode()


def runs(rng, tokens):
    unit = rng.choice([" ", " ", "\n", "\n", "\t", "a", "A", "=", "-", "ä", "字", "😀", "\r\n", "▁", "ha",
                       rng.choice(ODD), rng.choice(tokens), code_point(rng)])
    return (rng.choice(["", "x", " "]) + unit * rng.randint(1, 200) + rng.choice(["", "y", "\n"])).encode()


def sentences(rng, _):
    return rng.choice([" ", "\n", "  ", "\n\n", ""]).join(rng.choices(SENTENCES, k=rng.randint(1, 5))).encode()


def code(rng, _):
    return rng.choice(["", "\n", "\n\n    "]).join(rng.choices(CODE, k=rng.randint(1, 4))).encode()


def from_vocabulary(rng, tokens):
    return "".join(rng.choices(tokens, k=rng.randint(1, 25))).replace("▁", rng.choice([" ", "▁"])).encode()


def odd(rng, tokens):
    parts = [*ODD, "a", " ", "the", "\n", *rng.choices(tokens, k=5)]
    return "".join(rng.choices(parts, k=rng.randint(1, 20))).encode()


def broken(rng, tokens):
    """Random bytes, or good text with bytes cut out, put in or changed."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(50))
    text = bytearray(rng.choice([emoji, sentences, mixed_scripts, odd])(rng, tokens))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text) + 1)
        edit = rng.randrange(3)
        if edit == 0:
            del text[at:at + rng.randint(1, 3)]
        elif edit == 1:
            text[at:at] = rng.choice([b"\x80", b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80",
                                      b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"\xe2\x82", b"\xf8\x88"])
        elif at < len(text):
            text[at] = rng.randrange(256)
    return bytes(text)


def around(rng, token, others):
    """`token` in one odd place: in a word, doubled, cut, beside spaces or another token."""
    other = rng.choice(others)
    half = len(token) // 2
    return rng.choice([
        f"a{token}b", f"{token}{token}", f" {token} ", f"{token[:-1]}{token}", f"{token}{token[1:]}",
        f"\n{token}\n", f"{token}{other}", f"{other}{token}x", f"{token[:half]}{other}{token[half:]}",
        f"the {token}end\u0301", f"<{token}>", f"{token[:half]} {token[half:]}", f"\t {token}\u00a0\n",
        f"é{token}字", f"{token.upper()}{token}"]).encode()


GENERATORS = [any_unicode, one_script, one_script, mixed_scripts, emoji, combining, runs, sentences,
              code, from_vocabulary, from_vocabulary, odd, broken, broken]
