"""What a learner does to publish with ``huggingface_hub``; HF_ENDPOINT points at the server."""

import json
import sys
import warnings
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import HfHubHTTPError

folder = Path(sys.argv[2])
api = HfApi()
me = api.whoami()["name"]
repo = f"{me}/meu-modelo"
LARGE = bytes(range(256)) * 8000  # two megabytes: sent on its own, by Git LFS


def outcome(action):
    """Return the error's class, its status if it has one, and what the client says."""
    try:
        action()
    except HfHubHTTPError as error:
        return [type(error).__name__, error.response.status_code, str(error)]
    except Exception as error:
        return [type(error).__name__, None, str(error)]
    return ["no error", None, ""]


def files(revision=None):
    return api.list_repo_files(repo, revision=revision)


def put(path, contents, **options):
    return api.upload_file(path_or_fileobj=contents, path_in_repo=path, repo_id=repo, **options)


seen = {"before": api.repo_exists(repo)}
seen["url"] = api.create_repo(repo).repo_id
seen["again"] = outcome(lambda: api.create_repo(repo))[:2]
seen["exist_ok"] = api.create_repo("meu-modelo", exist_ok=True).repo_id

first = put("notas/olá.txt", "Olá, turma".encode())
source = folder / "pasta"
(source / "sub").mkdir(parents=True)
(source / "sub" / "model.safetensors").write_bytes(LARGE)
(source / "pesos.bin").write_bytes(b"pickle, talvez")
(source / "README.md").write_text("---\nlicense: mit\nlanguage: pt\n---\n# Meu modelo\n", "utf-8")
second = api.upload_folder(folder_path=source, repo_id=repo, commit_message="Envia a pasta")
seen["unchanged"] = api.upload_folder(folder_path=source, repo_id=repo).oid == second.oid
seen["files"] = files()
third = api.create_commit(
    repo,
    [
        CommitOperationAdd("a.txt", b"a"),
        CommitOperationDelete("notas/", is_folder=True),
        CommitOperationCopy("sub/model.safetensors", "copia.safetensors"),
    ],
    commit_message="Troca",
    commit_description="Tudo de uma vez",
    parent_commit=second.oid,
)
seen["after"] = files()
api.delete_file("a.txt", repo)
seen["revisions"] = [files(one.oid) for one in (first, second, third)]
seen["old"] = Path(hf_hub_download(repo, "notas/olá.txt", revision=first.oid)).read_text("utf-8")
commits = api.list_repo_commits(repo)
seen["commits"] = [commit.title for commit in commits]
seen["authors"] = sorted({author for commit in commits for author in commit.authors})

local = Path(snapshot_download(repo, local_dir=folder / "copia"))
copied = [local / name for name in ("copia.safetensors", "sub/model.safetensors")]
seen["copied"] = [path.read_bytes() == LARGE for path in copied]
seen["pickle"] = (local / "pesos.bin").read_bytes() == b"pickle, talvez"
tree = {entry.path: entry for entry in api.list_repo_tree(repo, recursive=True, expand=True)}
seen["lfs"] = tree["copia.safetensors"].lfs.size
seen["last_commits"] = [tree[name].last_commit.oid for name in ("sub", "copia.safetensors")]
seen["expected_commits"] = [second.oid, third.oid]

info = api.model_info(repo)
seen["info"] = [info.author, info.private, info.card_data.license, info.sha == commits[0].commit_id]
seen["listed"] = [model.id for model in api.list_models(author=me)]
seen["found"] = [model.id for model in api.list_models(search="meu-mod", filter="license:mit")]

api.create_branch(repo, branch="teste")
api.create_tag(repo, tag="v1", revision=second.oid)
put("x.txt", b"x", revision="teste")
seen["branch"] = [api.file_exists(repo, "x.txt"), api.file_exists(repo, "x.txt", revision="teste")]
refs = api.list_repo_refs(repo)
seen["refs"] = [sorted(one.name for one in refs.branches), [one.name for one in refs.tags]]
seen["tagged"] = files("v1") == files(second.oid)
api.delete_branch(repo, branch="teste")
api.delete_tag(repo, tag="v1")

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    put("README.md", b"# Sem metadados\n")
seen["warned"] = [str(one.message) for one in caught]
seen["errors"] = {
    "bad card": outcome(lambda: put("README.md", b"---\nlicense: [\n---\n")),
    "course": outcome(lambda: api.create_repo("curso/meu", exist_ok=True)),
    "course file": outcome(
        lambda: api.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id="curso/qa-pt")
    ),
    "delete course": outcome(lambda: api.delete_repo("curso/qa-pt")),
    "unknown": outcome(
        lambda: api.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id=f"{me}/nada")
    ),
    "no token": outcome(lambda: HfApi(token=False).create_repo(f"{me}/outro")),
    "bad token": outcome(lambda: HfApi(token="hf_" + "a" * 34).create_repo(f"{me}/outro")),
    "conflict": outcome(
        lambda: api.create_commit(
            repo, [CommitOperationAdd("c", b"")], commit_message="c", parent_commit=first.oid
        )
    ),
    "missing file": outcome(lambda: api.delete_file("nada.txt", repo)),
    "missing branch": outcome(lambda: put("x", b"", revision="v9")),
    "pull request": outcome(lambda: put("x", b"x", create_pr=True)),
    "space without sdk": outcome(lambda: api.create_repo("s", repo_type="space")),
}
api.update_repo_settings(repo, private=True)
seen["private"] = [
    api.model_info(repo).private,
    [model.id for model in HfApi(token=False).list_models(author=me)],
    outcome(lambda: HfApi(token=False).model_info(repo))[:2],
    outcome(lambda: hf_hub_download(repo, "pesos.bin", token=False))[:2],
]
api.delete_repo(repo)
seen["deleted"] = api.repo_exists(repo)
seen["missing_ok"] = outcome(lambda: api.delete_repo(repo, missing_ok=True))[0]
seen["gone"] = outcome(lambda: api.delete_repo(repo))[0]

app = folder / "app"
app.mkdir()
(app / "app.py").write_text("import gradio\n", "utf-8")
(app / "README.md").write_text("---\ntitle: Oi\nsdk: gradio\ncolorFrom: blue\n---\n", "utf-8")
space = f"{me}/meu-app"
api.create_repo(space, repo_type="space", space_sdk="gradio")
begun = api.list_repo_files(space, repo_type="space")
api.upload_folder(folder_path=app, repo_id=space, repo_type="space")
seen["space"] = [
    begun,
    api.list_repo_files(space, repo_type="space"),
    api.space_info(space).sdk,
    api.space_info(space).card_data.title,
    api.get_space_runtime(space).stage,
    [one.id for one in api.list_spaces(author=me)],
]
seen["bad space card"] = outcome(
    lambda: api.upload_file(
        path_or_fileobj=b"---\nsdk: word\n---\n",
        path_in_repo="README.md",
        repo_id=space,
        repo_type="space",
    )
)
print(json.dumps(seen))
