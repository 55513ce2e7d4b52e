"""Sentences from the project's own templates: meetings, broadcasts and everyday talk."""

import pathlib
import re

import yaml

from . import sentences

FOLDER = pathlib.Path(__file__).parent / "text"
SLOT = re.compile(r"\{(a_)?(\w+?)\}")      # {a_slot}: with its article


def time_of_day(random):
    hour, minute = random.randint(1, 12), random.choice((0, 0, 5, 10, 15, 20, 30, 30, 40, 45, 50))
    if minute:
        return f"{hour}:{minute:02d}"
    return random.choice((f"{hour} o'clock", f"{hour}:00", f"{hour}:30"))


def date(random, months):
    day, month = random.randint(1, 30), random.choice(months)
    suffix = "th" if 4 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return random.choice((f"{month} {day}{suffix}", f"the {day}{suffix} of {month}"))


def large_number(random):
    number = random.choice((random.randint(1, 99) * 10, random.randint(1, 99) * 100,
                            random.randint(2, 99) * 1000, random.randint(101, 9999)))
    return f"{number:,}"


def money(random):
    amount = random.choice((random.randint(2, 99), random.randint(11, 99) / 10))
    scale = random.choice(("million", "million", "billion"))
    return f"{amount} {scale} {random.choice(('dollars', 'euros', 'pounds'))}"


def price(random):
    amount = random.choice((str(random.randint(2, 200)), f"{random.randint(2, 99)}.{random.choice((20, 49, 50, 90, 95, 99))}"))
    return random.choice((f"${amount}", f"${amount}", f"{random.randint(2, 900)} euros", f"{random.randint(2, 900)} pounds"))


def percent(random):
    return random.choice((f"{random.randint(2, 98)}%", f"{random.randint(2, 98)} percent",
                          f"{random.randint(11, 99) / 10}%"))


class Templates:
    """Fills templates; the same seed gives the same sentences."""

    def __init__(self, random, file="templates.txt"):
        self.random = random
        self.slots = yaml.safe_load((FOLDER / "slots.yaml").read_text(encoding="utf-8"))
        lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
        self.lines = [line for line in lines if line and line[0] not in "#["]
        self.makers = {
            "time": lambda: time_of_day(random),
            "date": lambda: date(random, self.slots["month"]),
            "bignumber": lambda: large_number(random),
            "smallnumber": lambda: str(random.randint(2, 99)),
            "year": lambda: str(random.randint(1890, 2030)),
            "money": lambda: money(random),
            "price": lambda: price(random),
            "percent": lambda: percent(random),
            "version": lambda: f"{random.randint(1, 12)}.{random.randint(0, 9)}",
            "flight": lambda: f"{random.choice(('BA', 'LH', 'AF', 'UA'))} {random.randint(2, 99)}",
            "digit": lambda: str(random.randint(0, 9)),
            "letter": lambda: random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            "score": lambda: f"{random.randint(0, 7)} to {random.randint(0, 5)}",
            "fullname": lambda: f"{random.choice(self.slots['name'])} {random.choice(self.slots['surname'])}",
        }

    def fill(self, line):
        """One sentence of a template."""
        def value(match):
            article, slot = match[1] or "", match[2]
            word = self.makers[slot]() if slot in self.makers else self.random.choice(self.slots[slot])
            return f"{'an' if word[0] in 'aeiou' else 'a'} {word}" if article else word
        text = SLOT.sub(value, line)
        return text[0].upper() + text[1:]

    def held_lines(self, held_share):
        """Whole templates that training never sees."""
        return {line for line in self.lines if sentences.share_of(line, "template") < held_share}

    def make(self, each, held_share):
        """(template is held out, sentence) pairs: up to `each` different sentences a template."""
        held = self.held_lines(held_share)
        for line in self.lines:
            tries = each if SLOT.search(line) else 1
            for text in sorted({self.fill(line) for _ in range(tries)}):
                yield line in held, text
