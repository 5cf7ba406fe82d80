"""What a learner does with ``huggingface_hub`` on a Space."""

import ast
import json
from pathlib import Path

from huggingface_hub import HfApi, RepoCard, hf_hub_download

SPACE = "curso/pergunte-ao-texto"
KIND = {"repo_type": "space"}
api = HfApi()
info = api.space_info(SPACE)
runtime = api.get_space_runtime(SPACE)
program = Path(hf_hub_download(SPACE, "app.py", **KIND)).read_text(encoding="utf-8")
print(
    json.dumps(
        {
            "listed": [item.id for item in api.list_spaces(author="curso")],
            "by_model": [item.id for item in api.list_spaces(models="curso/qa-pt")],
            "by_other_model": [item.id for item in api.list_spaces(models="curso/e5-pt-en")],
            "by_dataset": [item.id for item in api.list_spaces(datasets="curso/perguntas-pt")],
            "linked": [item.id for item in api.list_spaces(linked=True, full=True)],
            "gradio": [item.id for item in api.list_spaces(filter="gradio", sort="likes")],
            "streamlit": [item.id for item in api.list_spaces(filter="streamlit")],
            "sha": info.sha,
            "sdk": info.sdk,
            "models": info.models,
            "stages": [info.runtime.stage, runtime.stage],
            "hardware": runtime.hardware,
            "sdk_version": RepoCard.load(SPACE, **KIND).data.sdk_version,
            "files": sorted(api.list_repo_files(SPACE, **KIND)),
            "is_python": bool(ast.parse(program).body),
            "exists": [api.repo_exists(SPACE, **KIND), api.repo_exists(SPACE)],
            "spaces_of_the_model": api.model_info("curso/qa-pt").spaces,
        }
    )
)
