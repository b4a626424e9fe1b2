"""A STAND-IN of the Hugging Face Hub's HTTP endpoints, for tests on one machine.

It stands in because no self-hosted Hub that accepts uploads can be installed here, and tests must not need the network
or an account. It is real HTTP, so the real `huggingface_hub` client runs unchanged against it. Only what that client
asks for is answered: create a model repository, upload in one commit (small files inline, large ones as LFS), branch,
tag, list, and download at a branch, tag or commit. Names and answers follow https://huggingface.co/docs/hub/api.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

#: The tokens that the stand-in knows; any other one is answered with status 401.
WRITE_TOKEN = "hf_standInMayWrite"
READ_TOKEN = "hf_standInMayOnlyRead"

DATE = "2025-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class File:
    """One file of a commit; its bytes lie under `root/blobs/<sha256>`."""

    sha256: str
    size: int
    oid: str
    lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    def entry(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": path, "size": self.size, "oid": self.oid}
        if self.lfs:
            found["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return found


@dataclass
class Repo:
    """Commits by sha, and the branches and tags that name them."""

    private: bool
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, File]) -> str:
        parent = self.branches.get(branch, "")
        text = json.dumps([parent, sorted((path, file.sha256) for path, file in files.items())])
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> str | None:
        known = revision if revision in self.commits else None
        return self.branches.get(revision) or self.tags.get(revision) or known


class Hub(ThreadingHTTPServer):
    """The server; every request is a thread, every change is made under `lock`."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.blobs = root / "blobs"
        self.blobs.mkdir(parents=True)
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}

    def store(self, data: bytes, lfs: bool) -> File:
        sha256 = hashlib.sha256(data).hexdigest()
        part = self.blobs / f"{sha256}.{threading.get_ident()}"
        part.write_bytes(data)
        part.replace(self.blobs / sha256)
        return File(sha256, len(data), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), lfs)

    def client_env(self, home: Path, token: str | None = WRITE_TOKEN) -> dict[str, str]:
        """Environment of a process whose Hub this is: it sees neither the user's cache nor the user's token."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own |= {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        return own if token is None else own | {"HF_TOKEN": token}


class AnswerError(Exception):
    """A refusal: status, the Hub's error code and its message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    """Reads a request, finds its endpoint in `ROUTES`, sends the JSON that the endpoint returns."""

    server: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or every answer waits 40 ms for an acknowledgement

    def log_message(self, *_: object) -> None:
        """Silence: the tests' output is pytest's."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.data = self._body()
        try:
            for method, pattern, endpoint in ROUTES:
                match = re.fullmatch(pattern, url.path)
                if match and self.command in method:
                    self._authorise()
                    with self.server.lock:
                        endpoint(self, **{name: unquote(value or "") for name, value in match.groupdict().items()})
                    return
            raise AnswerError(404, "NotFound", f"the stand-in has no {self.command} {url.path}")
        except AnswerError as error:
            self._send(error.status, {"error": error.message}, {"X-Error-Code": error.code})

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _authorise(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        writes = self.command in ("POST", "PUT") and "/paths-info/" not in self.path and "/lfs/" not in self.path
        if token not in ("", READ_TOKEN, WRITE_TOKEN) or (writes and not token):
            raise AnswerError(401, "Unauthorized", "Invalid username or password.")
        if writes and token != WRITE_TOKEN:
            raise AnswerError(403, "Forbidden", "You don't have the rights to write to this repository.")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _repo(self, repo: str) -> Repo:
        found = self.server.repos.get(repo)
        if found is None or (found.private and "Authorization" not in self.headers):
            raise AnswerError(404, "RepoNotFound", "Repository not found")
        return found

    def _at(self, repo: str, revision: str) -> tuple[str, dict[str, File]]:
        found = self._repo(repo)
        sha = found.find(revision)
        if sha is None:
            raise AnswerError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, found.commits[sha]

    # -- endpoints that write ------------------------------------------------------------------------------------------

    def create(self) -> None:
        asked = json.loads(self.data)
        repo = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        answer = {"url": f"{self.server.endpoint}/{repo}", "name": repo, "id": repo}
        if repo in self.server.repos:
            self._send(409, answer | {"error": "You already created this model repo"})
            return
        made = Repo(private=asked.get("visibility") == "private")
        made.commit("main", {".gitattributes": self.server.store(b"*.safetensors filter=lfs\n", lfs=False)})
        self.server.repos[repo] = made
        self._send(200, answer)

    def validate_yaml(self) -> None:
        self._send(200, {"errors": [], "warnings": []})

    def preupload(self, repo: str, revision: str) -> None:
        _, files = self._at(repo, revision)
        answer = []
        for asked in json.loads(self.data)["files"]:
            mode = "lfs" if asked["path"].endswith(".safetensors") else "regular"
            old = files[asked["path"]].oid if asked["path"] in files else None
            answer.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": old})
        self._send(200, {"files": answer})

    def lfs_batch(self, repo: str) -> None:
        self._repo(repo)
        objects = []
        for asked in json.loads(self.data)["objects"]:
            answer = {"oid": asked["oid"], "size": asked["size"]}
            if not (self.server.blobs / asked["oid"]).exists():
                answer["actions"] = {"upload": {"href": f"{self.server.endpoint}/lfs/{asked['oid']}"}}
            objects.append(answer)
        self._send(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        if hashlib.sha256(self.data).hexdigest() != oid:
            raise AnswerError(400, "BadRequest", "sha256 differs")
        self.server.store(self.data, lfs=True)
        self._send(200, {})

    def make_commit(self, repo: str, revision: str) -> None:
        found = self._repo(repo)
        if revision not in found.branches:
            raise AnswerError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = dict(found.commits[found.branches[revision]])
        for line in self.data.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = self.server.store(base64.b64decode(value["content"]), lfs=False)
            elif operation["key"] == "lfsFile":
                blob = self.server.blobs / value["oid"]
                if not blob.exists():
                    raise AnswerError(400, "BadRequest", f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = self.server.store(blob.read_bytes(), lfs=True)
            elif operation["key"] != "header":
                raise AnswerError(400, "BadRequest", f"the stand-in has no operation {operation['key']}")
        sha = found.commit(revision, files)
        self._send(200, {"success": True, "commitOid": sha, "commitUrl": f"{self.server.endpoint}/{repo}/commit/{sha}"})

    def make_branch(self, repo: str, name: str) -> None:
        start = json.loads(self.data or b"{}").get("startingPoint", "main")
        self._make_ref(self._repo(repo).branches, name, self._at(repo, start)[0])

    def make_tag(self, repo: str, revision: str) -> None:
        self._make_ref(self._repo(repo).tags, json.loads(self.data)["tag"], self._at(repo, revision)[0])

    def _make_ref(self, table: dict[str, str], name: str, sha: str) -> None:
        if name in table:
            raise AnswerError(409, "Conflict", "Reference already exists")
        table[name] = sha
        self._send(200, {})

    # -- endpoints that read -------------------------------------------------------------------------------------------

    def info(self, repo: str, revision: str = "main") -> None:
        sha, files = self._at(repo, revision)
        siblings = [{"rfilename": path, "size": files[path].size, "blobId": files[path].oid} for path in sorted(files)]
        found = {"id": repo, "modelId": repo, "sha": sha, "private": self._repo(repo).private, "siblings": siblings}
        self._send(200, found | {"tags": [], "downloads": 0, "likes": 0, "lastModified": DATE, "createdAt": DATE})

    def tree(self, repo: str, revision: str, folder: str = "") -> None:
        if folder:  # repositories of this project are flat
            raise AnswerError(404, "EntryNotFound", "Entry not found")
        _, files = self._at(repo, revision)
        self._send(200, [files[path].entry(path) for path in sorted(files)])

    def paths_info(self, repo: str, revision: str) -> None:
        _, files = self._at(repo, revision)
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(self.data)["paths"]
        else:
            paths = parse_qs(self.data.decode()).get("paths", [])
        self._send(200, [files[path].entry(path) for path in paths if path in files])

    def resolve(self, repo: str, revision: str, path: str) -> None:
        sha, files = self._at(repo, revision)
        headers = {"X-Repo-Commit": sha, "Content-Type": "application/octet-stream"}
        if path not in files:
            self._send(404, b"", headers | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        file = files[path]
        headers["ETag"] = f'"{file.etag}"'
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        self._send(200, (self.server.blobs / file.sha256).read_bytes(), headers)


_REPO, _REV = r"(?P<repo>[^/]+/[^/]+?)", r"(?P<revision>[^/]+)"
_READ, _POST = ("GET", "HEAD"), ("POST",)
ROUTES: list[tuple[tuple[str, ...], str, Callable[..., None]]] = [
    (_POST, r"/api/repos/create", Handler.create),
    (_POST, r"/api/validate-yaml", Handler.validate_yaml),
    (_POST, rf"/api/models/{_REPO}/preupload/{_REV}", Handler.preupload),
    (_POST, rf"/{_REPO}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (("PUT",), r"/lfs/(?P<oid>[0-9a-f]{64})", Handler.lfs_put),
    (_POST, rf"/api/models/{_REPO}/commit/{_REV}", Handler.make_commit),
    (_POST, rf"/api/models/{_REPO}/branch/(?P<name>[^/]+)", Handler.make_branch),
    (_POST, rf"/api/models/{_REPO}/tag/{_REV}", Handler.make_tag),
    (_READ, rf"/api/models/{_REPO}", Handler.info),
    (_READ, rf"/api/models/{_REPO}/revision/{_REV}", Handler.info),
    (_READ, rf"/api/models/{_REPO}/tree/{_REV}(?:/(?P<folder>.*))?", Handler.tree),
    (_POST, rf"/api/models/{_REPO}/paths-info/{_REV}", Handler.paths_info),
    (_READ, rf"/{_REPO}/resolve/{_REV}/(?P<path>.+)", Handler.resolve),
]


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A running stand-in that keeps its files under `root`."""
    server = Hub(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """An empty stand-in of the Hub: `hub.endpoint`, `hub.root`, `hub.client_env(home)`."""
    with serve(tmp_path / "hub") as server:
        yield server
