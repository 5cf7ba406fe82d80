import pytest

from helpers import widgets
from helpers.errors import CourseError

ROWS = [
    {"modelo": "a/um", "tarefa": "tradução", "línguas": ["pt", "en"], "tamanho (MB)": 40.0},
    {"modelo": "b/dois", "tarefa": "conversa", "línguas": ["en"], "tamanho (MB)": 270.0},
    {"modelo": "c/<três>", "tarefa": "tradução", "línguas": [], "tamanho (MB)": 90.5},
]


@pytest.fixture
def explorer():
    return widgets.explorer(ROWS, ["tarefa", "línguas"], "tamanho (MB)", "modelo")


def test_decision_aid_answers_every_control():
    aid = widgets.decision_aid(memory_bytes=16e9)
    seen = [repr(aid)]
    for name, value in [
        ("parameters", 7e9),
        ("precision", "float32"),
        ("data", "personal"),
        ("precision", "int4"),
        ("data", "public"),
        ("requests_per_day", 1e6),
        ("seconds_per_request", 0.01),
    ]:
        aid.controls[name].value = value
        assert repr(aid) != seen[-1], name
        seen.append(repr(aid))
    assert "pessoais" in seen[3]


def test_output_follows_the_controls():
    aid = widgets.decision_aid(memory_bytes=16e9)
    output = aid.widget.children[-1]
    assert "Na sua máquina" in output.value
    aid.controls["parameters"].value = 7e10
    assert 'role="status"' in output.value and "Pela API" in output.value
    assert 'alt="Gráfico de barras' in output.value


def test_every_control_has_words():
    aid = widgets.decision_aid(memory_bytes=16e9)
    assert all(control.description for control in aid.controls.values())


def test_twin_says_the_same_as_the_widget(explorer):
    shown = explorer._repr_mimebundle_()
    assert shown[widgets.WIDGET_VIEW]["model_id"] == explorer.widget.model_id
    assert shown["text/plain"] == repr(explorer)
    assert shown["text/html"] == explorer.widget.children[-1].value
    assert "a/um" in shown["text/plain"] and "c/&lt;três&gt;" in shown["text/html"]


def test_explorer_filters(explorer):
    assert repr(explorer).startswith("3 de 3")
    explorer.controls["tarefa"].value = "tradução"
    assert repr(explorer).startswith("2 de 3") and "b/dois" not in repr(explorer)
    explorer.controls["línguas"].value = "pt"
    assert repr(explorer).startswith("1 de 3") and "c/<três>" not in repr(explorer)
    explorer.controls["tamanho (MB)"].value = 10
    assert repr(explorer) == "0 de 3 atendem ao que você escolheu."


def test_explorer_offers_each_value_once(explorer):
    assert explorer.controls["línguas"].options == ("todos", "en", "pt")
    assert explorer.controls["tarefa"].options == ("todos", "conversa", "tradução")


def test_nothing_to_explore():
    with pytest.raises(CourseError, match="vazia"):
        widgets.explorer([], ["tarefa"], "tamanho", "modelo")
