"""``setup()`` with a mirror of the Hub: each case in a process of its own, as in a kernel."""

import json
import subprocess
import sys

import hub_notebooks
import pytest

PROGRAM = """
import json, os, sys
BEFORE
import helpers
course = helpers.setup(ARGUMENTS)
from huggingface_hub import HfApi, hf_hub_url, whoami
report = dict(
    hub=course.hub, hub_url=course.hub_url, api=course.api_base, viewer=course.viewer_url,
    endpoint=os.environ.get("HF_ENDPOINT"), file=hf_hub_url("curso/a", "b"),
)
AFTER
print("REPORT" + json.dumps(report))
"""


@pytest.fixture
def learner(hub, tmp_path):
    """Run a program as a learner's who uses the mirror."""

    def learner(after="", *, before="", arguments="", **variables):
        program = PROGRAM.replace("BEFORE", before).replace("AFTER", after)
        done = subprocess.run(
            [sys.executable, "-c", program.replace("ARGUMENTS", arguments)],
            env=hub_notebooks.environment(hub, tmp_path) | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        shown, _, report = done.stdout.partition("REPORT")
        return shown, json.loads(report)

    return learner


@pytest.mark.parametrize("before", ["", "import huggingface_hub, datasets, transformers"])
def test_the_mirror_is_the_hub(learner, hub, before):
    after = """
report["who"] = whoami()["name"]
report["models"] = [m.id for m in HfApi().list_models(pipeline_tag="translation", limit=1)]
"""
    shown, report = learner(after, before=before, HF_ENDPOINT=f"{hub.url}/")
    assert report["hub"] == "hub" and report["hub_url"] == hub.url in shown
    assert report["viewer"] == hub.viewer_url
    assert (
        report["api"] == "https://router.huggingface.co"
    )  # a mirror has files, not models' answers
    assert report["file"].startswith(f"{hub.url}/curso/a/resolve/")
    assert report["who"] == "aluna" and report["models"] == ["Helsinki-NLP/opus-mt-tc-big-en-pt"]
    assert hub_notebooks.TOKEN not in shown


def test_no_mirror_is_the_real_hub(learner):
    _, report = learner(HF_ENDPOINT="https://huggingface.co", COURSE_VIEWER=" ")
    assert report["hub_url"] == "https://huggingface.co"
    assert report["viewer"] == "https://datasets-server.huggingface.co"


def test_a_mirror_survives_a_visit_to_the_embedded_world(learner, hub):
    after = """
from helpers import course as room
class Server:
    url = "http://127.0.0.1:9/"
room._embedded_server = Server
report["worlds"] = []
for mode in ("embedded", "hub"):
    again = helpers.setup(mode=mode)
    report["worlds"].append([again.hub, again.hub_url, again.viewer_url, hf_hub_url("a/b", "c")])
"""
    _, report = learner(after)
    embedded, again = report["worlds"]
    local = "http://127.0.0.1:9"
    assert embedded == ["embedded", local, f"{local}/datasets-server", embedded[3]]
    assert embedded[3].startswith(local)
    assert again == ["hub", hub.url, hub.viewer_url, again[3]] and again[3].startswith(hub.url)


def test_the_smallest_model_on_a_machine_with_a_gpu(learner):
    before = """
from helpers import environment
environment._device = lambda: environment.Device("cuda", "Tesla T4", 16 * 10**9)
"""
    after = """
report["models"] = [course.model("text-generation", smallest=small) for small in (False, True)]
report["revisions"] = [course.revision("text-generation", smallest=s) for s in (False, True)]
"""
    _, report = learner(after, before=before)
    small = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert report["models"] == ["Qwen/Qwen3-4B-Instruct-2507", small]
    assert len(set(report["revisions"])) == 2
