"""`make-sprites`: the icons of every drawing style as small pictures in one file, and that file read.

The icons come as SVG bodies, one JSON a style. They are drawn once, at 96 pixels, cut to what is not
transparent and packed; scenes are then made with numpy alone, on a machine without the packages.

The file (npz, compressed): `pixels` uint8 [S, 4], RGBA of all sprites one after another, straight
alpha; `size` int16 [N, 2], height and width; `noun` and `style` str [N]."""

import io
import json
import pathlib

import numpy
import yaml

NOUNS = pathlib.Path(__file__).with_name("text") / "nouns.yaml"
SIDE = 96
SEEN_STYLES = ("noto", "noto-v1", "openmoji", "twemoji", "fluent-emoji-flat", "fluent-emoji",
               "emojione", "emojione-v1", "streamline-emojis")
UNSEEN_STYLE = "fxemoji"
VISIBLE = 16            # alpha from which a pixel belongs to a sprite
SAME = "="


class Noun:
    """A word of text/nouns.yaml."""

    def __init__(self, word, entry):
        self.word = word
        self.article, self.plural, self.is_coloured, icon, unseen_icon = entry
        self.icon = word if icon == SAME else icon
        self.unseen_icon = self.icon if unseen_icon == SAME else unseen_icon


def read_nouns(path=NOUNS):
    """word -> Noun, in the order of the file."""
    entries = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    return {word: Noun(word, entry) for word, entry in entries.items()}


def svg_of(style, name):
    """The whole SVG text of an icon of a style's JSON, or None if the style lacks it."""
    while name in style.get("aliases", {}):
        name = style["aliases"][name]["parent"]
    if name not in style["icons"]:
        return None
    icon = style["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width = icon.get("width", style.get("width", 16))
    height = icon.get("height", style.get("height", 16))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{SIDE}" height="{SIDE}" viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>')


def drawn(svg):
    """uint8 [height, width, 4] of an SVG, cut to what is visible."""
    import resvg_py
    from PIL import Image
    pixels = numpy.array(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA"))
    visible = pixels[..., 3] >= VISIBLE
    rows, columns = visible.any(1).nonzero()[0], visible.any(0).nonzero()[0]
    if not len(rows):
        raise ValueError(f"an icon shows nothing: {svg[:200]}")
    pixels[~visible] = 0
    return pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def make(work, path):
    """Draws every noun in every style; only streamline-emojis may lack some of them."""
    made = {"pixels": [], "size": [], "noun": [], "style": []}
    for style_name in (*SEEN_STYLES, UNSEEN_STYLE):
        source = pathlib.Path(work) / "icons" / style_name / "package/icons.json"
        style = json.loads(source.read_text(encoding="utf-8"))
        for noun in read_nouns().values():
            name = noun.unseen_icon if style_name == UNSEEN_STYLE else noun.icon
            svg = svg_of(style, name)
            if svg is None:
                if style_name in ("streamline-emojis", "emojione-v1"):
                    continue
                raise ValueError(f"{source}: expected an icon {name} for the noun {noun.word}")
            sprite = drawn(svg)
            made["pixels"].append(sprite.reshape(-1, 4))
            made["size"].append(sprite.shape[:2])
            made["noun"].append(noun.word)
            made["style"].append(style_name)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    numpy.savez_compressed(path, pixels=numpy.concatenate(made["pixels"]),
                           size=numpy.array(made["size"], numpy.int16),
                           noun=numpy.array(made["noun"]), style=numpy.array(made["style"]))
    print(f"{path}: {len(made['noun'])} sprites, {pathlib.Path(path).stat().st_size / 1e6:.1f} MB")


class Sprites:
    """The file, read: `styles` in the order of the file, `of(style, word)` float32 [h, w, 4] in 0..1."""

    def __init__(self, path):
        arrays = numpy.load(path)
        pixels, sizes = arrays["pixels"], arrays["size"].astype(int)
        ends = (sizes[:, 0] * sizes[:, 1]).cumsum()
        self.sprites = {}
        for (height, width), end, noun, style in zip(sizes, ends, arrays["noun"], arrays["style"]):
            sprite = pixels[end - height * width:end].reshape(height, width, 4)
            self.sprites[str(style), str(noun)] = sprite.astype(numpy.float32) / 255
        self.styles = tuple(dict.fromkeys(style for style, _ in self.sprites))

    def has(self, style, word):
        return (style, word) in self.sprites

    def of(self, style, word):
        return self.sprites[style, word]
