"""Ranges of files over HTTP, through the client that huggingface_hub brings.

Redirects are followed here, so that a token or a password never goes to another host than the one
it is for, and that what a file is redirected to is asked for once. Nothing of a body is read
before the answer says that it is the range that was asked for.
"""

import re
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.places._url import cut_secrets
from birkhoff_cli.text import escape

CONNECT, READ = 15.0, 30.0
"""Seconds until a server has answered the call, and between two pieces of an answer."""

TRIES, CALLS = 9, 3
"""Of a request that brings nothing, and of one that reaches no server."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0
"""Seconds between tries; a server may ask for more, up to the longest."""

MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (408, 425, 429, 500, 502, 503, 504)
EXPIRED = (401, 403, 404, 410)
"""What a redirect's target answers when its signature has run out."""

RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Status(Exception):
    """An answer that is no success.

    Attributes:
        code: its status.
        headers: of it.
    """

    def __init__(self, code: int, headers: Mapping[str, str]) -> None:
        super().__init__(code)
        self.code, self.headers = code, headers


class Again(Exception):
    """It may go better the next time.

    Attributes:
        pause: seconds that the server asks for; 0 if it does not.
        unreached: no server answered.
    """

    def __init__(self, reason: str, pause: float = 0.0, unreached: bool = False) -> None:
        super().__init__(reason)
        self.pause, self.unreached = pause, unreached
        self.way_out = "check the URL and the network" if unreached else "try again later"


class Answer(NamedTuple):
    """Bytes that came, the size of the whole file, and what tells its version."""

    data: bytes
    size: int
    version: str


Headers = Callable[[str], Mapping[str, str]]
"""From a URL to headers that only its host may see."""


class Reader:
    """Files of one server by their URLs.

    Args:
        label: what messages call the server.
        headers: those that only some hosts may see.
    """

    def __init__(self, label: str, headers: Headers) -> None:
        self.label, self.headers = label, headers
        self.targets: dict[str, str] = {}

    def read(self, url: str, shown: str, start: int, stop: int, size: int | None) -> Answer:
        """A range of a file.

        Args:
            url: of the file, with its secrets.
            shown: what messages call it.
            start: first byte.
            stop: the byte behind the last; the file may end before if its size is not known.
            size: of the file, if it is known.

        Raises:
            Status: the server refuses.
            BadInput: it cannot be reached, or answers with something else.
        """
        done, whole, failures = b"", size, 0
        version: str | None = None
        while True:
            part = _Part(url, shown, start + len(done), stop, whole, version)
            try:
                answer = self._once(part)
                return Answer(done + answer.data, answer.size, answer.version)
            except Again as again:
                if part.came:  # what follows has to be of the same file
                    failures, done = 0, done + bytes(part.came)
                    whole, version = part.size, part.version
                if done and whole is not None and len(done) == min(stop, whole) - start:
                    return Answer(done, whole, version or "")
                failures += 1
                if failures >= (CALLS if again.unreached else TRIES):
                    raise BadInput(f"{shown}: {again}; {again.way_out}") from again
                pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
                time.sleep(min(max(pause, again.pause), LONGEST_PAUSE))

    def _once(self, part: "_Part") -> Answer:
        """One try."""
        import httpx2
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            return self._follow(part)
        except OfflineModeIsEnabled as error:
            raise offline(part.shown) from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            why = escape(str(error))[:80] or "no answer"
            raise Again(f"the server cannot be reached ({why})", unreached=True) from error
        except httpx2.TransportError as error:
            raise Again(f"the connection breaks off ({type(error).__name__})") from error
        except (httpx2.InvalidURL, ValueError) as error:
            raise BadInput(f"{part.shown}: is no URL that can be asked; check it") from error

    def _follow(self, part: "_Part") -> Answer:
        """Through redirects to the answer."""
        kept = self.targets.get(part.url)
        url = kept or part.url
        for _ in range(MAX_REDIRECTS):
            with self._stream(url, part) as response:
                if response.status_code in REDIRECTS and "Location" in response.headers:
                    url = self._target(url, response.headers["Location"], part)
                    continue
                if kept and response.status_code in EXPIRED:
                    self.targets.pop(part.url, None)
                    raise Again("a signature has run out")
                if url != part.url:
                    self.targets[part.url] = url
                return part.take(response)
        raise BadInput(f"{part.shown}: is redirected without end; check the URL")

    def _stream(self, url: str, part: "_Part") -> Any:
        import httpx2
        from huggingface_hub import get_session

        headers = {"Accept-Encoding": "identity", **part.headers, **self.headers(url)}
        timeout = httpx2.Timeout(READ, connect=CONNECT)
        return get_session().stream(
            "GET", url, headers=headers, timeout=timeout, follow_redirects=False
        )

    def _target(self, url: str, location: str, part: "_Part") -> str:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        plain = after.scheme == before.scheme == "http"
        if plain and is_here(before.netloc):
            plain = is_here(after.netloc)
        if after.scheme != "https" and not plain:
            raise BadInput(f"{part.shown}: leads to a URL without encryption; it is not followed")
        return target


class _Part:
    """A range that is asked for, and what has come of it."""

    def __init__(
        self,
        url: str,
        shown: str,
        start: int,
        stop: int,
        size: int | None,
        version: str | None = None,
    ) -> None:
        self.url, self.shown, self.start, self.stop, self.size = url, shown, start, stop, size
        self.version, self.came = version, bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a file."""
        return self.start == 0 and self.stop == self.size

    @property
    def headers(self) -> Mapping[str, str]:
        """``Range``, unless all is wanted: servers that make up small files know no ranges."""
        return {} if self.is_whole else {"Range": f"bytes={self.start}-{self.stop - 1}"}

    def take(self, response: Any) -> Answer:
        """The bytes of an answer that is the range.

        Raises:
            Status: the server refuses.
            Again: it is busy, or the body ends early.
            BadInput: it is another range, or the whole file.
        """
        code, headers = response.status_code, response.headers
        if code in BUSY:
            raise Again(f"the server answers {code}", pause=_pause(headers))
        if code == 416 and headers.get("Content-Range") == "bytes */0" and not self.start:
            self._hold(self.size in (None, 0))
            return Answer(b"", 0, "")
        self._hold(code != 416 or self.size is None)  # what was asked for was within the file
        if code == 206:
            self._check_range(headers)
        elif code == 200:
            self._check_whole(headers)
        else:
            raise Status(code, headers)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise BadInput(f"{self.shown}: comes compressed, of which no range can be read")
        self._hold(self.version in (None, version_of(headers)))
        self.version = version_of(headers)
        self._receive(response)
        return Answer(bytes(self.came), self.size or 0, self.version)

    def _hold(self, same: bool) -> None:
        """Hold that a file is as it was.

        Raises:
            BadInput: it is not.
        """
        if not same:
            raise BadInput(f"{self.shown}: changed while it was read; read it again")

    def _check_range(self, headers: Mapping[str, str]) -> None:
        match = RANGE.fullmatch(headers.get("Content-Range", ""))
        start, last, size = map(int, match.groups()) if match else (-1, -1, -1)
        self._hold(self.size is None or not match or size == self.size)
        if (start, last + 1) != (self.start, min(self.stop, size)):
            raise BadInput(
                f"{self.shown}: the server answers with another range than the one asked for; "
                f"download the file"
            )
        self.size = size

    def _check_whole(self, headers: Mapping[str, str]) -> None:
        """Hold that an answer without a range is no more than what was asked for."""
        length = headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else self.size
        if self.start or size is None or size > self.stop or self.size not in (None, size):
            raise BadInput(
                f"{self.shown}: the server sends the whole file and not the range asked for; "
                f"download the file"
            )
        self.size = size

    def _receive(self, response: Any) -> None:
        """Take the body, which has as many bytes as the answer says."""
        expected = min(self.stop, self.size or 0) - self.start
        for chunk in response.iter_raw():
            self.came += chunk
            if len(self.came) > expected:
                raise BadInput(f"{self.shown}: the server sends more than it says; download it")
        if len(self.came) < expected:
            raise Again("the answer is cut")


def is_here(host: str) -> bool:
    """Whether a host, with its port or not, is this machine, to which nothing needs encryption."""
    name = host.rpartition("@")[2]
    name = name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def version_of(headers: Mapping[str, str]) -> str:
    """What changes when a file does, as far as a server says it."""
    return headers.get("ETag") or headers.get("Last-Modified") or ""


def _pause(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks for."""
    text = headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def offline(shown: str) -> BadInput:
    """The sentence for a machine that shall not use the network."""
    return BadInput(
        f"{cut_secrets(shown)}: HF_HUB_OFFLINE is set and this is read over the network; unset "
        f"it, or give a local folder"
    )
