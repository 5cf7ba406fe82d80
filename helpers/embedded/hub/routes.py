"""The Hub's addresses."""

from __future__ import annotations

from starlette.routing import Route

from helpers.embedded.hub import (
    account,
    addresses,
    commits,
    files,
    listings,
    management,
    repositories,
    uploads,
)

addresses.register()

FIRST_PARTS = ("api", "course", "datasets", "datasets-server", "hf-inference", "spaces", "v1")
"""How addresses begin that are no repository's: nobody's namespace is called so."""

_API = "/api/{kind:hub_kind}"
_ONE = _API + "/{repo_id:hub_id}"
_AT = "/{revision:hub_revision}"
_WITH_KIND = "/{kind:hub_file_kind}/{repo_id:hub_id}"
_MODEL = "/{repo_id:hub_id}"
_LFS = ".git/info/lfs/objects"


def routes() -> list[Route]:
    """Return the Hub's routes."""
    return [*_changing(), *_reading()]


def _reading() -> list[Route]:
    file = "/resolve" + _AT + "/{path:path}"
    return [
        Route("/api/whoami-v2", account.whoami),
        Route(_API, listings.list_repositories),
        Route(_ONE + "/revision" + _AT, repositories.info),
        Route(_ONE + "/tree" + _AT, files.list_tree),
        Route(_ONE + "/tree" + _AT + "/{path:path}", files.list_tree),
        Route(_ONE + "/paths-info" + _AT, files.paths_info, methods=["POST"]),
        Route(_ONE + "/commits" + _AT, repositories.list_commits),
        Route(_ONE + "/refs", repositories.list_refs),
        Route(_ONE + "/auth-check", repositories.may_read),
        Route(_ONE + "/auth-check/write", repositories.may_write),
        Route("/api/{kind:hub_space_kind}/{repo_id:hub_id}/runtime", repositories.space_runtime),
        Route(_ONE, repositories.info),
        Route(_WITH_KIND + file, files.resolve),
        Route(_MODEL + file, files.resolve),
    ]


def _changing() -> list[Route]:
    post, put, delete = ["POST"], ["PUT"], ["DELETE"]
    branch, tag = _ONE + "/branch/{name:path}", _ONE + "/tag/{name:path}"
    return [
        Route("/api/repos/create", management.create, methods=post),
        Route("/api/repos/delete", management.delete, methods=delete),
        Route("/api/validate-yaml", commits.validate_card, methods=post),
        Route(_ONE + "/settings", management.change_settings, methods=put),
        Route(branch, management.create_branch, methods=post),
        Route(branch, management.delete_branch, methods=delete),
        Route(_ONE + "/tag" + _AT, management.create_tag, methods=post),
        Route(tag, management.delete_tag, methods=delete),
        Route(_ONE + "/preupload" + _AT, uploads.preupload, methods=post),
        Route(_ONE + "/commit" + _AT, commits.commit, methods=post),
        Route(_ONE + "/xet-write-token" + _AT, uploads.no_xet),
        Route(_WITH_KIND + _LFS + "/batch", uploads.lfs_batch, methods=post),
        Route(_WITH_KIND + _LFS + "/verify", uploads.verify, methods=post),
        Route(_MODEL + _LFS + "/batch", uploads.lfs_batch, methods=post),
        Route(_MODEL + _LFS + "/verify", uploads.verify, methods=post),
        Route("/course/uploads/{namespace}/{oid}", uploads.receive, methods=put),
    ]
