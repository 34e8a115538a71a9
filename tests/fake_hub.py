"""A model hub on the loopback: the part of the Hugging Face protocol that reading a model needs.

Two servers, as of the real hub: one answers questions and sends a reader of large files on to the
other, on another address, where nothing but the signature in the URL opens a file::

    with FakeHub({"org/model": Repository(folder)}) as hub:
        subprocess.run(command, env={**os.environ, **hub.environment})
    assert not hub.leaks and hub.bytes_sent < 20e6

By hand: ``python tests/fake_hub.py org/model=FOLDER`` prints the variable to set.
"""

import hashlib
import json
import re
import socketserver
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "hf_fake_token_of_the_tests"
SIGNATURE = "fake-signature-of-the-tests"
HUB, STORAGE = "127.0.0.1", "127.0.0.2"
LARGE = (".safetensors", ".gguf", ".pt", ".pth", ".bin", ".parquet", ".arrow", ".npy", ".npz")
"""Suffixes of files that lie in the storage; all others are sent by the hub itself."""
CHUNK = 1 << 16
PAGE = 1000
"""Entries of a listing that one answer holds."""


@dataclass
class Asked:
    """One request and its answer, written down before the answer is sent.

    Attributes:
        server: ``hub`` or ``storage``.
        method: ``GET``, ``HEAD`` or ``POST``.
        path: without query string.
        range: the header, or the empty string.
        status: of the answer.
        authorized: whether the request carries a token.
        bytes: of the body that are sent so far.
    """

    server: str
    method: str
    path: str
    range: str
    status: int
    authorized: bool
    bytes: int = 0


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        too_many: 429 to every n-th request, with ``Retry-After``; 0 for never.
        unavailable: 503 to every n-th request.
        cut: the body of every n-th answer with a body ends in the middle.
        ranges: the storage ignores ``Range`` (200 and the whole file), or answers 206 with a range
            beside the one asked for, with half of it, or without saying which.
        expiry: a signature is good for so many requests; 0 for any number.
    """

    too_many: int = 0
    unavailable: int = 0
    cut: int = 0
    ranges: Literal["", "ignored", "shifted", "short", "unsaid"] = ""
    expiry: int = 0


@dataclass
class Repository:
    """A model repository.

    Attributes:
        folder: the files of the branch ``main``; they may be sparse.
        access: ``private`` needs a token to be seen, ``gated`` to be read; ``awaiting`` is gated,
            and the owner of the token has not been let in.
        branches: folders of other branches and tags.
    """

    folder: Path
    access: Literal["open", "private", "gated", "awaiting"] = "open"
    branches: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def revisions(self) -> dict[str, "Revision"]:
        """Revisions by branch, and by commit."""
        named = {k: Revision(v) for k, v in {"main": self.folder, **self.branches}.items()}
        return named | {revision.commit: revision for revision in named.values()}


@dataclass(frozen=True)
class Revision:
    """The files of a folder."""

    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Files by their path in the repository."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    @cached_property
    def commit(self) -> str:
        """40 hexadecimal digits: a hash of the folder, and of names, sizes and times of files."""
        stats = [(k, v.stat().st_size, v.stat().st_mtime_ns) for k, v in self.files.items()]
        return hashlib.sha1(repr((str(self.folder), stats)).encode()).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        """A file as a listing shows it; the hash of a large one is of its name and size."""
        size = self.files[name].stat().st_size
        digest = hashlib.sha256(repr((name, size)).encode()).hexdigest()
        entry = {"type": "file", "path": name, "size": size, "oid": digest[:40]}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
        return entry

    def entries(self, under: str, recursive: bool) -> list[dict[str, Any]]:
        """Files and folders below a folder."""
        start = f"{under}/" if under else ""
        entries, folders = [], set()
        for name in self.files:
            if not name.startswith(start):
                continue
            parts = name[len(start) :].split("/")
            folders |= {start + "/".join(parts[:k]) for k in range(1, len(parts))}
            if recursive or len(parts) == 1:
                entries.append(self.entry(name))
        kept = (k for k in sorted(folders) if recursive or "/" not in k[len(start) :])
        return [
            {"type": "directory", "path": k, "size": 0, "oid": "0" * 40} for k in kept
        ] + entries


class Refusal(Exception):
    """A status, and the headers that say why."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status = status
        self.headers = {"X-Error-Code": code} if code else {}
        self.headers["X-Error-Message"] = message or code or "no"


class FakeHub:
    """Both servers, while the context lasts.

    Args:
        repositories: by ``org/name``.
        faults: what goes wrong; may be set at any time.
        token: opens private and gated repositories; None: whatever a reader has does.
        certificate: a file with key and certificate: both servers speak TLS.

    Attributes:
        asked: every request, in the order of answers.
    """

    def __init__(
        self,
        repositories: Mapping[str, Repository],
        faults: Faults | None = None,
        token: str | None = TOKEN,
        certificate: Path | None = None,
    ) -> None:
        self.repositories = dict(repositories)
        self.faults = faults or Faults()
        self.token = token
        self.scheme = "https" if certificate else "http"
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.requests = self.bodies = 0
        self.signed: dict[str, int] = {}
        self.hub = _serve(HUB, HubHandler, self, certificate)
        self.storage = _serve(STORAGE, StorageHandler, self, certificate)

    def __enter__(self) -> "FakeHub":
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    @property
    def endpoint(self) -> str:
        """The URL for ``HF_ENDPOINT``."""
        return f"{self.scheme}://{HUB}:{self.hub.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a reader without a token."""
        return {"HF_ENDPOINT": self.endpoint, "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}

    @property
    def bytes_sent(self) -> int:
        """Bytes of all bodies."""
        return sum(asked.bytes for asked in self.asked)

    @property
    def leaks(self) -> list[Asked]:
        """Requests that carry a token to the storage."""
        return [k for k in self.asked if k.server == "storage" and k.authorized]

    def forget(self) -> None:
        """Start all counts again."""
        with self.lock:
            self.asked.clear()
            self.requests = self.bodies = 0

    def storage_url(self, repository: str, commit: str, name: str) -> str:
        """A signed URL of a file in the storage."""
        path = f"/{repository}/{commit}/{quote(name)}"
        with self.lock:
            number = len(self.signed)
            self.signed[str(number)] = 0
        query = f"X-Amz-Signature={SIGNATURE}&number={number}"
        return f"{self.scheme}://{STORAGE}:{self.storage.server_port}{path}?{query}"


class Server(ThreadingHTTPServer):
    """A server that knows the hub it belongs to."""

    daemon_threads = True
    request_queue_size = 64
    owner: FakeHub

    def server_bind(self) -> None:
        """Bind without asking a name server for the name of the address."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, *_: object) -> None:
        """A reader that hangs up is no error."""


def _serve(
    address: str, handler: type["Handler"], owner: FakeHub, certificate: Path | None
) -> Server:
    server = Server((address, 0), handler)
    server.owner = owner
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class Handler(BaseHTTPRequestHandler):
    """Parses a request, answers it, and writes down what was asked."""

    protocol_version = "HTTP/1.1"  # connections are kept, as the real hub does
    disable_nagle_algorithm = True
    server: Server
    name = ""

    def do_GET(self) -> None:
        """Answer, or refuse."""
        self.owner = self.server.owner
        self.url = urlsplit(self.path)
        self.query = {k: v[-1] for k, v in parse_qs(self.url.query).items()}
        self.form = self._form()
        try:
            self._refuse_some()
            self.answer()
        except Refusal as refusal:
            text = json.dumps({"error": refusal.headers["X-Error-Message"]}).encode()
            self.send(refusal.status, text, refusal.headers)

    do_HEAD = do_POST = do_GET

    def answer(self) -> None:
        """Of a request whose path, query and form are parsed."""
        raise NotImplementedError

    def _form(self) -> dict[str, list[str]]:
        length = int(self.headers.get("Content-Length") or 0)
        return parse_qs(self.rfile.read(length).decode())

    def _refuse_some(self) -> None:
        faults = self.owner.faults
        with self.owner.lock:
            self.owner.requests += 1
            number = self.owner.requests
        if faults.too_many and number % faults.too_many == 0:
            raise Refusal(429, message="too many requests")
        if faults.unavailable and number % faults.unavailable == 0:
            raise Refusal(503, message="not now")

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body that is in memory."""
        if status == 429:
            headers = {**headers, "Retry-After": "1"}
        self.stream(status, len(body), iter([body]), headers)

    def stream(
        self, status: int, length: int, body: Iterator[bytes], headers: Mapping[str, str]
    ) -> None:
        """Send a body in pieces, or its first half where it is to be cut."""
        asked = self._write_down(status)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = length // 2 if status < 300 and self._is_cut() else length
        with suppress(ConnectionError):
            for piece in body:
                part = piece[: stop - asked.bytes]
                asked.bytes += len(part)
                self.wfile.write(part)
                if asked.bytes == stop:
                    self.close_connection |= stop < length
                    return
        self.close_connection = True

    def _is_cut(self) -> bool:
        with self.owner.lock:
            self.owner.bodies += 1
            return bool(self.owner.faults.cut) and self.owner.bodies % self.owner.faults.cut == 0

    def _write_down(self, status: int) -> Asked:
        of = self.headers
        asked = Asked(
            *(self.name, self.command, self.url.path, of.get("Range", ""), status),
            authorized="Authorization" in of,
        )
        with self.owner.lock:
            self.owner.asked.append(asked)
        return asked

    def log_message(self, *_: object) -> None:
        """Standard error belongs to the test."""

    def send_file(self, path: Path, headers: Mapping[str, str], ranges: str = "") -> None:
        """Send a file or the range of it that is asked for, without reading the rest."""
        size = path.stat().st_size
        headers = {**headers, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None or ranges == "ignored":
            self.stream(200, size, pieces(path, 0, size), headers)
            return
        first, last = wanted[1], wanted[2]
        start = int(first) if first else max(size - int(last), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            self.send(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
            return
        if ranges == "shifted":
            start, stop = (start - 1, stop - 1) if start else (start + 1, min(stop + 1, size))
        if ranges == "short":
            stop = start + (stop - start + 1) // 2
        if ranges != "unsaid":
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self.stream(206, stop - start, pieces(path, start, stop), headers)


def pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of a file from `start` to `stop`."""
    with path.open("rb") as file:
        file.seek(start)
        while start < stop:
            piece = file.read(min(CHUNK, stop - start))
            start += len(piece)
            yield piece


class HubHandler(Handler):
    """What a model is, what it holds, and where its files lie."""

    name = "hub"

    def answer(self) -> None:
        """Find the repository, and answer by the kind of question."""
        for pattern, answer in (
            (r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", self.about),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?(.*)", self.list_files),
            (r"/api/models/([^/]+/[^/]+)/paths-info/([^/]+)", self.look_up),
            (r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", self.small_file),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve),
        ):
            match = re.fullmatch(pattern, self.url.path)
            if match:
                self.repository, name, *rest = (unquote(k or "") for k in match.groups())
                answer(self.revision_of(name or "main"), *rest)
                return
        raise Refusal(404, message="Sorry, we can't find the page you are looking for.")

    def revision_of(self, name: str) -> Revision:
        """The revision of that name or commit.

        Raises:
            Refusal: the token is wrong, or there is no such repository or revision.
        """
        token = self.headers.get("Authorization")
        if self.owner.token and token not in (None, f"Bearer {self.owner.token}"):
            raise Refusal(401, message="Invalid credentials in Authorization header")
        at = self.owner.repositories.get(self.repository)
        if at is None or (at.access == "private" and token is None):
            if token is None:  # the hub does not say whether it is there
                raise Refusal(401, "RepoNotFound", "Invalid username or password.")
            raise Refusal(404, "RepoNotFound", "Repository not found")
        if name not in at.revisions:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {name}")
        return at.revisions[name]

    def about(self, revision: Revision) -> None:
        """The commit of a revision, and the names of its files."""
        access = self.owner.repositories[self.repository].access
        entries = [revision.entry(name) for name in revision.files]
        siblings: list[dict[str, Any]] = [{"rfilename": k["path"]} for k in entries]
        if self.query.get("blobs", "").lower() == "true":
            for sibling, k in zip(siblings, entries, strict=True):
                lfs = k.get("lfs") and {**k["lfs"], "sha256": k["lfs"]["oid"]}
                sibling |= {"size": k["size"], "blobId": k["oid"]} | ({"lfs": lfs} if lfs else {})
        self.send_json(
            {
                **{"_id": "0" * 24, "id": self.repository, "modelId": self.repository},
                **{"sha": revision.commit, "siblings": siblings, "tags": []},
                **{"private": access == "private", "downloads": 0, "likes": 0},
                "gated": "manual" if access in ("gated", "awaiting") else False,
            }
        )

    def list_files(self, revision: Revision, under: str) -> None:
        """A page of the files and folders below a folder."""
        entries = revision.entries(under, self.query.get("recursive", "").lower() == "true")
        if under and not entries:
            raise Refusal(404, "EntryNotFound", f'{under} does not exist on "main"')
        start = int(self.query.get("cursor", 0))
        headers = {}
        if start + PAGE < len(entries):
            query = f"recursive={self.query.get('recursive', '')}&cursor={start + PAGE}"
            headers = {"Link": f'<{self.owner.endpoint}{self.url.path}?{query}>; rel="next"'}
        self.send_json(entries[start : start + PAGE], headers)

    def look_up(self, revision: Revision) -> None:
        """Files and folders of these paths, as far as they are there."""
        known = {k["path"]: k for k in revision.entries("", recursive=True)}
        self.send_json([known[k] for k in self.form.get("paths", ()) if k in known])

    def resolve(self, revision: Revision, name: str) -> None:
        """Send the reader on to where the file lies."""
        access = self.owner.repositories[self.repository].access
        authorized = "Authorization" in self.headers
        if access == "awaiting" or (access == "gated" and not authorized):
            raise Refusal(
                403 if authorized else 401, "GatedRepo", f"{self.repository} is restricted"
            )
        if name not in revision.files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        entry = revision.entry(name)
        headers = {"X-Repo-Commit": revision.commit}
        if "lfs" in entry:
            status = 302
            headers["Location"] = self.owner.storage_url(self.repository, revision.commit, name)
            headers |= {"X-Linked-Size": str(entry["size"])}
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["oid"]}"'}
        else:
            status, at = 307, f"{self.repository}/{revision.commit}"
            headers["Location"] = f"/api/resolve-cache/models/{at}/{quote(name)}"
        self.send(status, b"Temporary Redirect", headers)

    def small_file(self, revision: Revision, name: str) -> None:
        """A file that lies on the hub itself."""
        headers = {"X-Repo-Commit": revision.commit, "ETag": f'"{revision.entry(name)["oid"]}"'}
        self.send_file(revision.files[name], headers)

    def send_json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        """Send a value as JSON."""
        text = json.dumps(value).encode()
        self.send(200, text, {"Content-Type": "application/json", **(headers or {})})


class StorageHandler(Handler):
    """Large files, to who has a signed URL."""

    name = "storage"

    def answer(self) -> None:
        """Check the signature, and send what is asked for."""
        if "Authorization" in self.headers:
            raise Refusal(400, message="Only one auth mechanism allowed")
        self.check_signature()
        match = re.fullmatch(r"/([^/]+/[^/]+)/([^/]+)/(.+)", self.url.path)
        repository, commit, name = match.groups() if match else ("", "", "")
        at = self.owner.repositories.get(repository)
        files = at.revisions[commit].files if at and commit in at.revisions else {}
        if unquote(name) not in files:
            raise Refusal(404, message="NoSuchKey")
        self.send_file(files[unquote(name)], {}, self.owner.faults.ranges)

    def check_signature(self) -> None:
        """Count the uses of a signature.

        Raises:
            Refusal: it is none, or used up.
        """
        number, expiry = self.query.get("number", ""), self.owner.faults.expiry
        with self.owner.lock:
            known = self.query.get("X-Amz-Signature") == SIGNATURE and number in self.owner.signed
            uses = self.owner.signed[number] = self.owner.signed.get(number, 0) + 1
        if not known or (expiry and uses > expiry):
            raise Refusal(403, message="Request has expired")


def main() -> None:
    """Serve the folders of the command line until interrupted."""
    folders = dict(word.split("=", 1) for word in sys.argv[1:])
    with FakeHub({name: Repository(Path(folder)) for name, folder in folders.items()}) as hub:
        print(f"export HF_ENDPOINT={hub.endpoint}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
        print(f"{len(hub.asked)} requests, {hub.bytes_sent} bytes, {len(hub.leaks)} leaks")


if __name__ == "__main__":
    main()
