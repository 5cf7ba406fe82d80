"""A learner who writes to the embedded Hub without any client, to send what no client would."""

import base64
import hashlib
import json

import requests
from requests.adapters import HTTPAdapter

LFS = {"Content-Type": "application/vnd.git-lfs+json"}


class _From(HTTPAdapter):
    """Calls from another of this machine's addresses, as another machine would."""

    def __init__(self, address):
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


class Learner:
    """One learner's session."""

    def __init__(self, server, token=None, address=None):
        self.server = server
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token or server.token}"
        if address is not None:
            self.session.mount("http://", _From(address))
        self.name = self.get("/api/whoami-v2").json()["name"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()

    def request(self, method, path, **options):
        options.setdefault("timeout", 60)
        return self.session.request(method, f"{self.server.url}{path}", **options)

    def get(self, path):
        return self.request("GET", path)

    def create(self, name, **fields):
        response = self.request("POST", "/api/repos/create", json={"name": name, **fields})
        assert response.status_code in (200, 409), response.text
        return response

    def head(self, name):
        return self.get(f"/api/models/{self.name}/{name}").json()["sha"]

    def lines(self, files, **header):
        """Return the body of a commit that adds small files."""
        items = [{"key": "header", "value": {"summary": "Envia", **header}}]
        for path, contents in files.items():
            content = base64.b64encode(contents).decode()
            value = {"path": path, "content": content, "encoding": "base64"}
            items.append({"key": "file", "value": value})
        return items

    def send_lines(self, name, items, owner=None, **options):
        body = b"".join(
            item if isinstance(item, bytes) else json.dumps(item).encode() + b"\n" for item in items
        )
        path = f"/api/models/{owner or self.name}/{name}/commit/main"
        headers = {"Content-Type": "application/x-ndjson"}
        return self.request("POST", path, data=body, headers=headers, **options)

    def send_commit(self, name, files, owner=None, **header):
        return self.send_lines(name, self.lines(files, **header), owner)

    def commit(self, name, files, **header):
        response = self.send_commit(name, files, **header)
        assert response.status_code == 200, response.text
        return response.json()["commitOid"]

    def batch(self, name, *objects):
        body = {"operation": "upload", "transfers": ["basic"], "objects": list(objects)}
        path = f"/{self.name}/{name}.git/info/lfs/objects/batch"
        return self.request("POST", path, data=json.dumps(body), headers=LFS)

    def address(self, name, contents):
        """Return where to send a large file."""
        told = self.batch(name, described(contents)).json()["objects"][0]
        return told["actions"]["upload"]["href"]


def described(contents):
    return {"oid": hashlib.sha256(contents).hexdigest(), "size": len(contents)}


def large(path, oid, size):
    value = {"path": path, "algo": "sha256", "oid": oid, "size": size}
    return {"key": "lfsFile", "value": value}
