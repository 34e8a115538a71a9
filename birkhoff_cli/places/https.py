"""A file on a web server: ``https://host/path``, and what lies beside it.

A server lists nothing, so a folder is none: give the file, or the index of its shards. The query
of a URL is for the one file that it was typed with; a password is for all files of its host.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from threading import Lock
from urllib.parse import unquote, urlsplit

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.places import _fetch
from birkhoff_cli.places._http import EXPIRED, Answer, Reader, Status, is_here
from birkhoff_cli.places._path import forget
from birkhoff_cli.places._place import Entry, Place
from birkhoff_cli.places._url import Url, typed

SCHEMES = ("https", "http")
HOST = re.compile(r"(?:[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""A name or an address, and a port."""

PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+)?html\b", re.IGNORECASE)
"""How a page begins that a server sends, with success, in place of a file that it does not have."""


class Web(Place):
    """A host."""

    shares_query = False

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._reader = Reader(root, self._headers)
        self._entries: dict[str, Entry | None] = {}
        self._versions: dict[str, str] = {}
        self._pages: set[str] = set()
        self._lock = Lock()

    @classmethod
    def split(cls, url: Url) -> tuple[str, str]:
        """The host, and the path there."""
        if not url.host:
            raise UsageError(f"{url.clean}: names no server; say https://host/file")
        if not HOST.fullmatch(url.host):  # which may be the beginning of a password
            raise UsageError(
                f"{url.scheme}://: the URL names no server; say {url.scheme}://host/file, and of a "
                f"password / ? # as %2F %3F %23"
            )
        if url.scheme == "http" and not is_here(url.host):
            raise UsageError(f"{url.clean}: is not encrypted; say https://{url.host}{url.path}")
        return url.root, url.path.strip("/")

    def entry(self, name: str) -> Entry | None:
        """By reading its beginning, once."""
        with self._lock:
            if name in self._entries:
                return self._entries[name]
        entry = self._look(name)
        with self._lock:
            return self._entries.setdefault(name, entry)

    def look(self, names: Iterable[str]) -> None:
        """Several beginnings together."""
        _fetch.each(self.entry, [name for name in names if name not in self._entries])

    def _look(self, name: str) -> Entry | None:
        """What the answer to a request for the beginning says."""
        if not name or any(known.startswith(f"{name}/") for known, at in self._known() if at):
            return Entry(None)  # a folder of what is there
        try:
            answer = self._read(name, 0, _fetch.HEAD, None)
        except Status as status:
            if status.code in EXPIRED and (status.code in (404, 410) or not self._is_typed(name)):
                return None  # a store that lists nothing answers 403 for what is not there
            raise self._refusal(name, status) from status
        if not self._is_typed(name) and PAGE.match(answer.data):
            self._pages.add(name)  # the page of a site that has one for every name
            return None
        _fetch.traffic.plan(len(answer.data), self.root)
        _fetch.traffic.add(len(answer.data))
        _fetch.blob(self, name, answer.size).put(0, answer.data)
        return Entry(answer.size, answer.version)

    def _known(self) -> list[tuple[str, Entry | None]]:
        with self._lock:
            return [*self._entries.items()]

    def beside(self, name: str) -> str:
        """That a page came in place of a file."""
        if name not in self._pages:
            return ""
        return f"there is no {name.rpartition('/')[2]} beside the file: the server sends a page"

    def children(self, name: str) -> list[str]:
        """None is known."""
        raise NotADirectoryError(20, "Not a directory", f"{self.root}/{name}")

    def read(self, name: str, start: int, stop: int) -> bytes:
        """A range of the file that was there at first."""
        entry = self.entry(name)
        try:
            answer = self._read(name, start, stop, entry.size if entry else None)
        except Status as status:
            raise self._refusal(name, status) from status
        return answer.data

    def _read(self, name: str, start: int, stop: int, size: int | None) -> Answer:
        shown = f"{self.root}/{name}"
        url = typed(shown)
        address = shown if url is None else f"{self.root}{url.path}"
        query = "" if url is None or not url.query else f"?{url.query}"
        answer = self._reader.read(address + query, shown, start, stop, size)
        with self._lock:
            if answer.version != self._versions.setdefault(name, answer.version):
                forget()
                raise BadInput(f"{shown}: changed while it was read; read it again")
        return answer

    def _is_typed(self, name: str) -> bool:
        return typed(f"{self.root}/{name}") is not None

    def _headers(self, url: str) -> Mapping[str, str]:
        """The password, for its own host."""
        parts, own = urlsplit(url), typed(self.root)
        user = "" if own is None else own.user
        if not user or f"{parts.scheme}://{parts.netloc}" != self.root:
            return {}
        word = base64.b64encode(unquote(user).encode()).decode()
        return {"Authorization": f"Basic {word}"}

    def _refusal(self, name: str, status: Status) -> BadInput:
        """What a status means."""
        shown = f"{self.root}/{name}"
        if status.code in (404, 410):
            return BadInput(f"{shown}: no such file on the server; check the URL")
        if status.code in (401, 403):
            return BadInput(
                f"{shown}: the server does not let us in ({status.code}); check the password, or "
                f"whether the signature of the URL has run out"
            )
        return BadInput(f"{shown}: the server answers {status.code}; check the URL")
