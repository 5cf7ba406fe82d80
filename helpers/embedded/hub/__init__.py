"""The Hub's endpoints over the embedded models, datasets and spaces.

They are what ``huggingface_hub``, ``transformers`` and ``datasets`` ask for, unmodified. Listings
come from the catalog and build nothing. A repository is built when one of its files, its tree or
its details are first asked for, because the real answer (sizes, hashes, commit) needs it.
"""

from __future__ import annotations

from starlette.routing import Route

from helpers.embedded.hub import account, addresses, files, listings, repositories

addresses.register()


def routes() -> list[Route]:
    """Return the Hub's routes."""
    api = "/api/{kind:hub_kind}"
    one = api + "/{repo_id:hub_id}"
    at = "/{revision:hub_revision}"
    file = "/resolve" + at + "/{path:path}"
    return [
        Route("/api/whoami-v2", account.whoami),
        Route(api, listings.list_repositories),
        Route(one + "/revision" + at, repositories.info),
        Route(one + "/tree" + at, files.list_tree),
        Route(one + "/tree" + at + "/{path:path}", files.list_tree),
        Route(one + "/paths-info" + at, files.paths_info, methods=["POST"]),
        Route(one + "/commits" + at, repositories.list_commits),
        Route(one + "/refs", repositories.list_refs),
        Route(one + "/auth-check", repositories.may_read),
        Route(one + "/auth-check/write", repositories.may_write),
        Route("/api/{kind:hub_space_kind}/{repo_id:hub_id}/runtime", repositories.space_runtime),
        Route(one, repositories.info),
        Route("/{kind:hub_file_kind}/{repo_id:hub_id}" + file, files.resolve),
        Route("/{repo_id:hub_id}" + file, files.resolve),
    ]
