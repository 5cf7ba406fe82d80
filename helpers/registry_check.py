"""Asks the Hub whether the models that the course names are still what the course says.

`python -m helpers models --check` is run every week: ids are renamed, models get a gate, licences
change, and the hosted API drops a model. What is found is a table, with a replacement proposed for
each model that can no longer be used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helpers.environment import HUB_URL
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from helpers.models import ModelChoice

PROVIDER = "hf-inference"
FIELDS = ("cardData", "gated", "inferenceProviderMapping", "safetensors", "siblings")
PERMISSIVE = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"}
PARAMETERS_TOLERANCE = 0.02
PROPOSALS = 3


@dataclass(frozen=True)
class Finding:
    """What the Hub says of one model.

    Attributes:
        model_id: the model.
        revision: the commit that the course was written for.
        task: the Hub's name of the task it is used for.
        uses: the course's tasks that it is used for, with how: ``"task"`` or ``"task (API)"``.
        problems: a sentence each; empty when all is as it should be.
        proposals: ids that could take its place; only for a model that can no longer be used.
    """

    model_id: str
    revision: str
    task: str
    uses: tuple[str, ...]
    problems: tuple[str, ...] = ()
    proposals: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Entry:
    """One model of the registry, whatever it is used for."""

    model_id: str
    revision: str
    task: str
    uses: tuple[str, ...]
    licence: str | None
    parameters: int | None
    by_api: bool


def main(endpoint: str | None = None) -> int:
    """Check every model of the registry and print the table, in Markdown.

    Args:
        endpoint: the Hub's address; by default ``$HF_ENDPOINT`` (a mirror) or huggingface.co.

    Returns:
        0 if all is as the course says, 1 otherwise.

    Raises:
        CourseError: if the Hub does not answer.
    """
    from helpers import models

    choices = [choice for task in models.tasks() for choice in models.choices(task)]
    findings = list(check(choices, endpoint or os.environ.get("HF_ENDPOINT") or HUB_URL))
    print(as_markdown(findings))
    return int(any(finding.problems for finding in findings))


def check(choices: Iterable[ModelChoice], endpoint: str = HUB_URL) -> Iterator[Finding]:
    """Ask the Hub about each model of these choices, once for each id and revision.

    Args:
        choices: the course's models.
        endpoint: the Hub's address.

    Raises:
        CourseError: if the Hub does not answer.
    """
    from huggingface_hub import HfApi

    # Public models must be readable by anyone, so the check carries no token.
    api = HfApi(endpoint=endpoint, token=False)
    for entry in _entries(choices):
        yield _examine(entry, api)


def as_markdown(findings: Iterable[Finding]) -> str:
    """Return the findings as a Markdown table, the problems first."""
    ordered = sorted(findings, key=lambda finding: (not finding.problems, finding.model_id))
    lines = [text("registry.header"), "| --- | --- | --- | --- |"]
    for finding in ordered:
        problems = "; ".join(finding.problems) or text("registry.fine")
        proposals = ", ".join(f"`{name}`" for name in finding.proposals)
        uses = ", ".join(finding.uses)
        lines.append(f"| `{finding.model_id}` | {uses} | {problems} | {proposals} |")
    return "\n".join(lines)


def _entries(choices: Iterable[ModelChoice]) -> list[_Entry]:
    found: dict[tuple[str, str], _Entry] = {}
    for choice in choices:
        local = (choice.hub_id, choice.revision, choice.task, choice.licence, choice.parameters)
        _add(found, choice.hub_task, *local, by_api=False)
        if choice.api_id:
            use = text("registry.by_api", task=choice.task)
            remote = (choice.api_id, choice.api_revision, use, None, None)
            _add(found, choice.hub_task, *remote, by_api=True)
    return list(found.values())


def _add(
    found: dict[tuple[str, str], _Entry],
    hub_task: str,
    model_id: str,
    revision: str,
    use: str,
    licence: str | None,
    parameters: int | None,
    *,
    by_api: bool,
) -> None:
    """Enter a use of a model; one that is used twice is asked about once."""
    known = found.get((model_id, revision))
    if known is None:
        known = _Entry(model_id, revision, hub_task, (), None, None, False)
    found[model_id, revision] = _Entry(
        model_id,
        revision,
        known.task,
        tuple(dict.fromkeys((*known.uses, use))),
        licence or known.licence,
        parameters or known.parameters,
        by_api or known.by_api,
    )


def _examine(entry: _Entry, api: Any) -> Finding:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    about = (entry.model_id, entry.revision, entry.task, entry.uses)
    try:
        info = api.model_info(entry.model_id, revision=entry.revision, expand=list(FIELDS))
    except RepositoryNotFoundError:
        return Finding(*about, (text("registry.gone"),), _proposals(entry, api))
    except RevisionNotFoundError:
        return Finding(*about, (text("registry.no_revision", revision=entry.revision),))
    except Exception as error:  # also those of its HTTP library, which is another in 2.x
        raise CourseError(text("registry.no_answer", url=api.endpoint)) from error
    problems = tuple(_problems(entry, info))
    unusable = bool(info.gated)
    return Finding(*about, problems, _proposals(entry, api) if unusable else ())


def _problems(entry: _Entry, info: Any) -> Iterator[str]:
    if info.gated:
        yield text("registry.gated")
    licence = info.card_data.license if info.card_data else None
    if entry.licence and licence != entry.licence:
        yield text("registry.licence", now=licence, before=entry.licence)
    if not entry.by_api and not _has_safetensors(info):
        yield text("registry.no_safetensors")
    total = info.safetensors.total if info.safetensors else None
    if entry.parameters and total and _differ(total, entry.parameters):
        yield text("registry.parameters", now=total, before=entry.parameters)
    if entry.by_api and not _is_served(info):
        yield text("registry.not_served", provider=PROVIDER)


def _has_safetensors(info: Any) -> bool:
    files = [sibling.rfilename for sibling in info.siblings or []]
    return bool(info.safetensors) or any(name.endswith(".safetensors") for name in files)


def _differ(total: int, expected: int) -> bool:
    return abs(total - expected) > PARAMETERS_TOLERANCE * expected


def _is_served(info: Any) -> bool:
    providers = info.inference_provider_mapping or []
    return any(one.provider == PROVIDER and one.status == "live" for one in providers)


def _proposals(entry: _Entry, api: Any) -> tuple[str, ...]:
    """Return the most downloaded models that do the same, free to use and ungated."""
    listed = api.list_models(
        pipeline_tag=entry.task,
        filter="safetensors",
        sort="downloads",
        limit=30,
        expand=["cardData", "gated"],
    )
    fitting = (
        model.id
        for model in listed
        if model.id != entry.model_id
        and not model.gated
        and model.card_data
        and model.card_data.license in PERMISSIVE
    )
    return tuple(name for name, _ in zip(fitting, range(PROPOSALS), strict=False))
