"""`models --check`: the registry held against a Hub, the replayed one and the embedded one."""

from dataclasses import replace

import pytest

from helpers import models, registry_check
from helpers.errors import CourseError

QWEN = "Qwen/Qwen3-4B-Instruct-2507"


@pytest.fixture
def choice():
    """A model of the registry that the replay knows, with a provider."""
    (found,) = [item for item in models.choices("text-generation") if item.hub_id == QWEN]
    return replace(found, api_id="", api_revision="")


def problems(choice, hub):
    (finding,) = registry_check.check([choice], hub.url)
    return finding


def test_a_model_that_is_as_the_course_says(choice, hub):
    finding = problems(choice, hub)
    assert (finding.model_id, finding.revision) == (QWEN, choice.revision)
    assert finding.uses == ("text-generation",)
    assert finding.problems == () and finding.proposals == ()


def test_a_model_that_is_gone_gets_replacements(choice, hub):
    finding = problems(replace(choice, hub_id="Qwen/nunca-existiu"), hub)
    assert finding.problems == ("não existe mais, ou ficou privado",)
    assert QWEN in finding.proposals
    assert "meta-llama/Llama-3.2-1B-Instruct" not in finding.proposals  # gated
    assert len(finding.proposals) <= registry_check.PROPOSALS


def test_a_gated_model_with_two_licences(choice, hub):
    finding = problems(replace(choice, hub_id="exemplo/duas-licencas"), hub)
    assert finding.problems[0] == "passou a exigir autorização do autor"
    assert "a licença é ['mit', 'cc-by-nc-4.0']; o curso diz apache-2.0" in finding.problems


def test_other_licence_other_size_and_no_safetensors(choice, hub):
    changed = replace(choice, licence="mit", parameters=choice.parameters * 2)
    assert problems(changed, hub).problems == (
        "a licença é apache-2.0; o curso diz mit",
        f"tem {choice.parameters} parâmetros; o curso diz {choice.parameters * 2}",
    )
    no_weights = replace(choice, hub_id="unicamp-dl/translation-pt-en-t5")
    assert "não tem pesos em safetensors" in problems(no_weights, hub).problems


def test_what_the_api_must_serve(choice, hub):
    served = replace(choice, api_id="deepset/roberta-base-squad2", api_revision="main")
    not_served = replace(choice, api_id="intfloat/multilingual-e5-small", api_revision="main")
    _, first = registry_check.check([served], hub.url)
    _, second = registry_check.check([not_served], hub.url)
    assert first.uses == ("text-generation (API)",) and first.problems == ()
    assert second.problems == ("a API não o serve por hf-inference",)


def test_a_model_of_two_uses_is_asked_about_once(choice, hub):
    hub.asked.clear()
    again = replace(choice, task="chat-pt")
    (finding,) = registry_check.check([choice, again], hub.url)
    assert finding.uses == ("text-generation", "chat-pt")
    assert len([request for request in hub.asked if QWEN in request]) == 1


def test_no_token_is_sent(choice, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    hub.tokens.clear()
    problems(choice, hub)
    assert hub.tokens == set()


def test_the_whole_registry_as_a_table(hub, capsys):
    assert registry_check.main(hub.url) == 1  # the replay has only some of the models
    header, _, *rows = capsys.readouterr().out.strip().splitlines()
    ids = {choice.hub_id for task in models.tasks() for choice in models.choices(task)}
    ids |= {choice.api_id for task in models.tasks() for choice in models.choices(task)}
    assert {row.split("`")[1] for row in rows} == ids
    assert all(row.count(" | ") == header.count(" | ") for row in rows)
    fine = ["como o curso diz" in row for row in rows]
    assert any(fine) and fine == sorted(fine)  # the problems come first


def test_a_hub_that_does_not_answer_is_a_sentence(choice):
    with pytest.raises(CourseError, match="127.0.0.1:9 não respondeu"):
        list(registry_check.check([choice], "http://127.0.0.1:9"))
