"""`pack`: everything that a run needs on a machine without a network, as folders to carry there.

Each folder is small enough to travel with the working tree: A and B without the checkpoint that
training starts from, which is a part of the tree, and C with it (see README.md). D, which holds the
recordings that the checkpoint is measured with at the end, may follow while training runs."""

import io
import lzma
import pathlib
import subprocess
import tarfile

import numpy

from . import sentences, text

LIMIT = 64 * 2**20                 # bytes of a working tree with what is carried
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# Libraries of sound cards, of which the engines only need the names: library -> (who asks for it, what
# the names begin with, their version or none).
STUBS = {"libasound.so.2": ("libflite.so.1", "snd_", "ALSA_0.9"),
         "libpcaudio.so.0": ("libespeak-ng.so.1", ("audio_object_", "create_audio_"), None)}
WANTED_LIBRARIES = ("libespeak-ng.so.1", "libsonic.so.0", "libflite.so.1", "libflite_usenglish.so.1",
                    "libflite_cmulex.so.1", "libflite_cmu_us_awb.so.1", "libflite_cmu_us_kal16.so.1",
                    "libflite_cmu_us_rms.so.1", "libflite_cmu_us_slt.so.1", "libRHVoice.so.5",
                    "libRHVoice_core.so.7", "libttspico.so.0")
WANTED_DATA = (*(f"{LIBRARIES}/espeak-ng-data/{name}" for name in (
    "phondata", "phonindex", "phontab", "intonations", "en_dict", "voices/!v", "lang/gmw")),
    *(f"usr/share/RHVoice/voices/{name}" for name in ("alan", "bdl", "clb", "slt")),
    "usr/share/RHVoice/languages/English", "etc/RHVoice",
    *(f"usr/share/pico/lang/{name}.bin" for name in ("en-US_ta", "en-US_lh0_sg", "en-GB_ta", "en-GB_kh0_sg")))
UNWANTED = "/16000/"               # RHVoice reads its 24 kHz voices
TABLES = ("sentences.tsv", "phonemes.tsv", "tokenizer.json")      # and parallel.tsv
HELPER_HEAD = pathlib.Path(__file__).with_name("letters.safetensors")    # heads of the helper losses of the shipped checkpoint


def compressed(path, out):
    with open(path, "rb") as source, lzma.open(out, "wb") as target:
        while block := source.read(1 << 24):
            target.write(block)


def parallel_of_table(work):
    """The lines of parallel.tsv whose English is in the table of sentences, as one piece of bytes."""
    known = {sentences.normalise(row[2]) for row in text.read(work / "sentences.tsv")}
    with open(work / "parallel.tsv", encoding="utf-8") as lines:
        return "".join(line for line in lines if sentences.normalise(line.partition("\t")[0]) in known).encode()


def pack_tables(work, out):
    with tarfile.open(out, "w:xz", dereference=True, preset=9) as archive:   # the tables repeat each other
        for name in TABLES:
            archive.add(work / name, name)
        pairs = parallel_of_table(work)
        entry = tarfile.TarInfo("parallel.tsv")
        entry.size = len(pairs)
        archive.addfile(entry, io.BytesIO(pairs))


def make_stub(name, root, out):
    """Writes the library OUT with every function that its user asks for; each does nothing and says
    that it failed."""
    user, prefixes, version = STUBS[name]
    asked = subprocess.run(["nm", "-D", "--undefined-only", root / LIBRARIES / user], check=True,
                           capture_output=True, text=True).stdout.split()
    names = sorted(word.partition("@")[0] for word in asked if word.startswith(prefixes))
    source = "".join(f"long {one}(void) {{ return -1; }}\n" for one in names)
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", out, "-x", "c", "-"]
    if version:
        script = out.with_suffix(".map")
        script.write_text(f"{version} {{ global: *; }};\n", encoding="utf-8")
        command.insert(3, f"-Wl,--version-script={script}")
    subprocess.run(command, input=source, text=True, check=True)
    out.with_suffix(".map").unlink(missing_ok=True)


def pack_engines(root, out):
    """The libraries and data of the speech engines, and stubs of the libraries of sound cards."""
    with tarfile.open(out, "w:xz") as archive:
        for name in STUBS:
            made = out.with_name(name)
            make_stub(name, root, made)
            archive.add(made, f"{LIBRARIES}/{name}")
            made.unlink()
        for name in WANTED_LIBRARIES:
            archive.add((root / LIBRARIES / name).resolve(), f"{LIBRARIES}/{name}")
        for name in WANTED_DATA:
            archive.add(root / name, name, filter=lambda info: None if UNWANTED in f"{info.name}/" else info)


def pack_styles(folder, out):
    """The voices' styles in half precision, which is below what can be heard."""
    styles = {path.stem: numpy.fromfile(path, numpy.float32).astype(numpy.float16)
              for path in sorted(folder.glob("*.bin"))}
    held = io.BytesIO()
    numpy.savez(held, **styles)
    out.write_bytes(lzma.compress(held.getvalue()))


def pack(config, work, out, wheels, recordings=None):
    """Writes OUT/A, OUT/B, OUT/C and, with the zip of `pack-recordings`, OUT/D; wheels: files that the
    machine's python lacks (soundfile and cffi)."""
    folders = [out / name for name in ("A", "B", "C", "D")[:3 if recordings is None else 4]]
    first, second, third = folders[:3]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((work / "kokoro").glob("*.safetensors")):
        compressed(path, first / f"{path.name}.xz")
    pack_tables(work, second / "tables.tar.xz")
    pack_engines(work / config["speech"]["engine_root"], second / "engines.tar.xz")
    people = work / config["speech"]["people"]
    (second / people.name).write_bytes(people.read_bytes())
    pack_styles(work / "kokoro" / "voices", third / "voices16.npz.xz")
    for path in (HELPER_HEAD, work / "kokoro" / "vocab.json", pathlib.Path(config["pictures"]["sprites"]), *wheels):
        (third / path.name).write_bytes(path.read_bytes())
    if recordings is not None:
        (out / "D" / "recordings.zip").write_bytes(recordings.read_bytes())
    for folder in folders:
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{folder}: {size / 1e6:.1f} MB; leaves {(LIMIT - size) / 1e6:.1f} MB for the rest of the tree")
