"""`translate-set`: what a checkpoint answers to every recording of the translation set, as a table
LANGUAGE, SYSTEM, NUMBER, TRANSCRIPT, TRANSLATION. Scores are made of it elsewhere, because a machine
with a GPU may lack the packages for them."""

import time

LANGUAGES = ("German", "Spanish")
SYSTEMS = ("one prompt", "follow-up turn")


def write(arguments):
    """The table of a Hugging Face folder's answers; prints how long each form took."""
    from . import captioner, translation_set
    recordings = [item[5] for item in translation_set.read(arguments.set)]
    model, started, rows = captioner.Captioner(arguments.model, device=arguments.device), time.time(), []

    def add(language, system, transcripts, translations):
        for number, (transcript, translation) in enumerate(zip(transcripts, translations)):
            rows.append((language, system, str(number), " ".join(transcript.split()), translation))
        print(f"translate-set: {language}, {system}: {time.time() - started:.0f} s", flush=True)

    heard = model.transcript_ids(recordings)
    for language in LANGUAGES:
        add(language, SYSTEMS[0], *model.translate(recordings, language))
        add(language, SYSTEMS[1], [model.text(ids) for ids in heard], model.follow_up(recordings, language, heard))
    with open(arguments.out, "w", encoding="utf-8") as out:
        out.writelines("\t".join(row) + "\n" for row in rows)


def read(path, number):
    """(language, system) -> [(transcript, translation), …] in the order of the set's `number` items."""
    answers = {(language, system): [None] * number for language in LANGUAGES for system in SYSTEMS}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            language, system, item, transcript, translation = line.rstrip("\n").split("\t")
            answers[language, system][int(item)] = (transcript, translation)
    for (language, system), found in answers.items():
        if None in found:
            raise ValueError(f"{path}: {language}, {system} has no answer to item {found.index(None)} of {number}; "
                             "run translate-set again with the same set")
    return answers
