"""What a learner does with ``huggingface_hub``; HF_ENDPOINT points at the server."""

import json
import sys
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import RepositoryNotFoundError

MODEL = "curso/e5-pt-en"
folder = Path(sys.argv[2])
api = HfApi()


def error_name(action):
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "no error"


def status_with_a_bad_token():
    try:
        HfApi(token="hf_" + "a" * 34).model_info(MODEL)
    except RepositoryNotFoundError:
        return "RepositoryNotFoundError"
    except HfHubHTTPError as error:
        return error.response.status_code
    return 200


info = api.model_info(MODEL)
local = snapshot_download(MODEL, local_dir=folder / "copy")
paths = [path for path in Path(local).rglob("*") if path.is_file() and ".cache" not in path.parts]
config = Path(hf_hub_download(MODEL, "config.json", revision=info.sha))
print(
    json.dumps(
        {
            "whoami": api.whoami()["name"],
            "models": [model.id for model in api.list_models(author="curso")],
            "limited": [model.id for model in api.list_models(limit=1)],
            "info": {"sha": info.sha, "task": info.pipeline_tag},
            "files": sorted(api.list_repo_files(MODEL)),
            "snapshot": sorted(path.relative_to(local).as_posix() for path in paths),
            "config_is_equal": config.read_bytes() == (Path(local) / "config.json").read_bytes(),
            "licence": ModelCard.load(MODEL).data.license,
            "parameters": sum(api.get_safetensors_metadata(MODEL).parameter_count.values()),
            "exists": [
                api.file_exists(MODEL, "config.json"),
                api.file_exists(MODEL, "nada.bin"),
                api.repo_exists(MODEL),
                api.repo_exists("curso/nada"),
            ],
            "missing": [
                error_name(lambda: hf_hub_download(MODEL, "nada.json")),
                error_name(lambda: hf_hub_download("curso/nada", "config.json")),
                error_name(lambda: hf_hub_download(MODEL, "config.json", revision="v9")),
            ],
            "datasets": [dataset.id for dataset in api.list_datasets()],
            "spaces": [space.id for space in api.list_spaces()],
            "security": api.model_info(MODEL, securityStatus=True).security_repo_status,
            "auth_check": [
                error_name(lambda: api.auth_check(MODEL)),
                error_name(lambda: api.auth_check("curso/nada")),
            ],
            "bad_token": status_with_a_bad_token(),
        }
    )
)
