"""Files in an object store: ``s3://``, ``gs://`` and ``abfss://``, read by pyarrow.

Credentials, regions and endpoints are those of the store's own variables and files. Options in the
query of a URL, such as ``?region=eu-west-1&endpoint_override=HOST``, and a key before the host are
given to pyarrow, and kept nowhere.
"""

import time
from functools import cached_property
from threading import Lock
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.places._path import forget
from birkhoff_cli.places._place import Entry, Place
from birkhoff_cli.places._url import Url, cut_secrets, typed
from birkhoff_cli.text import escape

SCHEMES = ("s3", "gs", "abfss")
TRIES, PAUSE = 4, 0.5
"""Of a read that breaks off; the libraries themselves try again, too."""

REFUSED = ("ACCESS_DENIED", "AccessDenied", "Forbidden", "HTTP status 403", "PERMISSION_DENIED")
MAX_REASON = 160


class Bucket(Place):
    """A bucket or a container."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._entries: dict[str, Entry | None] = {}
        self._listed: set[str] = set()
        self._files: dict[str, Any] = {}
        self._lock = Lock()

    @classmethod
    def split(cls, url: Url) -> tuple[str, str]:
        """The bucket, and the key there."""
        if not url.host:
            raise UsageError(f"{url.clean}: names no bucket; say {url.scheme}://bucket/file")
        return url.root, url.path.strip("/")

    @cached_property
    def _system(self) -> tuple[Any, str]:
        """Pyarrow's file system, and what keys are relative to there.

        Raises:
            BadInput: it takes no such options, or finds no credentials.
        """
        from pyarrow.fs import FileSystem

        url = typed(self.root)
        secret = "" if url is None or not url.query else f"?{url.query}"
        user = "" if url is None or not url.user else f"{url.user}@"
        scheme, _, host = self.root.partition("://")
        address = f"{scheme}://{user}{host.rpartition('@')[2]}/{secret}"
        try:
            system, base = FileSystem.from_uri(address)
        except _errors() as error:
            raise self._refusal("", error) from error
        return system, base.rstrip("/")

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._system[1], name) if part)

    def entry(self, name: str) -> Entry | None:
        """By the listing of its folder, if that is a folder that was named, else by asking."""
        with self._lock:
            folder, _, _ = name.rpartition("/")
            if name not in self._entries:
                if self._entries.get(folder) == Entry(None):
                    self._list(folder)
                if name not in self._entries:
                    self._entries[name] = None if folder in self._listed else self._ask(name)
            return self._entries[name]

    def _ask(self, name: str) -> Entry | None:
        from pyarrow.fs import FileType

        info = self._info(name)
        if info.type == FileType.NotFound:
            return None
        return _entry(info)

    def _info(self, name: str) -> Any:
        key = self._key(name)
        try:
            return self._system[0].get_file_info(key)
        except _errors() as error:
            raise self._refusal(name, error) from error

    def _list(self, folder: str) -> None:
        """Take in what is in a folder, once."""
        from pyarrow.fs import FileSelector

        if folder in self._listed:
            return
        base = self._key(folder)
        try:
            infos = self._system[0].get_file_info(FileSelector(base))
        except _errors() as error:
            raise self._refusal(folder, error) from error
        self._listed.add(folder)
        for one in infos:
            name = f"{folder}/{one.base_name}".lstrip("/")
            self._entries[name] = _entry(one)

    def children(self, name: str) -> list[str]:
        """By a listing."""
        if self.entry(name) != Entry(None):
            raise NotADirectoryError(20, "Not a directory", f"{self.root}/{name}")
        with self._lock:
            self._list(name)
            start = f"{name}/" if name else ""
            there = (k for k, at in self._entries.items() if at and k.startswith(start))
            return sorted(rest for k in there if (rest := k[len(start) :]) and "/" not in rest)

    def read(self, name: str, start: int, stop: int) -> bytes:
        """A range of an object, which is asked afterwards whether it is still the same.

        Nothing else would show that it was replaced by another one of that size.
        """
        entry = self.entry(name)
        for failures in range(1, TRIES + 1):
            try:
                data: bytes = self._open(name).read_at(stop - start, start)
            except _errors() as error:
                if failures == TRIES or _is_final(error):
                    raise self._refusal(name, error) from error
                time.sleep(PAUSE * 2**failures)
                continue
            if len(data) == stop - start and _entry(self._info(name)) == entry:
                return data
            break
        forget()
        raise BadInput(f"{self.root}/{name}: changed while it was read; read it again")

    def _open(self, name: str) -> Any:
        if name not in self._files:  # a request: two threads may make it, and none waits
            self._files.setdefault(name, self._system[0].open_input_file(self._key(name)))
        return self._files[name]

    def _refusal(self, name: str, error: Exception) -> BadInput:
        """What the store's library says, without what it quotes."""
        shown = f"{self.root}/{name}".rstrip("/")
        if isinstance(error, FileNotFoundError):
            return BadInput(f"{shown}: no such object; check the name")
        reason = str(error)
        if any(word in reason for word in REFUSED):
            return BadInput(f"{shown}: access is denied; check the credentials and the name")
        reason = cut_secrets(escape(reason))[:MAX_REASON]
        return BadInput(
            f"{shown}: cannot be read ({reason}); check name, region, credentials and network"
        )


def _entry(info: Any) -> Entry:
    """What pyarrow says of a key."""
    return Entry(info.size, str(info.mtime_ns)) if info.is_file else Entry(None)


def _errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises where a store, or what it needs to read one, is not as expected."""
    from pyarrow import ArrowException

    return OSError, ValueError, TypeError, ArrowException


def _is_final(error: Exception) -> bool:
    """Whether to try again is of no use."""
    return not isinstance(error, OSError) or any(word in str(error) for word in REFUSED)
