from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from helpers.bootstrap import ROOT
from helpers.diagram import _PLATFORM, platform, worlds
from helpers.messages import text

SVG = "{http://www.w3.org/2000/svg}"
WORLDS = [("embedded", "embedded"), ("hub", "hub"), ("hub", "embedded")]


def drawn(hub, api):
    diagram = worlds(SimpleNamespace(hub=hub, api=api, in_class=False))
    root = ElementTree.fromstring(diagram.svg)
    return diagram, root, [element.text for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(("hub", "api"), WORLDS)
def test_two_services_are_in_use_and_two_are_not(hub, api):
    _, _, written = drawn(hub, api)
    assert written.count(text("diagram.in_use")) == 2
    assert written.count(text("diagram.not_in_use")) == 2


@pytest.mark.parametrize(("hub", "api"), WORLDS)
def test_what_is_in_use_is_said_under_its_own_name(hub, api):
    _, _, written = drawn(hub, api)
    for service, world in (("hub", hub), ("api", api)):
        name = f"diagram.{service}_{'embedded' if world == 'embedded' else 'real'}"
        name_index = written.index(text(name))
        assert written[name_index + 2] == text("diagram.in_use")


@pytest.mark.parametrize(("hub", "api"), WORLDS)
def test_the_picture_and_its_twin_say_the_same(hub, api):
    diagram, root, _ = drawn(hub, api)
    assert root.get("aria-label") == repr(diagram) == diagram.description
    assert root.find(f"{SVG}title").text == diagram.description
    assert text(f"diagram.world_{hub}") in repr(diagram)
    assert diagram._repr_mimebundle_()["text/plain"] == diagram.description


def test_the_readme_shows_the_same_drawing():
    diagram, _, _ = drawn("embedded", "embedded")
    stored = (ROOT / "docs" / "imagens" / "dois-mundos.svg").read_text(encoding="utf-8")
    assert stored == f"{diagram.svg}\n"
    assert "docs/imagens/dois-mundos.svg" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_class_server_is_drawn_at_the_teachers():
    course = SimpleNamespace(
        hub="embedded", api="embedded", in_class=True, api_base="http://192.168.0.10:8642"
    )
    diagram = worlds(course)
    assert "servidor da turma (192.168.0.10:8642)" in repr(diagram)
    assert diagram.svg.count(">192.168.0.10:8642<") == 2
    assert "máquina do professor" in diagram.svg and "127.0.0.1" not in diagram.svg


def test_everything_is_inside_the_picture():
    _, root, _ = drawn("hub", "embedded")
    _, _, width, height = map(float, root.get("viewBox").split())
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x", 0)) + float(box.get("width")) <= width
        assert float(box.get("y", 0)) + float(box.get("height")) <= height


def test_the_map_names_every_place_in_the_picture_and_in_words():
    drawing = platform()
    for row in _PLATFORM.values():
        for place in row:
            assert f">{text(f'diagram.{place}')}<" in drawing.svg
    for words in ("modelos", "conjuntos de dados", "Spaces", "fórum", "documentação", "empresas"):
        assert words in repr(drawing)
