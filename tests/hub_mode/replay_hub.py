"""A server on this machine that answers as huggingface.co and its dataset viewer do.

It replays the shapes in ``recorded/``; each file there says where its shapes come from. What
clients choose (fields, filters, order, pages) is applied as the Hub applies it. It has no weights
but those of `small_classifier.py`: of another safetensors file it knows the header, which is all
that the course's Range requests need.
"""

import csv
import hashlib
import io
import json
import math
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import small_classifier
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

RECORDED = Path(__file__).parent / "recorded"
VIEWER = "/viewer"
PAGE = 5
"""Repositories of a page when the client names no limit; 1000 at the Hub, few here to see pages."""
MOST_ROWS = 100
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}
LISTED = {
    "models": ("likes", "private", "downloads", "tags", "pipeline_tag", "library_name"),
    "datasets": ("author", "gated", "private", "downloads", "likes", "tags"),
    "spaces": ("likes", "private", "sdk", "tags"),
}
"""What a listing tells unless the client asks for other fields."""
ALSO_LISTED = {"features": {"toolCalling": False, "structuredOutput": False}, "performance": {}}
"""What a listing tells of a provider, and a model's details do not."""
CREATED = "2022-03-02T23:29:04.000Z"
PROMPTS = "fka/prompts.chat"
PICTURES = "uoft-cs/cifar100"
PROMPT_ROWS = 130


@dataclass
class ReplayHub:
    """A running replay.

    Attributes:
        url: the address, for ``HF_ENDPOINT``.
        asked: method and address of every request, in order.
        tokens: every token that came.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    @property
    def viewer_url(self) -> str:
        return f"{self.url}{VIEWER}"


@contextmanager
def running() -> Iterator[ReplayHub]:
    """Run a replay in a thread of this process, on a free port."""
    hub = ReplayHub()
    config = uvicorn.Config(_Noting(_application(), hub), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)


class _Noting:
    """Notes what was asked, and by whom."""

    def __init__(self, application, hub):
        self.application, self.hub = application, hub

    async def __call__(self, scope, receive, send):
        request = Request(scope)
        query = f"?{request.url.query}" if request.url.query else ""
        self.hub.asked.append(f"{request.method} {request.url.path}{query}")
        if authorization := request.headers.get("authorization"):
            self.hub.tokens.add(authorization.removeprefix("Bearer "))
        await self.application(scope, receive, send)


def _application() -> Starlette:
    kind, repo = "/api/{kind}", "/{owner}/{name}"
    routes = [
        Route("/api/whoami-v2", whoami),
        Route(kind, listing),
        Route(kind + repo, details),
        Route(kind + repo + "/revision/{revision:path}", details),
        Route(kind + repo + "/tree/{revision}", tree),
        Route(kind + repo + "/tree/{revision}/{path:path}", tree),
        Route(kind + repo + "/paths-info/{revision}", paths_info, methods=["POST"]),
        Route("/api/resolve-cache/{kind}" + repo + "/{revision}/{path:path}", small_file),
        Route("/cdn/{owner}/{name}/{path:path}", large_file),
        Route(VIEWER + "/splits", viewer_splits),
        Route(VIEWER + "/first-rows", viewer_first_rows),
        Route(VIEWER + "/rows", viewer_rows),
        Route("/{kind}" + repo + "/resolve/{revision}/{path:path}", resolve),
        Route(repo + "/resolve/{revision}/{path:path}", resolve),
    ]
    return Starlette(routes=routes)


# --- what is recorded -------------------------------------------------------------------------


@cache
def recorded(kind: str) -> list[dict]:
    """Return the repositories of a kind: ``"models"``, ``"datasets"`` or ``"spaces"``."""
    return json.loads((RECORDED / f"{kind}.json").read_text(encoding="utf-8"))[kind]


def repository(kind: str, repo_id: str) -> dict | None:
    return next((item for item in recorded(kind) if item["id"] == repo_id), None)


@cache
def prompts_csv() -> bytes:
    """The one file of the dataset of prompts; one cell is longer than the viewer shows."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["act", "prompt", "for_devs", "type", "contributor"])
    for place in range(PROMPT_ROWS):
        text = f"I want you to act as assistant number {place}. My first request is «ajude-me»."
        text = text + "\nBe brief." * 300 if place == 3 else text
        is_technical = "TRUE" if place % 3 == 0 else "FALSE"
        writer.writerow([f"Assistant {place}", text, is_technical, "TEXT", "f"])
    return stream.getvalue().encode()


@cache
def weights(repo_id: str) -> dict[str, dict[str, tuple[str, list[int]]]]:
    """Return the tensors in each safetensors file of a model: name, dtype and shape."""
    told = json.loads((RECORDED / "weights.json").read_text(encoding="utf-8"))["models"][repo_id]
    tensors = {}
    for name, shape in told["tensors"].items():
        names = [name.format(layer) for layer in range(told["layers"])] if "{}" in name else [name]
        tensors |= {each: (told["dtype"], shape) for each in names}
    parts = told.get("parts", 1)
    if parts == 1:
        return {"model.safetensors": tensors}
    names, share = list(tensors), math.ceil(len(tensors) / parts)
    return {
        f"model-{part + 1:05}-of-{parts:05}.safetensors": {
            name: tensors[name] for name in names[part * share : (part + 1) * share]
        }
        for part in range(parts)
    }


def parameter_count(repo_id: str) -> int:
    return sum(math.prod(s) for part in weights(repo_id).values() for _, s in part.values())


def safetensors_head(tensors: dict[str, tuple[str, list[int]]]) -> tuple[bytes, int]:
    """Return a file's first bytes, up to the end of its header, and the size of the whole file."""
    header: dict = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    head = struct.pack("<Q", len(encoded)) + encoded
    return head, len(head) + end


def has_weights(repo_id: str) -> bool:
    return repo_id in json.loads((RECORDED / "weights.json").read_text(encoding="utf-8"))["models"]


def content(kind: str, repo_id: str, path: str) -> tuple[bytes, int] | None:
    """Return the bytes of a file that the replay has, and its whole size; None for another file."""
    if kind == "models" and has_weights(repo_id):
        files = weights(repo_id)
        if path in files:
            return safetensors_head(files[path])
        if path == "model.safetensors.index.json" and len(files) > 1:
            index = {name: file for file, tensors in files.items() for name in tensors}
            total = sum(safetensors_head(tensors)[1] for tensors in files.values())
            written = json.dumps({"metadata": {"total_size": total}, "weight_map": index}).encode()
            return written, len(written)
    if repo_id == small_classifier.REPO_ID and path in small_classifier.files():
        return small_classifier.files()[path], len(small_classifier.files()[path])
    if repo_id == PROMPTS and path == "prompts.csv":
        return prompts_csv(), len(prompts_csv())
    kept = RECORDED / "files" / repo_id / path
    if kept.is_file():
        return kept.read_bytes(), kept.stat().st_size
    return None


def files(kind: str, repo_id: str) -> dict[str, int]:
    """Return the size of each file of a repository."""
    if repo_id == PROMPTS:
        told = {".gitattributes": 2307, "README.md": 0, "prompts.csv": 0}
    else:
        told = repository(kind, repo_id).get("files", {".gitattributes": 1519, "README.md": 500})
    sizes = {}
    for path, size in told.items():
        known = content(kind, repo_id, path)
        sizes[path] = known[1] if known else size or 512
    return sizes


def commit(repo_id: str) -> str:
    return hashlib.sha1(repo_id.encode()).hexdigest()


def blob_id(repo_id: str, path: str) -> str:
    return hashlib.sha1(f"{repo_id}/{path}".encode()).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".gguf", ".spm", "tokenizer.json"))


# --- the Hub ----------------------------------------------------------------------------------


def refuse(status: int, code: str, message: str) -> JSONResponse:
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return JSONResponse({"error": message}, status, headers)


def missing() -> JSONResponse:
    """A repository that is not there looks like one that one may not see."""
    return refuse(401, "RepoNotFound", "Invalid username or password.")


async def whoami(request: Request) -> Response:
    if "authorization" not in request.headers:
        return JSONResponse({"error": "Invalid username or password."}, 401)
    token = {"displayName": "aula", "role": "fineGrained", "createdAt": CREATED}
    person = {"type": "user", "id": "6" * 24, "name": "aluna", "fullname": "Aluna", "isPro": False}
    return JSONResponse(
        {**person, "orgs": [], "auth": {"type": "access_token", "accessToken": token}}
    )


async def listing(request: Request) -> Response:
    kind, query = request.path_params["kind"], request.query_params
    if kind not in LISTED:
        return JSONResponse({"error": "Not found"}, 404)
    found = [item for item in recorded(kind) if _wanted(item, query)]
    order = query.get("sort", "likes")
    found.sort(key=lambda item: -(item.get(order) or 0))
    start, length = int(query.get("cursor", 0)), int(query.get("limit", PAGE))
    page = [_listed(kind, item, _expanded(query)) for item in found[start : start + length]]
    headers = {}
    if start + length < len(found):
        following = [(k, v) for k, v in query.multi_items() if k != "cursor"]
        address = (
            f"{request.url.replace(query='')}?{urlencode([*following, ('cursor', start + length)])}"
        )
        headers["Link"] = f'<{address}>; rel="next"'
    return JSONResponse(page, headers=headers)


def _wanted(item: dict, query) -> bool:
    mapping = item.get("mapping", {})
    return (
        all(tag in item["tags"] for tag in query.getlist("filter"))
        and query.get("pipeline_tag") in (None, item.get("pipeline_tag"))
        and all(word.lower() in item["id"].lower() for word in query.getlist("search"))
        and query.get("author") in (None, item["id"].split("/")[0])
        and ("inference_provider" not in query or query["inference_provider"] in mapping)
    )


def _expanded(query) -> list[str]:
    return [*query.getlist("expand"), *query.getlist("expand[]")]


def _listed(kind: str, item: dict, expanded: list[str]) -> dict:
    """One repository of a listing; what it lacks is left out, as the Hub does."""
    shown = {"_id": item["_id"], "id": item["id"]}
    if not expanded:
        shown |= {"trendingScore": 0, "createdAt": CREATED, "modelId": item["id"]}
    for name in expanded or LISTED[kind]:
        value = _field(kind, item, name)
        if name == "inferenceProviderMapping" and value is not None:
            value = [
                {"provider": provider, **told, **ALSO_LISTED} for provider, told in value.items()
            ]
        if value is not None:
            shown[name] = value
    return shown


def _field(kind: str, item: dict, name: str):
    known = {
        "inferenceProviderMapping": item.get("mapping"),
        "private": False,
        "disabled": False,
        "createdAt": CREATED,
        "lastModified": CREATED,
        "author": item["id"].split("/")[0],
        "sha": commit(item["id"]),
    }
    return known[name] if name in known else item.get(name)


async def details(request: Request) -> Response:
    kind, repo_id, item = _asked(request)
    if item is None:
        renamed = [other for other in recorded("datasets") if other.get("formerly") == repo_id]
        if kind == "datasets" and renamed:
            address = str(request.url).replace(repo_id, renamed[0]["id"])
            return RedirectResponse(address, 307)
        return missing()
    expanded = _expanded(request.query_params)
    if expanded:
        asked = {name: _field(kind, item, name) for name in expanded}
        told = {name: value for name, value in asked.items() if value is not None}
        return JSONResponse({"_id": item["_id"], "id": item["id"], **told})
    always = ("author", "sha", "private", "disabled", "createdAt", "lastModified")
    shown = {
        k: v for k, v in item.items() if k not in {"files", "mapping", "formerly"} and v is not None
    }
    shown |= {name: _field(kind, item, name) for name in always}
    with_sizes = request.query_params.get("blobs", "").lower() == "true"
    shown["siblings"] = [
        _sibling(repo_id, path, size, with_sizes) for path, size in files(kind, repo_id).items()
    ]
    return JSONResponse(shown)


def _sibling(repo_id: str, path: str, size: int, with_sizes: bool) -> dict:
    told: dict = {"rfilename": path}
    if with_sizes:
        told |= {"blobId": blob_id(repo_id, path), "size": size}
        if is_large(path):
            sha256 = hashlib.sha256(path.encode()).hexdigest()
            told["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 135}
    return told


async def tree(request: Request) -> Response:
    kind, repo_id, item = _asked(request)
    if item is None:
        return missing()
    folder = request.path_params.get("path", "")
    inside = f"{folder}/" if folder else ""
    found = [file for file in files(kind, repo_id).items() if file[0].startswith(inside)]
    if not found:
        return refuse(404, "EntryNotFound", f'"{folder}" does not exist on "main"')
    return JSONResponse([_entry(repo_id, *file) for file in found])


async def paths_info(request: Request) -> Response:
    kind, repo_id, item = _asked(request)
    if item is None:
        return missing()
    form = await request.json()
    asked = [form["paths"]] if isinstance(form["paths"], str) else form["paths"]
    known = files(kind, repo_id)
    return JSONResponse([_entry(repo_id, path, known[path]) for path in asked if path in known])


def _entry(repo_id: str, path: str, size: int) -> dict:
    return {"type": "file", "oid": blob_id(repo_id, path), "size": size, "path": path}


def _asked(request: Request) -> tuple[str, str, dict | None]:
    kind = request.path_params["kind"]
    repo_id = f"{request.path_params['owner']}/{request.path_params['name']}"
    return kind, repo_id, repository(kind, repo_id) if kind in LISTED else None


async def resolve(request: Request) -> Response:
    """Send to the file: small ones to a cache of the Hub, large ones to another host."""
    request.path_params.setdefault("kind", "models")
    kind, repo_id, item = _asked(request)
    path = request.path_params["path"]
    if item is None:
        return missing()
    if content(kind, repo_id, path) is None:
        return refuse(404, "EntryNotFound", "Entry not found")
    size = content(kind, repo_id, path)[1]
    headers = {"X-Repo-Commit": commit(repo_id), "Accept-Ranges": "bytes"}
    if is_large(path):
        headers |= {"X-Linked-Size": str(size), "X-Linked-ETag": f'"{blob_id(repo_id, path)}"'}
        # Another host, as clients tell it: they follow only the Hub's own redirects to the end.
        address = f"http://localhost:{request.url.port}/cdn/{repo_id}/{path}"
        return Response(status_code=302, headers={**headers, "Location": address})
    address = f"/api/resolve-cache/{kind}/{repo_id}/{commit(repo_id)}/{path}"
    return Response(status_code=307, headers={**headers, "Location": address})


async def small_file(request: Request) -> Response:
    kind, repo_id, _ = _asked(request)
    path = request.path_params["path"]
    body = content(kind, repo_id, path)[0]
    headers = {"X-Repo-Commit": commit(repo_id), "ETag": f'"{blob_id(repo_id, path)}"'}
    return _ranged(request, body, len(body), headers)


async def large_file(request: Request) -> Response:
    repo_id = f"{request.path_params['owner']}/{request.path_params['name']}"
    head, size = content("models", repo_id, request.path_params["path"])
    if "range" not in request.headers and request.method == "GET" and len(head) < size:
        return JSONResponse({"error": "the replay has no weights"}, 501)
    return _ranged(request, head, size, {})


def _ranged(request: Request, body: bytes, size: int, headers: dict[str, str]) -> Response:
    """Answer a Range request; what lies behind the bytes that are known is zeros."""
    asked = request.headers.get("range")
    if asked is None:
        headers = {**headers, "Content-Length": str(size)}
        return Response(b"" if request.method == "HEAD" else body, headers=headers)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or size - 1), size - 1)
    part = body[start : end + 1]
    part += bytes(end + 1 - start - len(part))
    headers = {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
    return Response(part, 206, headers)


# --- the dataset viewer -----------------------------------------------------------------------

TEXT = {"dtype": "string", "_type": "Value"}
VIEWED = {PROMPTS: {"default": ("train",)}, PICTURES: {"cifar100": ("train", "test")}}
PICTURE_ROWS = {"train": 50_000, "test": 10_000}


def _unknown(dataset: str) -> JSONResponse:
    renamed = [item for item in recorded("datasets") if item.get("formerly") == dataset]
    message = (
        "The dataset has been renamed. Please use the current dataset name."
        if renamed
        else "The dataset does not exist, or is not accessible without authentication "
        "(private or gated). Please check the spelling of the dataset name or retry with "
        "authentication."
    )
    return JSONResponse({"error": message}, 404, {"X-Error-Code": "ExternalAuthenticatedError"})


async def viewer_splits(request: Request) -> Response:
    dataset = request.query_params["dataset"]
    if dataset not in VIEWED:
        return _unknown(dataset)
    splits = [
        {"dataset": dataset, "config": config, "split": split}
        for config, names in VIEWED[dataset].items()
        for split in names
    ]
    return JSONResponse({"splits": splits, "pending": [], "failed": []})


async def viewer_first_rows(request: Request) -> Response:
    query = request.query_params
    if query["dataset"] not in VIEWED:
        return _unknown(query["dataset"])
    rows = [_row(query, place) for place in range(min(MOST_ROWS, _total(query)))]
    for item in rows:
        for name, value in item["row"].items():
            if isinstance(value, str) and len(value) > 1000:
                item["row"][name] = json.dumps(value)[:100]
                item["truncated_cells"].append(name)
    told = {name: query[name] for name in ("dataset", "config", "split")}
    return JSONResponse({**told, "features": _features(query), "rows": rows, "truncated": True})


async def viewer_rows(request: Request) -> Response:
    query = request.query_params
    if query["dataset"] not in VIEWED:
        return _unknown(query["dataset"])
    start, length = int(query.get("offset", 0)), int(query.get("length", MOST_ROWS))
    if length > MOST_ROWS:
        message = "Parameter 'length' must not be greater than 100"
        return JSONResponse({"error": message}, 422, {"X-Error-Code": "InvalidParameter"})
    total = _total(query)
    rows = [_row(query, place) for place in range(start, min(start + length, total))]
    counts = {"num_rows_total": total, "num_rows_per_page": MOST_ROWS, "partial": False}
    return JSONResponse({"features": _features(query), "rows": rows, **counts})


def _total(query) -> int:
    return PROMPT_ROWS if query["dataset"] == PROMPTS else PICTURE_ROWS[query["split"]]


def _features(query) -> list[dict]:
    label = {"names": ["apple", "aquarium_fish"], "_type": "ClassLabel"}
    pictures = {"img": {"_type": "Image"}, "fine_label": label}
    prompts = {"act": TEXT, "prompt": TEXT, "for_devs": {"dtype": "bool", "_type": "Value"}}
    types = (
        prompts | {"type": TEXT, "contributor": TEXT} if query["dataset"] == PROMPTS else pictures
    )
    return [
        {"feature_idx": place, "name": name, "type": told}
        for place, (name, told) in enumerate(types.items())
    ]


def _row(query, place: int) -> dict:
    if query["dataset"] == PROMPTS:
        row = list(csv.DictReader(io.StringIO(prompts_csv().decode())))[place]
        row["for_devs"] = row["for_devs"] == "TRUE"
    else:
        source = (
            f"https://datasets-server.huggingface.co/cached-assets/{PICTURES}/{place}/image.jpg"
        )
        row = {"img": {"src": f"{source}?Expires=1710283469", "height": 32, "width": 32}}
        row["fine_label"] = place % 2
    return {"row_idx": place, "row": row, "truncated_cells": []}
