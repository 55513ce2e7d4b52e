"""Numbers, times and dates as English, German and Spanish write them: 'english ; german ; spanish'."""

MONTHS = (("January", "Januar", "enero"), ("February", "Februar", "febrero"), ("March", "März", "marzo"),
          ("April", "April", "abril"), ("May", "Mai", "mayo"), ("June", "Juni", "junio"), ("July", "Juli", "julio"),
          ("August", "August", "agosto"), ("September", "September", "septiembre"), ("October", "Oktober", "octubre"),
          ("November", "November", "noviembre"), ("December", "Dezember", "diciembre"))
CURRENCIES = (("dollars", "Dollar", "dólares"), ("euros", "Euro", "euros"), ("pounds", "Pfund", "libras"))


def row(english, german, spanish):
    return f"{english} ; {german} ; {spanish}"


def same(number):
    return row(number, number, number)


def grouped(number):
    """1250 -> '1,250', '1.250', '1250': Spanish groups only from five digits on."""
    english = f"{number:,}"
    dotted = english.replace(",", ".")
    return english, dotted, dotted if number >= 10000 else str(number)


def time(random):
    """Spanish with its article, for 'a las 3' and 'desde las 3'; English and German fit 'at' and 'um'."""
    hour = random.randint(1, 12)
    minute = random.choice((0, 0, 0, 5, 10, 15, 15, 20, 30, 30, 40, 45, 45, 50))
    article = "la" if hour == 1 else "las"
    if minute:
        return row(f"{hour}:{minute:02d}", f"{hour}:{minute:02d} Uhr", f"{article} {hour}:{minute:02d}")
    kind = random.randrange(4)
    if kind == 0 and hour < 12:
        if random.random() < 0.5:
            return row(f"{hour} a.m.", f"{hour} Uhr morgens", f"{article} {hour} de la mañana")
        return row(f"{hour} p.m.", f"{hour + 12} Uhr",
                   f"{article} {hour} de la {'tarde' if hour < 9 else 'noche'}")
    return row(f"{hour} o'clock", f"{hour} Uhr", f"{article} {hour}")


def date(random):
    day, month = random.randint(1, 28), random.choice(MONTHS)
    suffix = "th" if 4 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    english = f"{month[0]} {day}{suffix}" if random.random() < 0.7 else f"the {day}{suffix} of {month[0]}"
    return row(english, f"{day}. {month[1]}", f"{day} de {month[2]}")


def big(random):
    number = random.choice((random.randint(2, 99) * 10, random.randint(2, 99) * 100, random.randint(2, 99) * 1000,
                            random.randint(101, 9999)))
    return row(*grouped(number))


def price(random):
    amount = random.choice((random.randint(2, 99), random.randint(2, 40) * 5, random.randint(2, 90) * 10))
    currency = random.choice(CURRENCIES)
    return row(*(f"{amount} {name}" for name in currency))


def money(random):
    amount = random.choice((random.randint(2, 99), random.randint(11, 99) / 10))
    (english, german, spanish), comma = random.choice(CURRENCIES), str(amount).replace(".", ",")
    if random.random() < 0.7:
        return row(f"{amount} million {english}", f"{comma} Millionen {german}", f"{comma} millones de {spanish}")
    amount = random.randint(2, 900)
    return row(f"{amount},000 {english}", f"{amount}.000 {german}",
               f"{amount}.000 {spanish}" if amount > 9 else f"{amount}000 {spanish}")


def percent(random):
    if random.random() < 0.25:
        amount = random.randint(11, 99) / 10
        comma = str(amount).replace(".", ",")
        return row(f"{amount} percent", f"{comma} Prozent", f"{comma} por ciento")
    amount = random.randint(2, 98)
    return row(f"{amount} percent", f"{amount} Prozent", f"{amount} por ciento")


def flight(random):
    code, number = random.choice(("BA", "LH", "AF", "UA", "KL", "SK")), random.randint(20, 999)
    return same(f"{code} {number}")


MAKERS = {
    "time": time, "date": date, "big": big, "price": price, "money": money, "percent": percent, "flight": flight,
    "few": lambda random: same(random.randint(2, 9)),
    "count": lambda random: same(random.randint(2, 20)),
    "tens": lambda random: same(random.choice((10, 15, 20, 25, 30, 40, 45, 50, 60, 90))),
    "small": lambda random: same(random.randint(2, 99)),
    "page": lambda random: same(random.randint(2, 180)),
    "room_number": lambda random: same(random.choice((random.randint(2, 40), random.randint(101, 420)))),
    "degrees": lambda random: same(random.randint(2, 38)),
    "year": lambda random: same(random.randint(1950, 2025)),
    "version": lambda random: same(random.randint(11, 99) / 10),
    "kilometres": lambda random: same(random.choice((random.randint(2, 30), random.randint(2, 40) * 10))),
    "hundreds": lambda random: same(random.randint(2, 9) * 100),
    "month": lambda random: row(*random.choice(MONTHS)),
}
