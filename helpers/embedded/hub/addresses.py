"""How the Hub writes a kind, an id and a revision in an address."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
"""The catalog's word for each kind, by the Hub's word in addresses."""


class _RepositoryId(StringConvertor):
    regex = r"[^/]+(?:/[^/]+)?"


class _Revision(StringConvertor):
    regex = r"refs/[^/]+/[^/]+|[^/]+"


class _Kind(StringConvertor):
    regex = "|".join(KINDS)


class _FileKind(StringConvertor):
    """The kinds that come before the id in a file's address; a model's has none."""

    regex = "datasets|spaces"


class _SpaceKind(StringConvertor):
    regex = "spaces"


def register() -> None:
    """Let routes name these parts."""
    register_url_convertor("hub_id", _RepositoryId())
    register_url_convertor("hub_revision", _Revision())
    register_url_convertor("hub_kind", _Kind())
    register_url_convertor("hub_file_kind", _FileKind())
    register_url_convertor("hub_space_kind", _SpaceKind())
