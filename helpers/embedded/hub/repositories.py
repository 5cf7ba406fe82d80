"""One repository: its details, its branch and commit, who may read it, whether a space runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from helpers.embedded.hub import snapshots
from helpers.embedded.hub.descriptions import PAUSED, details
from helpers.embedded.hub.files import commit_title, sibling
from helpers.embedded.hub.listings import expanded, is_set
from helpers.embedded.wire import WireError


async def info(request: Request) -> Response:
    """Describe one repository at a revision."""
    snapshot, query = await snapshots.asked(request), request.query_params
    described = details(snapshot)
    if is_set(query, "blobs"):
        described["siblings"] = [sibling(snapshot, path) for path in snapshot.files]
    if is_set(query, "securityStatus"):
        described["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    if named := expanded(query):
        described = {key: described[key] for key in described if key in ("id", "_id", *named)}
    elif snapshot.repository.kind == "dataset":
        described.pop("mainSize")
    return JSONResponse(described)


async def list_refs(request: Request) -> Response:
    """List the branches (there is one) and the tags (there are none)."""
    snapshot = await snapshots.asked(request)
    main = snapshots.MAIN
    branch = {"name": main, "ref": f"refs/heads/{main}", "targetCommit": snapshot.commit}
    return JSONResponse({"branches": [branch], "tags": [], "converts": [], "pullRequests": []})


async def list_commits(request: Request) -> Response:
    """List the one commit."""
    snapshot = await snapshots.asked(request)
    author = {"user": snapshot.repository.id.split("/")[0]}
    commit = {
        "id": snapshot.commit,
        "title": commit_title(snapshot),
        "message": "",
        "authors": [author],
        "date": snapshot.last_modified,
    }
    return JSONResponse([commit], headers={"X-Total-Count": "1"})


async def may_read(request: Request) -> Response:
    """Say that anyone may read a repository that exists."""
    snapshots.named(request)
    return PlainTextResponse("OK")


async def may_write(request: Request) -> Response:
    """Say that nobody may write here."""
    snapshots.named(request)
    raise WireError(403, "Forbidden: the embedded Hub is read-only.")


async def space_runtime(request: Request) -> Response:
    """Say whether a space runs (none does)."""
    snapshots.named(request)
    return JSONResponse(PAUSED)
