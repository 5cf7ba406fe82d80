"""Scenes to learn from and to be measured on: drawings pasted on photographs and textures.

A scene is made from its number alone, so the same number gives the same scene on every machine
with the same libraries.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from training.detector.sources import (
    CLASSES,
    DISTRACTORS,
    LABELS,
    TRAINING_PHOTOS,
    TRAINING_STYLES,
    UNSEEN_PHOTOS,
    UNSEEN_STYLE,
    cutouts,
    photos,
)

SIZE = 256
SMALLEST, LARGEST = 36, 130  # of a drawing's frame, in pixels
MOST_OBJECTS, MOST_DISTRACTORS = 6, 3
# How much of a drawing those pasted later may hide, all together; and how much the scene's edge
# may, on each side.
MOST_HIDDEN = 0.25
MOST_CUT = 0.25
VISIBLE_ALPHA = 48
TRIES = 12

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    Attributes:
        image: As wide as high, mode RGB.
        labels: Places in ``LABELS``.
        boxes: Left, top, right and bottom of each object, in pixels, around what is visible of
            the drawing inside the picture.
    """

    image: Image.Image
    labels: list[int]
    boxes: list[Box]


@dataclass(frozen=True)
class Material:
    """What a set of scenes is composed of.

    Attributes:
        objects: For each label, its drawings in mode RGBA.
        distractors: Drawings of nothing that is labelled.
        photos: Backgrounds; textures are made besides them.
    """

    objects: list[list[Image.Image]]
    distractors: list[Image.Image]
    photos: list[Image.Image]


def material(name: str, data: Path) -> Material:
    """Gather what one set of scenes is made of.

    Args:
        name: ``"train"``; ``"seen-style"``: the training drawings on unseen photographs, among
            unseen distractors; ``"unseen-style"``: the same with drawings by other hands.
        data: Folder that holds the downloads.
    """
    styles = (UNSEEN_STYLE,) if name == "unseen-style" else TRAINING_STYLES
    drawn = [cutouts(style, data) for style in styles]
    distractors = DISTRACTORS["train" if name == "train" else "test"]
    return Material(
        objects=[[one[key] for key in names for one in drawn] for names in CLASSES.values()],
        distractors=[one[key] for key in distractors for one in drawn],
        photos=photos(TRAINING_PHOTOS if name == "train" else UNSEEN_PHOTOS, data),
    )


def compose(
    source: Material, number: int, plain: bool = False, *, size: int = SIZE, fewest: int = 0
) -> Scene:
    """Make one scene.

    Args:
        source: What to make it of.
        number: Which one; scenes of different sets should have numbers far apart.
        plain: Whether to do without a photograph, on a texture.
        size: Height and width, in pixels; the drawings grow with it.
        fewest: Objects to paste at least.

    Returns:
        The scene; one with little room may hold fewer objects than ``fewest``.
    """
    rng = random.Random(number)
    scene = _background(source.photos, rng, plain, size).convert("RGB")
    pasted: list[_Pasted] = []
    for label in _what_to_paste(rng, fewest):
        drawings = source.distractors if label is None else source.objects[label]
        drawing = _varied(rng.choice(drawings), rng, size / SIZE)
        corner = _place(drawing, pasted, rng, size)
        if corner is None:
            continue
        mask = _mask(drawing, corner, size)
        for other in pasted:
            other.mask &= ~mask
        scene.paste(drawing, corner, drawing)
        pasted.append(_Pasted(label, mask, int(mask.sum())))
    if rng.random() < 0.2:
        scene = scene.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0) * size / SIZE))
    found = [(one.label, _box(one.mask)) for one in pasted if one.label is not None]
    return Scene(scene, [label for label, _ in found], [box for _, box in found])


@dataclass
class _Pasted:
    """A drawing in a scene: what it is, which pixels of it are visible, how many were at first."""

    label: int | None
    mask: np.ndarray
    area: int


def _what_to_paste(rng: random.Random, fewest: int) -> list[int | None]:
    objects = rng.choices(range(len(LABELS)), k=rng.randint(fewest, MOST_OBJECTS))
    items: list[int | None] = [*objects, *[None] * rng.randint(0, MOST_DISTRACTORS)]
    rng.shuffle(items)
    return items


def _varied(drawing: Image.Image, rng: random.Random, scale: float) -> Image.Image:
    """Scale, mirror, turn and tint a drawing, and cut it to what is visible of it."""
    side = round(scale * SMALLEST * (LARGEST / SMALLEST) ** rng.random())
    wide = max(8, round(side * rng.uniform(0.85, 1.18)))
    varied = drawing.resize((wide, side), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        varied = varied.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.6:
        varied = varied.rotate(rng.uniform(-25, 25), Image.Resampling.BICUBIC, expand=True)
    alpha = varied.getchannel("A")
    colours = varied.convert("RGB")
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if rng.random() < 0.5:
            colours = enhancer(colours).enhance(rng.uniform(0.65, 1.35))
    colours.putalpha(alpha)
    visible = alpha.point(lambda value: 255 * (value >= VISIBLE_ALPHA)).getbbox()
    return colours.crop(visible)


def _place(
    drawing: Image.Image, others: list[_Pasted], rng: random.Random, size: int
) -> tuple[int, int] | None:
    """Find where a drawing fits; ``None`` if it does not."""
    width, height = drawing.size
    cut_x, cut_y = (round(MOST_CUT * side * (rng.random() < 0.15)) for side in drawing.size)
    if width - 2 * cut_x > size or height - 2 * cut_y > size:
        return None
    for _ in range(TRIES):
        x = rng.randint(-cut_x, size - width + cut_x) if size - width + 2 * cut_x > 0 else 0
        y = rng.randint(-cut_y, size - height + cut_y) if size - height + 2 * cut_y > 0 else 0
        mask = _mask(drawing, (x, y), size)
        left = ((other.mask & ~mask).sum() / other.area for other in others)
        if all(share >= 1 - MOST_HIDDEN for share in left):
            return x, y
    return None


def _mask(drawing: Image.Image, corner: tuple[int, int], size: int) -> np.ndarray:
    """Return which pixels of the scene a drawing covers, ``[size, size]`` of booleans."""
    layer = Image.new("L", (size, size))
    layer.paste(drawing.getchannel("A"), corner)
    return np.asarray(layer) >= VISIBLE_ALPHA


def _box(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def _background(
    sources: list[Image.Image], rng: random.Random, plain: bool, size: int
) -> Image.Image:
    if plain or rng.random() < 0.45:
        return _texture(rng, size)
    photo = rng.choice(sources)
    side = rng.randint(min(160, *photo.size), min(photo.size))
    x, y = (rng.randint(0, length - side) for length in photo.size)
    scene = photo.crop((x, y, x + side, y + side)).resize((size, size), Image.Resampling.BICUBIC)
    scene = scene.rotate(90 * rng.randint(0, 3))
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        scene = enhancer(scene).enhance(rng.uniform(0.5, 1.4))
    if rng.random() < 0.3:
        scene = scene.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3) * size / SIZE))
    return scene


def _texture(rng: random.Random, size: int) -> Image.Image:
    """Mix two colours by a plain, striped, chequered, cloudy or grainy pattern."""
    noise = np.random.default_rng(rng.getrandbits(32))
    rows, columns = np.mgrid[0:size, 0:size] / size
    angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 24)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    kind = rng.choice(("plain", "gradient", "stripes", "checks", "clouds", "grain"))
    if kind == "plain":
        share = np.zeros((size, size))
    elif kind == "gradient":
        share = (along - along.min()) / np.ptp(along)
    elif kind == "stripes":
        share = (np.sin(2 * np.pi * waves * along) > 0).astype(float)
    elif kind == "checks":
        share = ((np.sin(waves * 6 * along) * np.sin(waves * 6 * across)) > 0).astype(float)
    elif kind == "clouds":
        coarse = noise.integers(0, 256, (rng.randint(3, 24),) * 2, dtype=np.uint8)
        cloud = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        share = np.asarray(cloud) / 255
    else:
        share = noise.random((size, size))
    first, second = (noise.integers(0, 256, 3) for _ in range(2))
    mixed = first + share[..., None] * (second - first)
    mixed = mixed + noise.normal(0, rng.uniform(0, 6), mixed.shape)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
