"""Drawing of scenes with numpy alone: colours, shapes, backgrounds, and what a camera does to them.

A canvas is float32 [height, width, 3] in 0..1. A sprite is float32 [height, width, 4], RGBA with
straight alpha. All randomness comes from the numpy generator that is handed in."""

import functools

import numpy

COLOURS = {"red": (0.85, 0.11, 0.11), "orange": (0.97, 0.52, 0.07), "yellow": (0.98, 0.85, 0.10),
           "green": (0.16, 0.66, 0.24), "blue": (0.13, 0.34, 0.88), "purple": (0.53, 0.20, 0.76),
           "pink": (0.98, 0.55, 0.75)}
SHAPES = ("circle", "square", "triangle", "star")
GREY = numpy.array([0.299, 0.587, 0.114], numpy.float32)


@functools.lru_cache(maxsize=2048)
def weights(size_from, size_to):
    """float32 [size_to, size_from]: linear interpolation, wider when it makes smaller."""
    scale = size_from / size_to
    reach = max(1.0, scale)
    centre = (numpy.arange(size_to)[:, None] + 0.5) * scale
    distance = numpy.abs(numpy.arange(size_from)[None] + 0.5 - centre) / reach
    table = numpy.maximum(0, 1 - distance)
    return (table / table.sum(1, keepdims=True)).astype(numpy.float32)


def resized(image, height, width):
    """float32 [h, w, c] -> [height, width, c].

    Across first, the smaller array turned, so that both passes are one large matrix product."""
    rows, columns, channels = image.shape
    turned_image = image.swapaxes(0, 1).reshape(columns, rows * channels)
    wide = (weights(columns, width) @ turned_image).reshape(width, rows, channels).swapaxes(0, 1)
    return (weights(rows, height) @ wide.reshape(rows, width * channels)).reshape(height, width, channels)


def scaled_sprite(sprite, height, width):
    """A sprite in another size; colours are weighed by alpha, so that edges do not darken."""
    weighed = sprite.copy()
    weighed[..., :3] *= sprite[..., 3:]
    weighed = resized(weighed, height, width)
    weighed[..., :3] /= numpy.maximum(weighed[..., 3:], 1e-4)
    return weighed


def turned(sprite, degrees):
    """The sprite turned about its centre on a canvas that holds all of it."""
    height, width = sprite.shape[:2]
    angle = numpy.deg2rad(degrees)
    cosine, sine = numpy.cos(angle), numpy.sin(angle)
    out_height = int(abs(cosine) * height + abs(sine) * width) + 1
    out_width = int(abs(sine) * height + abs(cosine) * width) + 1
    y, x = numpy.mgrid[:out_height, :out_width].astype(numpy.float32)
    y, x = y - (out_height - 1) / 2, x - (out_width - 1) / 2
    from_x = numpy.rint(cosine * x + sine * y + (width - 1) / 2).astype(int)
    from_y = numpy.rint(cosine * y - sine * x + (height - 1) / 2).astype(int)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    out = sprite[from_y.clip(0, height - 1), from_x.clip(0, width - 1)]
    out[~inside] = 0
    return out


def colour_parts(rgb):
    """(hue in 0..6, saturation, value) of float32 [..., 3]."""
    value, low = rgb.max(-1), rgb.min(-1)
    range_ = numpy.maximum(value - low, 1e-6)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = numpy.where(value == red, (green - blue) / range_ % 6,
                      numpy.where(value == green, (blue - red) / range_ + 2, (red - green) / range_ + 4))
    return hue, (value - low) / numpy.maximum(value, 1e-6), value


def main_pixels(sprite):
    """bool [h, w]: the pixels that carry a sprite's colour. Its most frequent hue, if it has one for
    most of its area; else everything that has a hue; else everything that is not dark."""
    hue, saturation, value = colour_parts(sprite[..., :3])
    opaque = sprite[..., 3] > 0.5
    vivid = opaque & (saturation > 0.25) & (value > 0.2)
    if vivid.sum() < 0.3 * opaque.sum():
        return opaque & (value > 0.3)
    counts = numpy.bincount((hue[vivid] * 6).astype(int) % 36, minlength=36)
    around = sum(numpy.roll(counts, shift) for shift in range(-3, 4))
    best = (around.argmax() + 0.5) / 6
    near = vivid & (numpy.abs((hue - best + 3) % 6 - 3) < 0.8)
    return near if near.sum() > 0.45 * opaque.sum() else vivid


def tinted(sprite, colour, generator):
    """The sprite with its main pixels in about this colour; light and shade stay."""
    target = numpy.array(colour, numpy.float32) * generator.uniform(0.9, 1.08)
    target = (target + generator.uniform(-0.03, 0.03, 3)).clip(0, 1).astype(numpy.float32)
    chosen = main_pixels(sprite)
    brightness = sprite[..., :3] @ GREY
    middle = max(0.05, float(numpy.median(brightness[chosen])) if chosen.any() else 0.5)
    shade = (brightness / middle).clip(0.45, 1.5)[..., None]
    lit = numpy.where(shade > 1, 1 - (1 - target) * numpy.maximum(0, 2 - shade) ** 0.6, target * shade)
    out = sprite.copy()
    out[..., :3] = numpy.where(chosen[..., None], lit, sprite[..., :3])
    return out


def varied(sprite, generator):
    """Another painter's colours: hue turned a little, more or less saturated, sometimes grey."""
    out = sprite.copy()
    grey = (out[..., :3] @ GREY)[..., None]
    strength = generator.uniform(0.6, 1.25) if generator.random() > 0.06 else 0.0
    mix = numpy.eye(3, dtype=numpy.float32) + generator.normal(0, 0.06, (3, 3)).astype(numpy.float32)
    out[..., :3] = ((grey + strength * (out[..., :3] - grey)) @ mix).clip(0, 1)
    return out


@functools.lru_cache(maxsize=8)
def shape_distance(kind, side):
    """float32 [side, side]: negative inside of the shape, in pixels."""
    y, x = (numpy.mgrid[:side, :side].astype(numpy.float32) + 0.5) / side * 2 - 1
    if kind == "circle":
        distance = numpy.hypot(x, y) - 0.97
    elif kind == "square":
        distance = numpy.maximum(abs(x), abs(y)) - 0.95
    elif kind == "triangle":
        distance = numpy.maximum((2 * abs(x) - y) / numpy.sqrt(5.0) - 0.43, y - 0.95)
    else:
        angle = numpy.arctan2(x, -y)
        wedge = numpy.abs((angle + numpy.pi / 5) % (2 * numpy.pi / 5) - numpy.pi / 5)
        radius = numpy.hypot(x, y)
        outer, inner, half = 0.98, 0.40, numpy.pi / 5
        slope = (outer - inner * numpy.cos(half)) / (inner * numpy.sin(half))
        edge = radius * numpy.cos(wedge) + radius * numpy.sin(wedge) * slope
        distance = (edge - outer) / numpy.hypot(1, slope)
    return (distance * side / 2).astype(numpy.float32)


def shape(kind, colour, generator, side=128):
    """A sprite of one of SHAPES: flat, shaded or outlined, as a draughtsman may like it."""
    target = numpy.array(colour, numpy.float32) * generator.uniform(0.9, 1.08)
    target = (target + generator.uniform(-0.03, 0.03, 3)).clip(0, 1).astype(numpy.float32)
    distance = shape_distance(kind, side)
    out = numpy.empty((side, side, 4), numpy.float32)
    out[..., :3] = target
    if generator.random() < 0.4:
        ramp = numpy.linspace(*generator.uniform(0.75, 1.2, 2), side, dtype=numpy.float32)
        out[..., :3] *= (ramp[:, None] if generator.random() < 0.5 else ramp[None])[..., None]
    if generator.random() < 0.3:
        line = numpy.float32(generator.choice([0.0, 0.15, 1.0]))
        out[distance > -generator.uniform(2, 6), :3] = line
    out[..., 3] = (0.5 - distance).clip(0, 1)
    return out.clip(0, 1)


def paste(canvas, sprite, left, top):
    """Puts a sprite on the canvas, in place; what is outside of the canvas is cut off."""
    height, width = sprite.shape[:2]
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(canvas.shape[0], top + height), min(canvas.shape[1], left + width)
    if y0 >= y1 or x0 >= x1:
        raise ValueError(f"a sprite of {width}x{height} at ({left}, {top}) is outside of the canvas")
    part = sprite[y0 - top:y1 - top, x0 - left:x1 - left]
    under = canvas[y0:y1, x0:x1]
    under += part[..., 3:] * (part[..., :3] - under)


# Backgrounds


def quiet_colour(generator):
    """A colour that is paler or darker than COLOURS."""
    value = generator.uniform(0.15, 1.0)
    saturation = generator.uniform(0, 0.45) * (0.5 if value > 0.5 else 1)
    pure = generator.random(3)
    pure = (pure - pure.min()) / max(1e-3, pure.max() - pure.min())
    return (value * (1 - saturation * (1 - pure))).astype(numpy.float32)


def bare_colour(generator):
    """What fills a screen when nothing is shown: black, white, or one colour."""
    whole = (numpy.zeros(3), numpy.ones(3), generator.random(3))
    return whole[int(generator.integers(3))].astype(numpy.float32)


def noise(generator, rows, columns, strength):
    return generator.normal(0, strength, (rows, columns, 1)).astype(numpy.float32)


def plain(generator, height, width):
    return numpy.broadcast_to(quiet_colour(generator), (height, width, 3)).copy()


def gradient(generator, height, width):
    """Four corners in two or three colours."""
    first, second = quiet_colour(generator), quiet_colour(generator)
    if generator.random() < 0.5:
        corners = numpy.array([[first, first], [second, second]])
    else:
        corners = numpy.array([[first, second], [second, quiet_colour(generator)]])
    return resized(corners, height, width)


def horizon(generator, height, width):
    """Sky above ground, the border straight or hilly."""
    at = generator.uniform(0.35, 0.8) * height
    x = numpy.arange(width) / width
    hills = generator.uniform(0, 0.05) * height * numpy.sin(2 * numpy.pi * (generator.uniform(0.5, 3) * x + generator.random()))
    below = ((numpy.arange(height)[:, None] - (at + hills)[None]).clip(-1, 1) + 1)[..., None].astype(numpy.float32) / 2
    sky = resized(numpy.array([[quiet_colour(generator)], [quiet_colour(generator)]]), height, 1)
    ground = quiet_colour(generator) * resized(1 + noise(generator, 12, 16, 0.08), height, width)
    return sky + below * (ground - sky)


def blurred_photo(generator, height, width):
    """Colours that change slowly, coarse and finer, as behind a lens that is focused elsewhere."""
    base = quiet_colour(generator)
    coarse = base + generator.normal(0, 0.12, (4, 6, 3)).astype(numpy.float32)
    fine = noise(generator, 16, 24, generator.uniform(0.01, 0.06))
    return resized(coarse, height, width) + resized(fine, height, width)


def panels(generator, height, width):
    """Rectangles, as walls, tables and windows are."""
    canvas = plain(generator, height, width)
    for _ in range(generator.integers(1, 5)):
        y0, y1 = numpy.sort(generator.integers(0, height + 1, 2))
        x0, x1 = numpy.sort(generator.integers(0, width + 1, 2))
        canvas[y0:y1, x0:x1] += 0.6 * (quiet_colour(generator) - canvas[y0:y1, x0:x1])
    return canvas


BACKGROUNDS = {plain: 0.3, gradient: 0.2, horizon: 0.2, blurred_photo: 0.18, panels: 0.12}


def background(generator, height, width):
    kinds, shares = list(BACKGROUNDS), numpy.array(list(BACKGROUNDS.values()))
    kind = kinds[int(generator.choice(len(kinds), p=shares / shares.sum()))]
    return kind(generator, height, width)


# The camera


@functools.lru_cache(maxsize=1)
def grain():
    """float32 [1024, 1024] normal noise, of which pictures take pieces."""
    return numpy.random.default_rng(0).normal(0, 1, (1024, 1024)).astype(numpy.float32)


def grainy(canvas, generator, level):
    """Noise of this deviation; its three channels are pieces of one sheet."""
    height, width = canvas.shape[:2]
    for channel in range(3):
        y, x = generator.integers(0, 1024 - height), generator.integers(0, 1024 - width)
        canvas[..., channel] += level * grain()[y:y + height, x:x + width]


def with_coarse_colours(canvas):
    """One colour difference for 2 x 2 pixels, as video codecs keep it."""
    brightness = (canvas @ GREY)[..., None]
    colour = canvas - brightness
    colour = colour[::2] + colour[1::2]
    colour = (colour[:, ::2] + colour[:, 1::2]) / 4
    return brightness + colour.repeat(2, 0).repeat(2, 1)


def filmed(canvas, generator):
    """uint8 picture of a canvas: light, focus, colour resolution and grain of some camera."""
    height, width = canvas.shape[:2]
    if generator.random() < 0.5:
        canvas = canvas * generator.uniform(0.75, 1.1) + generator.uniform(-0.04, 0.08)
    if generator.random() < 0.25:
        less = generator.uniform(0.4, 0.8)
        canvas = resized(resized(canvas, int(less * height), int(less * width)), height, width)
    if generator.random() < 0.4:
        canvas = with_coarse_colours(canvas)
    if generator.random() < 0.5:
        grainy(canvas, generator, 10 ** generator.uniform(-3, -1.5))
    return (canvas * 255 + 0.5).clip(0, 255).astype(numpy.uint8)
