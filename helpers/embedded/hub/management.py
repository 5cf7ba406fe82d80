"""Repositories made, changed and deleted by their owners."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.catalog import KINDS
from helpers.embedded.hub import cards, holdings, owners
from helpers.embedded.hub.commits import address
from helpers.embedded.hub.errors import refused
from helpers.embedded.hub.files import LFS_ENDINGS
from helpers.embedded.learners import Namespace
from helpers.embedded.learners.names import check_revision
from helpers.embedded.wire import WireError, read_json

ATTRIBUTES = "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LFS_ENDINGS)
"""The ``.gitattributes`` that a new repository begins with, as on the Hub."""


async def create(request: Request) -> Response:
    """Make a repository in the client's namespace."""
    own = owners.namespace(request)
    fields = await _fields(request)
    kind, name = _kind(fields), _name(fields)
    _require_own(own, fields.get("organization"), f"create a {kind}")
    files = {".gitattributes": ATTRIBUTES.encode()}
    if kind == "space":
        files["README.md"] = _space_card(name, fields.get("sdk")).encode()
    private = _is_private(fields)
    told = {"url": address(request, kind, f"{own.name}/{name}"), "name": f"{own.name}/{name}"}
    try:
        await asyncio.to_thread(own.create, kind, name, private=private, files=files)
    except WireError as error:
        if error.status == 409:  # clients that do not mind read the address from it
            raise WireError(409, told | error.body, error.headers) from None
        raise
    return JSONResponse(told)


async def delete(request: Request) -> Response:
    """Delete a repository of the client's."""
    own = owners.namespace(request)
    fields = await _fields(request)
    kind, name = _kind(fields), _name(fields)
    repo_id = f"{fields.get('organization') or own.name}/{name}"
    repository = owners.require_owner(request, holdings.find(request, kind, repo_id))
    await asyncio.to_thread(own.delete, repository)
    request.app.state.residents.forget(repo_id)
    return JSONResponse({"success": True})


async def change_settings(request: Request) -> Response:
    """Make a repository private or public."""
    repository = owners.writable(request)
    fields = await _fields(request)
    if unknown := fields.keys() - {"private", "visibility"}:
        raise refused(400, f"The embedded Hub has no such setting: {', '.join(sorted(unknown))}")
    await asyncio.to_thread(repository.change_record, private=_is_private(fields))
    return JSONResponse({"private": repository.exists.private})


async def create_branch(request: Request) -> Response:
    """Make a branch, at the main one's commit if no other is named."""
    repository = owners.writable(request)
    fields = await _fields(request)
    name = check_revision(request.path_params["name"])
    start = str(fields.get("startingPoint") or "main")
    at = await asyncio.to_thread(repository.commit, start)
    await asyncio.to_thread(repository.set_reference, "branches", name, at.id)
    return JSONResponse({"ref": f"refs/heads/{name}"}, 201)


async def create_tag(request: Request) -> Response:
    """Give a commit a name that stays."""
    repository = owners.writable(request)
    fields = await _fields(request)
    name = check_revision(str(fields.get("tag")))
    at = await asyncio.to_thread(repository.commit, request.path_params["revision"])
    await asyncio.to_thread(repository.set_reference, "tags", name, at.id)
    return JSONResponse({"ref": f"refs/tags/{name}"}, 201)


async def delete_branch(request: Request) -> Response:
    """Delete a branch; its commits stay readable by their ids."""
    return await _delete_reference(request, "branches")


async def delete_tag(request: Request) -> Response:
    """Delete a tag."""
    return await _delete_reference(request, "tags")


async def _delete_reference(request: Request, group: str) -> Response:
    repository = owners.writable(request)
    name = request.path_params["name"]
    await asyncio.to_thread(repository.set_reference, group, name, None)
    return JSONResponse({"success": True})


# --- what is asked for


async def _fields(request: Request) -> dict[str, Any]:
    body, _ = await read_json(request)
    if not isinstance(body, dict):
        raise refused(400, "The body must be a JSON object.")
    return body


def _kind(fields: dict[str, Any]) -> str:
    kind = fields.get("type") or "model"
    if kind not in KINDS:
        raise refused(400, f"`type` must be one of: {', '.join(KINDS)}")
    return str(kind)


def _name(fields: dict[str, Any]) -> str:
    name = fields.get("name")
    if not isinstance(name, str):
        raise refused(400, "`name` must be the name of a repository.")
    return name


def _is_private(fields: dict[str, Any]) -> bool:
    visibility = fields.get("visibility", "private" if fields.get("private") else "public")
    if visibility not in ("private", "public"):
        raise refused(400, "`visibility` must be `private` or `public`.")
    return bool(visibility == "private")


def _require_own(own: Namespace, organization: Any, what: str) -> None:
    if organization not in (None, own.name):
        raise refused(
            403,
            f'You don\'t have the rights to {what} under the namespace "{str(organization)[:96]}". '
            f'Your own namespace is "{own.name}"',
        )


def _space_card(name: str, sdk: Any) -> str:
    if sdk not in cards.SDKS:
        raise refused(400, f"`sdk` must be one of: {', '.join(cards.SDKS)}")
    return f"---\ntitle: {json.dumps(name)}\nsdk: {sdk}\napp_file: app.py\npinned: false\n---\n"
