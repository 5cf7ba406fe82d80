"""``kill -9`` in the middle of an upload: what was there stays whole, what was coming is not."""

import contextlib
import hashlib
import os
import random
import threading
import time

import requests
from uploads_by_hand import Learner, described, large
from wire_server import running_server

ROUNDS = int(os.environ.get("COURSE_KILL_ROUNDS", "1"))
LARGE = random.Random(7).randbytes(24_000_000)
PIECE = 1_000_000


def slowly(contents, started):
    """Yield contents piece by piece, saying when some of it is on its way."""
    for start in range(0, len(contents), PIECE):
        yield contents[start : start + PIECE]
        if start > len(contents) // 4:
            started.set()
            time.sleep(0.05)


def ignoring_errors(action):
    with contextlib.suppress(requests.RequestException, AssertionError, KeyError):
        action()


def killed_while(server, action, started, seconds=0.0):
    """Kill a server some time after an upload has started, and wait for whoever was uploading."""
    caller = threading.Thread(target=ignoring_errors, args=(action,))
    caller.start()
    assert started.wait(30)
    time.sleep(seconds)
    server.process.kill()
    server.process.wait(10)
    caller.join(30)
    assert not caller.is_alive(), "a client was left waiting"


def test_an_upload_killed_half_way(tmp_path):
    with running_server(tmp_path) as server, Learner(server) as learner:
        learner.create("modelo")
        first = learner.commit("modelo", {"a.txt": b"primeira", "b.txt": b"primeira"})
        started = threading.Event()
        address = learner.address("modelo", LARGE)
        killed_while(server, lambda: requests.put(address, slowly(LARGE, started)), started)
    left = list((tmp_path / "hub" / "aluna" / "incoming").iterdir())
    assert len(left) == 1, "what had arrived is in a file that nobody names"
    with running_server(tmp_path) as server, Learner(server) as learner:
        assert learner.head("modelo") == first
        listed = learner.get("/api/models?author=aluna").json()
        assert [one["id"] for one in listed] == ["aluna/modelo"]
        items = [*learner.lines({}), large("pesos.bin", **described(LARGE))]
        assert learner.send_lines("modelo", items).status_code == 400
        requests.put(learner.address("modelo", LARGE), data=LARGE, timeout=60)
        assert learner.send_lines("modelo", items).status_code == 200
        sent = learner.get("/aluna/modelo/resolve/main/pesos.bin").content
        assert hashlib.sha256(sent).hexdigest() == described(LARGE)["oid"]


def test_a_commit_killed_at_any_moment(tmp_path):
    """Every file of the last whole commit, and of no other, whenever the server dies."""
    chance = random.Random(11)
    for _ in range(ROUNDS):
        with running_server(tmp_path) as server, Learner(server) as learner:
            learner.create("modelo")
            started = threading.Event()

            def commit_on(learner=learner, started=started):
                for number in range(1000):
                    contents = b"%06d" % number
                    learner.commit("modelo", {f"{part}.txt": contents for part in range(20)})
                    started.set()

            killed_while(server, commit_on, started, chance.uniform(0.0, 0.5))
        with running_server(tmp_path) as server, Learner(server) as learner:
            tree = learner.get("/api/models/aluna/modelo/tree/main").json()
            names = [entry["path"] for entry in tree if entry["path"] != ".gitattributes"]
            read = {learner.get(f"/aluna/modelo/resolve/main/{name}").content for name in names}
            assert len(names) == 20 and len(read) == 1
            for commit in learner.get("/api/models/aluna/modelo/commits/main").json():
                address = f"/api/models/aluna/modelo/revision/{commit['id']}?blobs=true"
                assert len(learner.get(address).json()["siblings"]) in (1, 21)
