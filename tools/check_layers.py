"""Fails when a file includes a folder that its own folder may not use, or leaks a library.

The layers are model/kernels <- model <- elements <- pipeline -> schemas. Run by ctest; prints one
line per violation.
"""

import pathlib
import re
import sys

# Folder -> project folders that it may include besides itself.
ALLOWED = {
    "model/kernels": set(),
    "model": {"model/kernels"},
    "schemas": set(),
    "elements": {"model"},
    "pipeline": {"elements", "model", "schemas"},
    "bench": {"model", "model/kernels"},
    "tests": {"model/kernels", "model", "schemas", "elements", "pipeline", "bench"},
}

# Header prefix -> the only paths that may include it.
TORCH = re.compile(r"^(model/[^/]+\.cc|tests/model/|bench/[^/]+\.cc)")
EXTERNAL = {
    "torch/": TORCH,
    "ATen/": TORCH,
    "c10/": TORCH,
    "gst/": re.compile(r"^(elements/|pipeline/|tests/(elements|pipeline|support|e2e)/)"),
    "glib": re.compile(r"^(elements/|pipeline/|tests/(elements|pipeline|support|e2e)/)"),
    "zmq": re.compile(r"^(pipeline/(publisher|subscriber)\.cc|tests/(pipeline|e2e)/)"),
    "yaml-cpp/": re.compile(r"^(pipeline/|tests/pipeline/)"),
    "google/protobuf/": re.compile(r"^(pipeline/|schemas/|tests/(pipeline|e2e)/)"),
    "captiond/v1/": re.compile(r"^(pipeline/|schemas/|tests/(pipeline|e2e)/)"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)', re.MULTILINE)
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def folder_of(path):
    """The longest layer that holds `path` (a path relative to the root), or None."""
    layers = sorted(ALLOWED, key=len, reverse=True)
    return next((layer for layer in layers if path.startswith(layer + "/")), None)


def violations(path, text):
    """The sentences that say what the file `path` with content `text` includes wrongly."""
    folder = folder_of(path)
    for header in INCLUDE.findall(text):
        used = folder_of(header)
        if used not in (None, folder) and used not in ALLOWED[folder]:
            yield f"{path}: {folder}/ must not include {used}/ ({header})"
        for prefix, places in EXTERNAL.items():
            if header.startswith(prefix) and not places.match(path):
                yield f"{path}: must not include <{header}>"


def planted_violations_are_found():
    """The check checks itself: one planted violation of each kind."""
    planted = [
        ("model/a.cc", '#include "elements/b.h"'),
        ("model/a.h", "#include <ATen/ATen.h>"),
        ("elements/a.cc", "#include <zmq.hpp>"),
        ("model/kernels/a.cu", '#include "model/engine.h"'),
        ("elements/a.cc", '#include "captiond/v1/event.pb.h"'),
    ]
    return all(any(violations(path, text)) for path, text in planted)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    if not planted_violations_are_found():
        sys.exit("check_layers.py: a planted violation was not found")
    bad, files = [], 0
    for layer in sorted({name.split("/")[0] for name in ALLOWED}):
        for file in sorted((root / layer).rglob("*")):
            if file.suffix in SUFFIXES:
                files += 1
                bad.extend(violations(file.relative_to(root).as_posix(), file.read_text()))
    print("\n".join(bad) or f"{files} files keep to their layers")
    sys.exit(bool(bad) or files == 0)


if __name__ == "__main__":
    main()
