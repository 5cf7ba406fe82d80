"""What a learner does with ``datasets``, ``huggingface_hub`` and ``pandas`` on a dataset."""

import json
import sys
from pathlib import Path

import pandas
from datasets import Audio, load_dataset
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import DatasetCard, HfApi, HfFileSystem, hf_hub_download, snapshot_download

DATASET = "curso/perguntas-pt"
REVIEWS = "curso/avaliacoes-pt"
TRAIN = "data/train-00000-of-00001.parquet"
KIND = {"repo_type": "dataset"}
folder = Path(sys.argv[2])
api = HfApi()


def error_name(action):
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "no error"


whole = load_dataset(DATASET)
test = load_dataset(DATASET, split="test")
streamed = load_dataset(DATASET, split="train", streaming=True)
reviews = load_dataset(REVIEWS, split="train[:5]")
picture = load_dataset("curso/imagens", split="train")[0]["image"]
speech = load_dataset("curso/falas", split="train").cast_column("audio", Audio(decode=False))
streamed_picture = next(iter(load_dataset("curso/imagens", split="train", streaming=True)))["image"]
info = api.dataset_info(DATASET)
at_commit = load_dataset(DATASET, split="test", revision=info.sha)
copy = snapshot_download(DATASET, local_dir=folder / "copy", **KIND)
copied = [path for path in Path(copy).rglob("*") if path.is_file() and ".cache" not in path.parts]
files = HfFileSystem()
root = f"datasets/{DATASET}"
try:
    load_dataset("curso/nada")
except DatasetNotFoundError:
    missing = "DatasetNotFoundError"
print(
    json.dumps(
        {
            "rows": {name: split.num_rows for name, split in whole.items()},
            "columns": whole["train"].column_names,
            "first": whole["train"][0],
            "test_is_the_same": test[:] == whole["test"][:] == at_commit[:],
            "streamed_is_the_same": list(streamed) == whole["train"].to_list(),
            "shuffled": len(list(streamed.shuffle(seed=0, buffer_size=10).take(3))),
            "labels": reviews.features["label"].names,
            "pictures_are_the_same": picture.tobytes() == streamed_picture.tobytes(),
            "picture": picture.size,
            "sounds": {sound["audio"]["bytes"][:4].decode() for sound in speech} == {"fLaC"},
            "sha": info.sha,
            "tags": info.tags,
            "downloads": info.downloads,
            "siblings": sorted(sibling.rfilename for sibling in info.siblings),
            "sizes": {
                s.rfilename: s.size for s in api.dataset_info(DATASET, files_metadata=True).siblings
            },
            "expanded": sorted(
                name
                for name, value in vars(
                    api.dataset_info(DATASET, expand=["tags", "mainSize"])
                ).items()
                if value is not None
            ),
            "listed": [item.id for item in api.list_datasets(author="curso")],
            "in_portuguese": [
                item.id for item in api.list_datasets(language="pt", sort="downloads")
            ],
            "questions": [
                item.id
                for item in api.list_datasets(task_categories="question-answering", full=True)
            ],
            "named": [item.id for item in api.list_datasets(dataset_name="PERGUNTAS", limit=5)],
            "tree": sorted(e.path for e in api.list_repo_tree(DATASET, recursive=True, **KIND)),
            "commit_title": next(
                api.list_repo_tree(DATASET, expand=True, **KIND)
            ).last_commit.title,
            "paths": [e.path for e in api.get_paths_info(DATASET, [TRAIN, "nada"], **KIND)],
            "commits": [commit.commit_id for commit in api.list_repo_commits(DATASET, **KIND)],
            "branches": [ref.name for ref in api.list_repo_refs(DATASET, **KIND).branches],
            "exists": [
                api.repo_exists(DATASET, **KIND),
                api.repo_exists(DATASET),
                api.file_exists(DATASET, TRAIN, **KIND),
                api.file_exists(DATASET, "nada.parquet", **KIND),
                api.revision_exists(DATASET, "main", **KIND),
                api.revision_exists(DATASET, "v9", **KIND),
            ],
            "auth_check": [
                error_name(lambda: api.auth_check(DATASET, **KIND)),
                error_name(lambda: api.auth_check(DATASET)),
            ],
            "licence": DatasetCard.load(DATASET).data.license,
            "file_bytes": Path(hf_hub_download(DATASET, TRAIN, **KIND)).stat().st_size,
            "snapshot": sorted(path.relative_to(copy).as_posix() for path in copied),
            "ls": sorted(files.ls(root, detail=False)),
            "glob": files.glob(f"{root}/data/*.parquet"),
            "head": files.read_block(f"{root}/{TRAIN}", 0, 4).decode(),
            "pandas_rows": len(pandas.read_parquet(f"hf://{root}/{TRAIN}")),
            "missing": missing,
        }
    )
)
