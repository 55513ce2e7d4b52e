"""Compiles each header of the project alone, so that none leans on what its users include first.

Usage: check_headers.py BUILD_FOLDER (one that holds compile_commands.json). Run by ctest. The
flags are those of a translation unit of the header's own folder (tests/elements for test support);
a folder without a unit in this build is named and left out.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

FOLDERS = ["model", "model/kernels", "elements", "pipeline", "tests/kernels", "tests/support"]


def flags_by_folder(build, root):
    """Folder relative to `root` -> compiler and flags of its first unit, without file arguments."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = pathlib.Path(entry["file"])
        if file.suffix != ".cc" or not file.is_relative_to(root):
            continue
        words = shlex.split(entry["command"])
        kept, skip = [], False
        for word in words:
            if skip:
                skip = False
            elif word in ("-o", "-c"):
                skip = True
            else:
                kept.append(word)
        folder = file.parent.relative_to(root).as_posix()
        best = found.get(folder, [])
        if len(kept) > len(best):
            found[folder] = kept
    return found


def compile_alone(header, root, flags):
    """The compiler's complaint about `header` on its own, or an empty string."""
    unit = f'#include "{header.relative_to(root).as_posix()}"\n'
    command = [*flags, "-fsyntax-only", "-x", "c++", "-"]
    result = subprocess.run(command, input=unit, text=True, capture_output=True, cwd=root)
    return f"{header.relative_to(root)}:\n{result.stderr}" if result.returncode else ""


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    flags = flags_by_folder(pathlib.Path(sys.argv[1]), root)
    headers = []
    for folder in FOLDERS:
        own = flags.get("tests/elements") if folder == "tests/support" else flags.get(folder)
        if own is None:  # an engine-only build has no elements, a build without CUDA no kernels
            print(f"{folder}: not part of this build")
            continue
        headers.extend((header, own) for header in sorted((root / folder).glob("*.h")))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = list(pool.map(lambda item: compile_alone(item[0], root, item[1]), headers))
    bad = [complaint for complaint in complaints if complaint]
    print("\n".join(bad) or f"{len(headers)} headers stand alone")
    sys.exit(bool(bad) or not headers)


if __name__ == "__main__":
    main()
