"""Run a script with the real clients in a process of its own, as a learner's kernel would."""

import json
import os
import subprocess
import sys
from pathlib import Path

SESSIONS = Path(__file__).parent / "client_sessions"


def run_client(server, tmp_path, name):
    """Run one of ``client_sessions`` against a server and return the JSON that it prints last."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": server.token,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",  # as helpers.setup() does
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, str(SESSIONS / name), server.url, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
