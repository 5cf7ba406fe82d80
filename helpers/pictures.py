"""Pictures: decoded safely, shown with what a model found in them, labelled in Portuguese."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.display import number, picture_bundle
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

MAX_PIXELS = 25_000_000
# What cameras, phones and web pages make. Pillow reads many more, each with a decoder to attack.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

LABELS_PT = "embedded/adapters/efficientnet-lite0/labels_pt.json"

# A drawn picture is brought to this width, in pixels, so that its labels can be read and a
# notebook stays small.
SHOWN_WIDTH = 420
TALLEST = 630
FONT_SIZE = 15
LINE = 2
JPEG_QUALITY = 75
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)


def decode(data: bytes | str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a picture, whoever it comes from.

    The size written in the file is checked before anything is decoded, so that a small file that
    would unfold into gigabytes is refused in milliseconds. The picture is turned upright as its
    EXIF data says; transparent parts become white; of an animation, the first frame is kept.

    Args:
        data: The bytes of a JPEG, PNG, WebP, GIF or BMP file, or the path of one.
        max_pixels: Most pixels to accept, width times height.

    Returns:
        A picture in mode RGB.

    Raises:
        CourseError: The bytes are no such picture or are cut short, or it has too many pixels.
    """
    from PIL import Image

    stream = io.BytesIO(data if isinstance(data, bytes) else _read(Path(data)))
    try:
        picture = Image.open(stream, formats=FORMATS)
        _check_size(picture, max_pixels)
        return _upright_rgb(picture)
    except CourseError:
        raise
    except Image.DecompressionBombError as error:
        raise CourseError(text("pictures.too_large_file", most=_millions(max_pixels))) from error
    except Exception as error:
        # Decoders fed with arbitrary bytes raise whatever they stumble on.
        raise CourseError(text("pictures.unreadable")) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseError(text("pictures.no_file", path=path)) from error


def _check_size(picture: Image, max_pixels: int) -> None:
    width, height = picture.size
    if width * height > max_pixels:
        sentence = text(
            "pictures.too_large", width=width, height=height, most=_millions(max_pixels)
        )
        raise CourseError(sentence)


def _millions(pixels: int) -> str:
    return number(pixels / 1e6, None)


def _upright_rgb(picture: Image) -> Image:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to 8
        upright = upright.convert("I").point(lambda value: value / 256).convert("L")
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    layer = upright.convert("RGBA")
    flat = Image.new("RGB", layer.size, WHITE)
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def portuguese_label(label: str) -> str:
    """Return the Brazilian name of an ImageNet class, for showing.

    Args:
        label: A label of ``curso/efficientnet-lite0``, such as ``"espresso"``.

    Returns:
        Its name in Portuguese, or the label itself where the course has no translation.
    """
    return _labels_pt().get(label, label)


@cache
def _labels_pt() -> dict[str, str]:
    return json.loads(files("helpers").joinpath(LABELS_PT).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Detection:
    """One object found in a picture.

    Attributes:
        label: What it is.
        score: How sure the model is, between 0 and 1.
        box: Left, top, right and bottom, in pixels of the picture.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """A picture with a text that says the same; notebooks show both.

    Attributes:
        image: The picture, in mode RGB.
        alt: The text.
    """

    image: Image = field(repr=False)
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def jpeg(self) -> bytes:
        """Return the picture as a JPEG file's bytes, no wider than what is shown."""
        shown = self.image
        if shown.width > SHOWN_WIDTH or shown.height > TALLEST:
            shown, _ = _resized(shown)
        buffer = io.BytesIO()
        shown.save(buffer, format="JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The picture twice: as HTML, because only there can a picture carry its text."""
        width = min(self.image.width, SHOWN_WIDTH)
        return picture_bundle(self.jpeg(), "image/jpeg", self.alt, width)


def draw_boxes(image: Image, detections: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw what an object detector found.

    Each object gets a number, the surest first; the text under the same number says what it is,
    how sure the model is and where it stands, so that nothing depends on seeing the lines.

    Args:
        image: The picture that the detector saw.
        detections: What ``pipeline("object-detection")`` and ``InferenceClient`` return:
            dictionaries with ``label``, ``score`` and ``box`` (``xmin``, ``ymin``, ``xmax`` and
            ``ymax``, in pixels).

    Returns:
        An object that a notebook shows as the picture with its boxes, and prints as text.

    Raises:
        CourseError: The detections are not of that form.
    """
    found = sorted(map(_detection, detections), key=lambda one: -one.score)
    shown, scale = _resized(image.convert("RGB"))
    _draw(shown, found, scale)
    return Picture(shown, _describe(image, found))


def _detection(entry: Mapping[str, Any]) -> Detection:
    try:
        box = entry["box"]
        xmin, ymin, xmax, ymax = (float(box[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
        return Detection(str(entry["label"]), float(entry["score"]), (xmin, ymin, xmax, ymax))
    except (KeyError, TypeError, ValueError) as error:
        raise CourseError(text("pictures.bad_detection")) from error


def _resized(image: Image) -> tuple[Image, float]:
    """Return a copy of the width that is shown, and by how much it was scaled."""
    from PIL import Image

    scale = min(SHOWN_WIDTH / image.width, TALLEST / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC), scale


def _draw(image: Image, found: Sequence[Detection], scale: float) -> None:
    from PIL import ImageDraw

    canvas = ImageDraw.Draw(image)
    font = _font()
    boxes = [tuple(scale * side for side in one.box) for one in found]
    for box in reversed(boxes):
        _outline(canvas, box)
    # Labels last and the surest on top, so that no line crosses them.
    for place, (one, box) in reversed(list(enumerate(zip(found, boxes, strict=True), 1))):
        _label(canvas, font, f"{place} {one.label} {number(one.score)}", box, image.size)


def _outline(canvas: ImageDraw, box: tuple[float, ...]) -> None:
    """Draw a rectangle of a dark line between two light ones: seen on any background."""
    left, top, right, bottom = box
    for inset, colour in ((-LINE, WHITE), (0, BLACK), (LINE, WHITE)):
        corners = (left + inset, top + inset, right - inset, bottom - inset)
        if corners[0] < corners[2] and corners[1] < corners[3]:
            canvas.rectangle(corners, outline=colour, width=LINE)


def _label(
    canvas: ImageDraw,
    font: FreeTypeFont,
    words: str,
    box: tuple[float, ...],
    size: tuple[int, int],
) -> None:
    """Write black on white at the box's upper left corner, inside the picture."""
    left, top, right, bottom = canvas.textbbox((0, 0), words, font=font)
    width, height = right - left + 6, FONT_SIZE + 6
    x = max(0, min(box[0], size[0] - width))
    y = box[1] - height if box[1] >= height else max(0, min(box[1], size[1] - height))
    canvas.rectangle((x, y, x + width, y + height), fill=WHITE, outline=BLACK)
    canvas.text((x + 3 - left, y + height / 2), words, fill=BLACK, font=font, anchor="lm")


@cache
def _font() -> FreeTypeFont:
    """Return the font that Matplotlib brings; Pillow's own lacks the letters of Portuguese."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), FONT_SIZE)


def _describe(image: Image, found: Sequence[Detection]) -> str:
    size = {"width": image.width, "height": image.height}
    if not found:
        return text("pictures.nothing", **size)
    objects = "; ".join(
        text(
            "pictures.object",
            place=place,
            label=one.label,
            score=number(one.score),
            where=_where(one.box, image.size),
        )
        for place, one in enumerate(found, 1)
    )
    key = "pictures.one" if len(found) == 1 else "pictures.several"
    return text(key, count=len(found), objects=objects, **size)


def _where(box: tuple[float, float, float, float], size: tuple[int, int]) -> str:
    """Say in which ninth of the picture a box's centre is."""
    column = _third((box[0] + box[2]) / 2, size[0])
    row = _third((box[1] + box[3]) / 2, size[1])
    return text(f"pictures.where_{row}{column}")


def _third(position: float, length: int) -> int:
    return min(2, max(0, int(3 * position / length)))
