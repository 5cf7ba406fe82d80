"""Pictures: hostile files are refused in a sentence, drawings say in words what they show."""

import base64
import io
import re
import struct
import zlib

import pytest

from helpers import pictures
from helpers.errors import CourseError

PIL = pytest.importorskip("PIL.Image")

LEFT = {"xmin": 10, "ymin": 5, "xmax": 60, "ymax": 70}
RIGHT = {"xmin": 200, "ymin": 120, "xmax": 290, "ymax": 195}
FOUND = [
    {"label": "xícara", "score": 0.71, "box": RIGHT},
    {"label": "gato", "score": 0.984, "box": LEFT},
]


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def chunk(name, data):
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def bomb(width, height):
    """A valid PNG of a few kilobytes that unfolds into width x height pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * min(height, 50)), 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_each_format_is_read(form):
    image = pictures.decode(encoded(PIL.new("RGB", (20, 10), (250, 0, 0)), form))
    assert (image.mode, image.size) == ("RGB", (20, 10))
    red, green, blue = image.getpixel((10, 5))
    assert red > 240 and green < 10 and blue < 10


def test_a_path_is_read(tmp_path):
    path = tmp_path / "foto.png"
    path.write_bytes(encoded(PIL.new("L", (3, 4), 7)))
    assert pictures.decode(path).size == pictures.decode(str(path)).size == (3, 4)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CourseError, match="nada.png"):
        pictures.decode(tmp_path / "nada.png")


def test_transparent_parts_become_white():
    layer = PIL.new("RGBA", (4, 4), (0, 0, 0, 0))
    layer.putpixel((1, 1), (0, 0, 255, 255))
    for image in (layer, layer.quantize(4)):
        flat = pictures.decode(encoded(image))
        assert flat.getpixel((0, 0)) == (255, 255, 255)
        assert flat.getpixel((1, 1)) == (0, 0, 255)


def test_sixteen_bit_grey_keeps_its_shade():
    deep = PIL.new("I;16", (2, 2), 32768)
    assert pictures.decode(encoded(deep)).getpixel((0, 0)) == (128, 128, 128)


def test_cmyk_becomes_rgb():
    printed = PIL.new("CMYK", (8, 8), (0, 255, 255, 0))
    red, green, blue = pictures.decode(encoded(printed, "JPEG")).getpixel((4, 4))
    assert red > 200 and green < 60 and blue < 60


def test_picture_is_turned_upright():
    image = PIL.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 10, 20))
    exif = PIL.Exif()
    exif[0x0112] = 6  # turn a quarter to the right
    upright = pictures.decode(encoded(image, "JPEG", exif=exif, quality=95))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 2))[1] < 60 < 200 < upright.getpixel((10, 30))[1]


def test_broken_exif_does_not_matter():
    image = encoded(PIL.new("RGB", (8, 8)), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert pictures.decode(image).size == (8, 8)


@pytest.mark.parametrize(("width", "height"), [(6000, 6000), (12000, 12000), (60000, 60000)])
def test_bombs_are_refused_before_decoding(width, height, monkeypatch):
    def fail(*_):
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(CourseError, match="limite"):
        pictures.decode(bomb(width, height))


def test_limit_counts_pixels():
    image = encoded(PIL.new("L", (100, 50)))
    assert pictures.decode(image, max_pixels=5000).size == (100, 50)
    with pytest.raises(CourseError, match="100 × 50 pixels.*0,004999 milhões"):
        pictures.decode(image, max_pixels=4999)


TIFF = encoded(PIL.new("L", (5, 5)), "TIFF")
PNG = encoded(PIL.effect_noise((60, 60), 90))
JPEG = encoded(PIL.effect_noise((60, 60), 90), "JPEG")


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", bytes(1000), b"<svg></svg>", TIFF, PNG[:200], JPEG[:300], b"\x89PNG\r\n\x1a\n"],
    ids=["empty", "text", "zeros", "svg", "tiff", "cut png", "cut jpeg", "only the signature"],
)
def test_what_is_no_picture_is_refused_in_a_sentence(data):
    with pytest.raises(CourseError, match="JPEG, PNG"):
        pictures.decode(data)


def test_altered_bytes_never_raise_anything_else():
    for source in (PNG, JPEG):
        for place in range(0, len(source), 7):
            data = bytearray(source)
            data[place] ^= 0xFF
            try:
                assert pictures.decode(bytes(data)).mode == "RGB"
            except CourseError:
                continue


def test_words_tell_number_label_score_and_place_surest_first():
    drawn = pictures.draw_boxes(PIL.new("RGB", (300, 200)), FOUND)
    assert drawn.alt == (
        "Imagem de 300 × 200 pixels com 2 objetos encontrados: "
        "1. gato (pontuação 0,98), no alto, à esquerda; "
        "2. xícara (pontuação 0,71), embaixo, à direita."
    )
    assert repr(drawn) == drawn.alt


@pytest.mark.parametrize(("found", "words"), [([], "nenhum objeto"), (FOUND[:1], "1 objeto encon")])
def test_words_for_none_and_one(found, words):
    assert words in pictures.draw_boxes(PIL.new("RGB", (300, 200)), found).alt


def test_notebook_gets_the_picture_and_the_words():
    drawn = pictures.draw_boxes(PIL.new("RGB", (300, 200), "gray"), FOUND)
    bundle = drawn._repr_mimebundle_()
    assert bundle["text/plain"] == drawn.alt
    assert f'alt="{drawn.alt}"' in bundle["text/html"]
    data = base64.b64decode(re.search(r"base64,([^\"]+)", bundle["text/html"])[1])
    assert PIL.open(io.BytesIO(data)).size == (pictures.SHOWN_WIDTH, pictures.SHOWN_WIDTH * 2 // 3)


def test_labels_are_escaped_in_html():
    found = [{**FOUND[0], "label": '"><script>'}]
    html = pictures.draw_boxes(PIL.new("RGB", (30, 20)), found)._repr_mimebundle_()["text/html"]
    assert "<script>" not in html


def test_box_is_drawn_where_the_object_is_and_nothing_else_changes():
    image = PIL.new("RGB", (pictures.SHOWN_WIDTH, 400), (90, 120, 90))
    box = {"xmin": 100, "ymin": 150, "xmax": 200, "ymax": 250}
    found = [{"label": "gato", "score": 0.5, "box": box}]
    drawn = pictures.draw_boxes(image, found).image
    assert drawn.getpixel((150, 150)) == drawn.getpixel((100, 200)) == (0, 0, 0)
    assert drawn.getpixel((150, 200)) == drawn.getpixel((400, 300)) == (90, 120, 90)
    assert image.getpixel((150, 150)) == (90, 120, 90), "the caller's picture was changed"


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (5000, 4000)])
def test_any_size_and_any_box_can_be_drawn(size):
    wild = {"xmin": -50, "ymin": 90000, "xmax": 3, "ymax": 2}
    found = [*FOUND, {"label": "longo " * 40, "score": 1, "box": wild}]
    drawn = pictures.draw_boxes(PIL.new("RGB", size), found)
    assert max(drawn.image.size) <= pictures.TALLEST


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "a", "score": 1},
        {"label": "a", "score": 1, "box": [1, 2, 3, 4]},
        {"label": "a", "score": 1, "box": {"xmin": 1}},
        {"label": "a", "score": "muito", "box": LEFT},
    ],
)
def test_detections_of_another_form_are_refused(wrong):
    with pytest.raises(CourseError, match="`xmin`"):
        pictures.draw_boxes(PIL.new("RGB", (30, 20)), [wrong])


def test_labels_have_brazilian_names():
    assert pictures.portuguese_label("espresso") == "café expresso"
    assert pictures.portuguese_label("jaguar") == "onça-pintada"
    assert pictures.portuguese_label("trilobite") == "trilobite"
