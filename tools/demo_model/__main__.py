"""Makes the demo checkpoint: `python -m tools.demo_model COMMAND --config RUN.yaml`."""

import argparse
import pathlib
import shutil
import sys

import yaml


def add_picture_commands(commands):
    """The commands of PICTURE_COMMANDS."""
    pictures = commands.add_parser("make-pictures", help="scenes with their sentences")
    pictures.add_argument("--out", required=True)
    pictures.add_argument("--seconds", type=float)
    pictures.add_argument("--processes", type=int, default=2)
    pictures.add_argument("--number", type=int)
    again = commands.add_parser("repaint-pictures", help="new pictures of the same sentences, while training reads")
    again.add_argument("--pictures", required=True)
    again.add_argument("--seconds", type=float, required=True)
    commands.add_parser("make-scene-text", help="training sentences about scenes, for the tokenizer")
    commands.add_parser("make-sprites", help="small pictures of things, from the icon packages")
    scenes = commands.add_parser("evaluate-scenes", help="what a Hugging Face folder says of held-out scenes")
    scenes.add_argument("--model", default="assets/demo-model")
    scenes.add_argument("--device", default="cpu")
    scenes.add_argument("--probe", help="captiond-probe: some scenes through it too")
    scenes.add_argument("--out", help="also write every sentence to this file, those of videos to OUT.motion.tsv")
    scenes.add_argument("--motion", action="store_true", help="videos too, which only a checkpoint of the fifth run knows")
    clip = commands.add_parser("make-clip", help="the sample: a minute of video with sound")
    clip.add_argument("--out", default="assets/samples/radio.webm")


def add_evaluate(commands):
    """The commands `evaluate` and `pack-recordings`."""
    evaluate = commands.add_parser("evaluate", help="word error rates of a Hugging Face folder")
    pack = commands.add_parser("pack-recordings", help="the recordings that evaluate needs packages for, as one zip")
    for command in (evaluate, pack):
        command.add_argument("--set", default="assets/evaluation/english.zip")
        command.add_argument("--sounds", help="folder with the unpacked recordings of music and keys")
        command.add_argument("--unseen-engine",
                             help="folder of espeak-ng: also its MBROLA voices, which must be installed")
        command.add_argument("--unseen-voice", help="folder of an unpacked Piper voice: also that; espeak-ng in --espeak")
        command.add_argument("--espeak", default="/", help="where espeak-ng is unpacked")
        command.add_argument("--people", help="folder with the unpacked recordings of people")
    pack.add_argument("--out", required=True)
    evaluate.add_argument("--model", default="assets/demo-model")
    evaluate.add_argument("--device", default="cpu")
    evaluate.add_argument("--peer", nargs="?", const="pocketsphinx", choices=("pocketsphinx", "whisper"),
                          help="of this instead of the folder; whisper: Whisper base through faster-whisper")
    evaluate.add_argument("--noise", action="store_true", help="also with noise, cut in the middle, and without words")
    evaluate.add_argument("--recordings", help="zip of pack-recordings, instead of the folders above")
    evaluate.add_argument("--characters", help="zip of pack-people: also its held-out characters")
    evaluate.add_argument("--out", help="also write every transcript to this file")


def parser():
    root = argparse.ArgumentParser(prog="tools.demo_model", description=__doc__)
    root.add_argument("--config", default=pathlib.Path(__file__).with_name("english.yaml"))
    root.add_argument("--work", default="build/demo_model/work", help="folder of all that is made")
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="get the pinned sources and check their hashes")
    commands.add_parser("make-parallel", help="table of sentences in English, German and Spanish")
    commands.add_parser("make-text", help="table of sentences, and the tokenizer")
    phonemes = commands.add_parser("make-phonemes", help="phonemes of all sentences")
    phonemes.add_argument("--known", help="work folder of an earlier run whose phonemes still hold")
    speech = commands.add_parser("make-speech", help="recordings of the training sentences")
    speech.add_argument("--out", required=True)
    speech.add_argument("--seconds", type=float, help="stop after this time")
    speech.add_argument("--first-seconds", type=float, help="Kokoro on all devices but the last stops after this time")
    speech.add_argument("--last-seconds", type=float, help="and on the last one after this time; engines go on")
    speech.add_argument("--devices", nargs="+", default=["cpu"])
    speech.add_argument("--split", choices=("train", "held"), default="train")
    train = commands.add_parser("train", help="train by the clock; start with torchrun for several GPUs")
    train.add_argument("--speech", required=True)
    train.add_argument("--out", required=True)
    train.add_argument("--seconds", type=float, required=True)
    train.add_argument("--resume", help="folder of shards to go on from")
    train.add_argument("--pictures", help="folder that make-pictures wrote")
    train.add_argument("--plain", action="store_true", help="neither graphs nor compiled layers, whatever the YAML says")
    commands.add_parser("compile-layers", help="before training on a GPU: fill the compiler's cache")
    add_picture_commands(commands)
    grow = commands.add_parser("grow", help="an exported checkpoint with more words, and eyes")
    grow.add_argument("source")
    grow.add_argument("--out", required=True)
    grow.add_argument("--letters", help="safetensors file with the helper head")
    people = commands.add_parser("pack-people", help="recordings of people for training, as one zip")
    people.add_argument("root", help="where the package of the game was unpacked")
    export = commands.add_parser("export", help="shards to a Hugging Face folder")
    export.add_argument("checkpoint")
    export.add_argument("folder")
    mix = commands.add_parser("mix", help="shards of the mean of several checkpoints of a run")
    mix.add_argument("out")
    mix.add_argument("parts", nargs="+", metavar="FOLDER:SHARE", help="the first gives the picture embedder")
    pack = commands.add_parser("pack", help="what a run needs on a machine without a network")
    pack.add_argument("--out", default="build/demo_model/carry")
    pack.add_argument("--recordings", type=pathlib.Path, help="zip of pack-recordings, for the evaluation there")
    pack.add_argument("wheels", nargs="*", type=pathlib.Path, help="python packages that it lacks")
    split = commands.add_parser("check-split", help="nothing held out is trained on: proof on the tables")
    split.add_argument("--assets", default="assets")
    split.add_argument("--speech", help="also check these recordings")
    evaluation = commands.add_parser("make-evaluation", help="the held-out set and the sample")
    evaluation.add_argument("--out", default="assets")
    evaluation.add_argument("--voice", default="af_nova", help="voice of the sample")
    words = commands.add_parser("make-word-times", help="when each word of the held-out set is said")
    words.add_argument("--set", default="assets/evaluation/english.zip")
    words.add_argument("--number", type=int, default=100, help="of its recordings")
    translation = commands.add_parser("make-translation-set",
                                      help="held-out parallel sentences in held-out voices")
    translation.add_argument("--out", default="assets")
    answers = commands.add_parser("translate-set", help="what a Hugging Face folder makes of the translation set")
    answers.add_argument("--model", default="assets/demo-model")
    answers.add_argument("--set", default="assets/evaluation/translation.zip")
    answers.add_argument("--device", default="cpu")
    answers.add_argument("--out", required=True)
    scores = commands.add_parser("evaluate-translation", help="chrF and BLEU of what translate-set wrote")
    scores.add_argument("--answers", help="file of translate-set; without it only the peer is scored")
    scores.add_argument("--set", default="assets/evaluation/translation.zip")
    scores.add_argument("--cascade", action="store_true", help="also pocketsphinx and apertium")
    scores.add_argument("--out")
    add_evaluate(commands)
    return root


def make_tokenizer(settings, work):
    """Writes work/tokenizer.json: the one to keep, one that is grown, or a new one."""
    from . import text, tokenizer
    path = work / "tokenizer.json"
    if "keep" in settings:
        shutil.copy(settings["keep"], path)
    elif "grow" in settings:
        lines = [one for _, german, spanish, _, split in text.parallel_lines(work / "parallel.tsv")
                 for one in (german, spanish) if split == "train"]
        for name in settings["lines"]:
            lines += (work / name).read_text(encoding="utf-8").splitlines()
        old = tokenizer.Tokenizer.from_file(settings["grow"])
        tokenizer.grow(old, lines, settings["size"]).save(str(path))
    else:
        lines = [row[2] for row in text.read(work / "sentences.tsv") if row[1] == "train"]
        tokenizer.build(lines, settings["size"]).save(str(path))


PICTURE_COMMANDS = ("make-scene-text", "make-sprites", "make-pictures", "repaint-pictures", "evaluate-scenes",
                    "make-clip")


def run_pictures(arguments, config, work):
    """One of PICTURE_COMMANDS."""
    command, sprite_file = arguments.command, config["pictures"]["sprites"]
    sys.path.insert(0, str(work / "wheels"))
    if command == "make-scene-text":
        from . import pictures
        pictures.write_sentences(work / "scene_sentences.txt", config["pictures"]["sentences"],
                                 config["pictures"]["sentence_seed"])
    elif command == "make-sprites":
        from . import sprites
        sprites.make(work, sprite_file)
    elif command == "make-pictures":
        from . import pictures
        pictures.make(config["pictures"], arguments.out, arguments.seconds, arguments.processes, arguments.number)
    elif command == "repaint-pictures":
        from . import repaint
        repaint.run(config["pictures"], arguments.pictures, arguments.seconds)
    elif command == "evaluate-scenes":
        from . import scene_evaluation
        scene_evaluation.report(arguments.model, sprite_file, out=arguments.out, probe=arguments.probe,
                                device=arguments.device)
        if arguments.motion:
            from . import motion_evaluation
            motion_evaluation.report(arguments.model, sprite_file, device=arguments.device,
                                     out=arguments.out and f"{arguments.out}.motion.tsv")
    else:
        from . import sample_clip
        settings = yaml.safe_load(sample_clip.SETTINGS.read_text(encoding="utf-8"))
        sample_clip.make(settings, config["speech"], work, sprite_file, arguments.out)


TRANSLATION_COMMANDS = ("make-translation-set", "translate-set", "evaluate-translation")


def run_translation(arguments, config, work):
    """One of TRANSLATION_COMMANDS."""
    if arguments.command == "make-translation-set":
        from . import translation_set
        sys.path.insert(0, str(work / "wheels"))
        translation_set.make(config["translation"], config["speech"]["held_voices"], work,
                             pathlib.Path(arguments.out) / "evaluation" / "translation.zip")
    elif arguments.command == "translate-set":
        from . import translation_answers
        translation_answers.write(arguments)
    else:
        from . import translation_scores
        translation_scores.report(arguments)


TRAINING_COMMANDS = ("compile-layers", "train")


def run_training(arguments, config, work):
    """One of TRAINING_COMMANDS."""
    if arguments.command == "train":
        from . import trainer
        trainer.main(config, work, arguments.speech, arguments.out, work / "tokenizer.json",
                     arguments.seconds, arguments.resume, arguments.pictures, arguments.plain)
    else:
        from tokenizers import Tokenizer

        from . import graphs
        graphs.compile_layers(config, Tokenizer.from_file(str(work / "tokenizer.json")).get_vocab_size(), "cuda:0")


def run(arguments, config, work):
    """One command; imports only what it needs."""
    command = arguments.command
    if command == "fetch":
        from . import sources
        sources.fetch(work)
    elif command == "make-parallel":
        from . import parallel
        parallel.make(config["parallel"], work / "parallel.tsv")
    elif command == "make-text":
        from . import text
        text.make(config["text"], work, work / "sentences.tsv")
        make_tokenizer(config["tokenizer"], work)
    elif command == "make-phonemes":
        from . import phonemes, text
        sys.path.insert(0, str(work / "wheels"))
        texts = [row[2] for row in text.read(work / "sentences.tsv")]
        known = {}
        if arguments.known:
            old = pathlib.Path(arguments.known)
            known = dict(zip((row[2] for row in text.read(old / "sentences.tsv")),
                             (old / "phonemes.tsv").read_text(encoding="utf-8").splitlines()))
        phonemes.make(texts, config["text"]["british_share"], work / "phonemes.tsv", known)
    elif command == "make-speech":
        from . import speech
        made = speech.make(config["speech"], work, arguments.out, arguments.seconds,
                           tuple(arguments.devices), arguments.split, arguments.first_seconds,
                           arguments.last_seconds)
        return 0 if made else 1
    elif command in TRAINING_COMMANDS:
        run_training(arguments, config, work)
    elif command in PICTURE_COMMANDS:
        run_pictures(arguments, config, work)
    elif command == "grow":
        from . import grow
        grow.grow(config, arguments.source, work / "tokenizer.json", arguments.out, arguments.letters)
    elif command == "pack-people":
        from . import game_voices
        game_voices.pack(pathlib.Path(arguments.root) / game_voices.ARCHIVE, work / config["text"]["people"])
    elif command == "mix":
        from . import export
        export.mix(config, arguments.parts, work / "tokenizer.json", arguments.out)
    elif command == "export":
        from . import export
        export.export(config, arguments.checkpoint, work / "tokenizer.json", arguments.folder)
    elif command == "make-evaluation":
        from . import evaluation_set
        sys.path.insert(0, str(work / "wheels"))
        out = pathlib.Path(arguments.out)
        evaluation_set.make_sample(config["sample"], config["speech"], work, arguments.voice,
                                   out / "samples" / "meeting.flac")
        evaluation_set.make_set(config["evaluation"], config["speech"], work, out / "evaluation" / "english.zip")
    elif command == "make-word-times":
        from . import word_times
        sys.path.insert(0, str(work / "wheels"))
        word_times.make(config, work, arguments.set, arguments.number)
    elif command == "pack":
        from . import carry
        carry.pack(config, work, pathlib.Path(arguments.out), arguments.wheels, arguments.recordings)
    elif command == "check-split":
        from . import split_check
        return 1 if split_check.check(config, work, pathlib.Path(arguments.assets), arguments.speech) else 0
    elif command in TRANSLATION_COMMANDS:
        run_translation(arguments, config, work)
    elif command in ("evaluate", "pack-recordings"):
        from . import evaluate
        (evaluate.pack if command == "pack-recordings" else evaluate.report)(arguments)
    return 0


def main():
    """The exit code, or a sentence that says what is wrong with what was asked for."""
    arguments = parser().parse_args()
    model = getattr(arguments, "model", None)
    if model is not None and not (pathlib.Path(model) / "config.json").is_file():
        return f"--model {model} has no config.json: name a folder that `export` has made, or assets/demo-model"
    try:
        config = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        return f"--config {arguments.config} cannot be read: {error}"
    if not isinstance(config, dict):
        return f"--config {arguments.config} has no keys: name a description of a run, such as tools/demo_model/sixth.yaml"
    return run(arguments, config, pathlib.Path(arguments.work))


if __name__ == "__main__":
    sys.exit(main())
