"""One repository: its details, its branch and commit, who may read it, whether a space runs."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from helpers.embedded.hub import holdings
from helpers.embedded.hub.descriptions import PAUSED, details
from helpers.embedded.hub.files import sibling
from helpers.embedded.hub.listings import expanded, is_set, page
from helpers.embedded.hub.owners import require_owner
from helpers.embedded.hub.snapshots import MAIN


async def info(request: Request) -> Response:
    """Describe one repository at a revision."""
    snapshot, query = await holdings.asked(request), request.query_params
    described = await asyncio.to_thread(details, snapshot)
    if is_set(query, "blobs"):
        described["siblings"] = [sibling(snapshot, path) for path in snapshot.files]
    if is_set(query, "securityStatus"):
        described["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    if named := expanded(query):
        described = {key: described[key] for key in described if key in ("id", "_id", *named)}
    elif snapshot.about.kind == "dataset":
        described.pop("mainSize")
    return JSONResponse(described)


async def list_refs(request: Request) -> Response:
    """List the branches and the tags."""
    references = await holdings.named(request).references()
    branches = [_reference("heads", *item) for item in references["branches"].items()]
    tags = [_reference("tags", *item) for item in references["tags"].items()]
    return JSONResponse({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})


async def list_commits(request: Request) -> Response:
    """List the commits up to a revision."""
    history = await holdings.named(request).history(request.path_params.get("revision", MAIN))
    shown, headers = page(request, history)
    listed = [
        {
            "id": entry.commit,
            "title": entry.title,
            "message": entry.message,
            "authors": [{"user": entry.author}],
            "date": entry.date,
        }
        for entry in shown
    ]
    return JSONResponse(listed, headers={"X-Total-Count": str(len(history)), **headers})


def _reference(group: str, name: str, commit: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{group}/{name}", "targetCommit": commit}


async def may_read(request: Request) -> Response:
    """Say that anyone may read a repository that exists."""
    holdings.named(request)
    return PlainTextResponse("OK")


async def may_write(request: Request) -> Response:
    """Say whether the client may write to a repository."""
    require_owner(request, holdings.named(request))
    return PlainTextResponse("OK")


async def space_runtime(request: Request) -> Response:
    """Say whether a space runs (none does)."""
    holdings.named(request)
    return JSONResponse(PAUSED)
