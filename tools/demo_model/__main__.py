"""Makes the demo checkpoint: `python -m tools.demo_model COMMAND --config RUN.yaml`."""

import argparse
import pathlib
import shutil
import sys

import yaml


def parser():
    root = argparse.ArgumentParser(prog="tools.demo_model", description=__doc__)
    root.add_argument("--config", default=pathlib.Path(__file__).with_name("english.yaml"))
    root.add_argument("--work", default="build/demo_model/work", help="folder of all that is made")
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="get the pinned sources and check their hashes")
    commands.add_parser("make-text", help="table of sentences, and the tokenizer")
    commands.add_parser("make-phonemes", help="phonemes of all sentences")
    speech = commands.add_parser("make-speech", help="recordings of the training sentences")
    speech.add_argument("--out", required=True)
    speech.add_argument("--seconds", type=float, help="stop after this time")
    speech.add_argument("--devices", nargs="+", default=["cpu"])
    speech.add_argument("--split", choices=("train", "held"), default="train")
    train = commands.add_parser("train", help="train by the clock; start with torchrun for several GPUs")
    train.add_argument("--speech", required=True)
    train.add_argument("--out", required=True)
    train.add_argument("--seconds", type=float, required=True)
    train.add_argument("--resume", help="folder of shards to go on from")
    export = commands.add_parser("export", help="shards to a Hugging Face folder")
    export.add_argument("checkpoint")
    export.add_argument("folder")
    evaluation = commands.add_parser("make-evaluation", help="the held-out set and the sample")
    evaluation.add_argument("--out", default="assets")
    evaluation.add_argument("--voice", default="af_nova", help="voice of the sample")
    evaluate = commands.add_parser("evaluate", help="word error rates of a Hugging Face folder")
    evaluate.add_argument("--model", default="assets/demo-model")
    evaluate.add_argument("--set", default="assets/evaluation/english.zip")
    evaluate.add_argument("--noise", action="store_true", help="also at 10 dB, and on silence")
    evaluate.add_argument("--people", help="folder with the unpacked recordings of people")
    evaluate.add_argument("--out", help="also write every transcript to this file")
    return root


def run(arguments, config, work):
    """One command; imports only what it needs."""
    command = arguments.command
    if command == "fetch":
        from . import sources
        sources.fetch(work)
    elif command == "make-text":
        from . import text, tokenizer
        text.make(config["text"], work, work / "sentences.tsv")
        if "keep" in config["tokenizer"]:
            shutil.copy(config["tokenizer"]["keep"], work / "tokenizer.json")
        else:
            lines = [row[2] for row in text.read(work / "sentences.tsv") if row[1] == "train"]
            tokenizer.build(lines, config["tokenizer"]["size"]).save(str(work / "tokenizer.json"))
    elif command == "make-phonemes":
        from . import phonemes, text
        sys.path.insert(0, str(work / "wheels"))
        texts = [row[2] for row in text.read(work / "sentences.tsv")]
        phonemes.make(texts, config["text"]["british_share"], work / "phonemes.tsv")
    elif command == "make-speech":
        from . import speech
        made = speech.make(config["speech"], work, arguments.out, arguments.seconds,
                           tuple(arguments.devices), arguments.split)
        return 0 if made else 1
    elif command == "train":
        from . import trainer
        trainer.main(config, work, arguments.speech, arguments.out, work / "tokenizer.json",
                     arguments.seconds, arguments.resume)
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
    elif command == "evaluate":
        from . import evaluate
        evaluate.report(arguments)
    return 0


def main():
    arguments = parser().parse_args()
    config = yaml.safe_load(pathlib.Path(arguments.config).read_text(encoding="utf-8"))
    return run(arguments, config, pathlib.Path(arguments.work))


if __name__ == "__main__":
    sys.exit(main())
