"""Runs captiond on everything of hostile_inputs.py: one clear sentence and the documented exit code
for each, never a crash, a hang, or a caption of nothing.

Usage: hostile.py CAPTIOND MODEL RECORDING [CHECKPOINT]

CHECKPOINT is the one that is spoiled in many ways; without it no checkpoints are tried, as a program
with a scripted engine has none. Exit code 0 if all is well, else 1 and what is not.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import hostile_inputs

PATIENCE_S = 120


class Report:
    def __init__(self):
        self.cases = 0
        self.wrong = []

    def expect(self, holds, case, what, result):
        if not holds:
            said = (result.stdout + result.stderr).decode(errors="replace")
            self.wrong.append(f"{case}: {what}; code {result.returncode}, said: {said[:2000]}")


def run(*arguments):
    try:
        return subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(arguments, "none, it hung", late.stdout or b"",
                                           late.stderr or b"")


def sentences(result):
    return [line for line in result.stderr.decode(errors="replace").splitlines()
            if line.startswith("captiond: ")]


def expect_refusal(report, case, result, name, code=2):
    """One sentence on standard error that names `name`, nothing on standard output."""
    report.cases += 1
    report.expect(result.returncode == code, case, f"exit code {code} expected", result)
    report.expect(result.stdout == b"", case, "nothing was to be on standard output", result)
    said = sentences(result)
    report.expect(len(said) == 1, case, "one sentence was expected", result)
    report.expect(bool(said) and name in said[0], case, f"{name!r} was to be named", result)
    report.expect(b"\x1b" not in result.stderr, case, "escapes reached the terminal", result)


def shown(name):
    """A file name as messages show it."""
    return name.replace("\n", "\\x0a").replace("\x1b", "\\x1b")


def check_configs(report, program, model, recording, folder):
    refused, starts = hostile_inputs.configs(folder, model, recording)
    for name in refused:
        named = "/nowhere" if name == "no_model.yaml" else name
        for command in ("check", "serve"):
            result = run(program, command, folder / name)
            quiet = [line for line in result.stderr.decode(errors="replace").splitlines()
                     if " info publishing on " not in line]
            report.expect(len(quiet) == 1, f"{command} {name}", "one line was expected", result)
            expect_refusal(report, f"{command} {name}", result, named)
    for name in starts:
        expect_refusal(report, f"serve {name}", run(program, "serve", folder / name),
                       "cannot publish on ")
    report.expect((folder / "precious").read_text() == "a file that must stay", "path_of_a_file",
                  "the file was to stay", subprocess.CompletedProcess([], 0, b"", b""))


def check_checkpoints(report, program, model, recording, folder):
    for name in hostile_inputs.checkpoints(folder, model):
        config = folder.parent / f"{name}.yaml"
        config.write_text(f"engine: {{model: '{folder / name}'}}\n"
                          "publisher: {endpoint: 'tcp://127.0.0.1:*'}\n"
                          f"streams: [{{id: a, uri: '{recording}'}}]\n")
        path = str(folder / name)
        expect_refusal(report, f"check {name}", run(program, "check", config), path)
        expect_refusal(report, f"serve {name}", run(program, "serve", config), path)
        result = run(program, "transcribe", "--model", folder / name, recording)
        expect_refusal(report, f"transcribe {name}", result, path)


def check_media(report, program, model, folder, outcomes):
    for name, outcome in outcomes.items():
        case = f"transcribe {shown(name)}"
        result = run(program, "transcribe", "--model", model, folder / name)
        fails = outcome == hostile_inputs.FAILS or (
            outcome == hostile_inputs.EITHER and result.returncode == 1)
        if fails and outcome == hostile_inputs.FAILS:
            expect_refusal(report, case, result, shown(name), code=1)
            continue
        report.cases += 1
        report.expect(result.returncode == (1 if fails else 0), case, "code 0 or 1 expected", result)
        report.expect(len(sentences(result)) == (1 if fails else 0), case,
                      "a sentence was expected for a failure, and none without", result)
        if outcome == hostile_inputs.SILENT:
            report.expect(result.stdout == b"", case, "there is nothing to caption", result)


def check_serve_media(report, program, model, folder, outcomes):
    """All media at once, as the streams of one daemon."""
    names = list(outcomes)
    streams = "".join(f"  - {{id: s{i}, pace: fast, uri: {json.dumps(str(folder / name))}}}\n"
                      for i, name in enumerate(names))
    config = folder.parent / "all_media.yaml"
    config.write_text(f"engine: {{model: '{model}'}}\nexit_when_done: true\n"
                      "publisher: {endpoint: 'tcp://127.0.0.1:*'}\nstreams:\n" + streams)
    result = run(program, "serve", config)
    report.cases += 1
    report.expect(result.returncode == 1, "serve all media", "exit code 1 expected", result)
    said = result.stderr.decode(errors="replace")
    for i, name in enumerate(names):
        lines = [line for line in said.splitlines() if f" s{i}: failed: " in line]
        ended = [line for line in said.splitlines() if line.endswith(f" s{i}: finished")]
        case = f"serve {shown(name)}"
        report.expect(len(lines) + len(ended) == 1, case, "one end was expected", result)
        if outcomes[name] == hostile_inputs.FAILS:
            report.expect(len(lines) == 1 and shown(name) in lines[0], case,
                          "a sentence that names it was expected", result)


def main():
    program, model, recording, *checkpoint = (pathlib.Path(each).resolve()
                                              for each in sys.argv[1:])
    report = Report()
    with tempfile.TemporaryDirectory(prefix="captiond-hostile-") as temporary:
        root = pathlib.Path(temporary)
        for name in ("configs", "checkpoints", "media"):
            (root / name).mkdir()
        check_configs(report, program, model, recording, root / "configs")
        for each in checkpoint:
            check_checkpoints(report, program, each, recording, root / "checkpoints")
        outcomes = hostile_inputs.media(root / "media", recording)
        check_media(report, program, model, root / "media", outcomes)
        check_serve_media(report, program, model, root / "media", outcomes)
    print("\n".join(report.wrong))
    print(f"{report.cases} runs, {len(report.wrong)} complaints")
    sys.exit(bool(report.wrong) or report.cases < (140 if checkpoint else 60))


if __name__ == "__main__":
    main()
