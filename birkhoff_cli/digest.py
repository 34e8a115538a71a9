"""The sha256 of a file, and the one that a file holds of itself.

A file that keeps metadata holds ``birkhoff-sha256:DIGITS`` near its end, where DIGITS are the
sha256 of all its bytes with zeros in their own place. So it covers schema, rows, metadata and
whatever the format adds, and one pass over the file gives both digests, be it a pass of its own or
that of whoever reads the rows.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from threading import Lock
from typing import Any, BinaryIO, Literal

KEY = "birkhoff.digest"
"""Key of the metadata under which the mark stands."""

ZEROS = "0" * 64
PREFIX = "birkhoff-sha256:"
BLANK = PREFIX + ZEROS
"""The mark before the digest is known."""

MARK = re.compile(rb"birkhoff-sha256:([0-9a-f]{64})")
MAX_TAIL = 16 << 20
"""Bytes at the end of a file in which the mark is looked for: behind it are lists of row groups."""

STEP = 1 << 20
ASSUMED = "the table is as it was written; it holds no digest of birkhoff's"


@dataclass(frozen=True)
class Digest:
    """What the bytes of a file are.

    Attributes:
        sha256: of all of them, as ``sha256sum`` prints it.
        own: whether there is one in the file, and it is right.
    """

    sha256: str
    own: Literal["none", "right", "wrong"]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What has to be assumed of a table whose format keeps a digest."""
        return (ASSUMED,) if self.own == "none" else ()


MAX_GAP = 8 << 20
"""Bytes between two reads that are read too: of columns that nobody asks for."""

GAPS = 16
"""Such a gap is no larger than this share of the file: whoever looks at its end reads no more."""


def read_digest(file: BinaryIO) -> Digest:
    """One pass over a whole file."""
    return Running(file).finish(file)


class Running:
    """Digests of a file, of bytes that somebody reads in order anyway.

    Attributes:
        position: up to where bytes were taken.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Look for the mark; nothing is taken yet."""
        self._digits: str | None = None
        self._stop = file.seek(0, io.SEEK_END)
        if (mark := _find(file)) is not None:
            self._stop, self._digits = mark
        self._total, self._lock, self.position = hashlib.sha256(), Lock(), 0

    @property
    def is_marked(self) -> bool:
        """Whether the file holds a digest of itself."""
        return self._digits is not None

    def gap(self, start: int) -> int:
        """How many bytes to read before ``start``, so that what follows is next."""
        missing, most = start - self.position, min(MAX_GAP, self._stop // GAPS)
        return missing if 0 < missing <= most and not self._lock.locked() else 0

    def take(self, start: int, data: bytes | memoryview) -> None:
        """Take bytes that begin at ``start``, as far as they are next; others are passed over."""
        if not self._lock.acquire(blocking=False):  # somebody reads the rest for the digest alone
            return
        try:
            if start <= self.position < min(start + len(data), self._stop):
                piece = memoryview(data)[self.position - start : self._stop - start]
                self._total.update(piece)
                self.position += len(piece)
        finally:
            self._lock.release()

    def finish(self, file: BinaryIO) -> Digest:
        """Read what was not taken."""
        with self._lock:
            file.seek(self.position)
            while part := file.read(min(STEP, self._stop - self.position)):
                self._total.update(part)
                self.position += len(part)
            total = self._total.copy()
            if self._digits is None:
                return Digest(total.hexdigest(), "none")
            tail, blanked = file.read(), total.copy()
            total.update(tail)
            blanked.update(ZEROS.encode() + tail[len(ZEROS) :])
            right = blanked.hexdigest() == self._digits
            return Digest(total.hexdigest(), "right" if right else "wrong")


class Watched:
    """An open file whose bytes are taken for its digests as they are read."""

    closed = False

    def __init__(self, file: Any, running: Running) -> None:
        self._file, self._running = file, running

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left."""
        start = self._after_gap()
        data: bytes = self._file.read(size)
        self._running.take(start, data)
        return data

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there is room for, if as many are left; returns how many."""
        start, count = self._after_gap(), 0
        view = memoryview(buffer)
        while count < len(view) and (more := self._file.readinto(view[count:])):
            count += more
        self._running.take(start, view[:count])
        return count

    def _after_gap(self) -> int:
        """The position, once bytes before it are taken that nobody asked for."""
        start: int = self._file.tell()
        if gap := self._running.gap(start):
            self._file.seek(start - gap)
            self._running.take(start - gap, self._file.read(gap))
        return start

    def __getattr__(self, name: str) -> Any:
        """Everything else is the file's."""
        return getattr(self._file, name)


def _find(file: BinaryIO) -> tuple[int, str] | None:
    """Where the digits of the last mark begin, and the digits."""
    size, length = file.seek(0, io.SEEK_END), 4096
    while True:
        start = max(0, size - length)
        file.seek(start)
        if marks := list(MARK.finditer(file.read())):
            return start + marks[-1].start(1), marks[-1][1].decode()
        if start == 0 or length >= MAX_TAIL:
            return None
        length *= 16


def fill(tail: bytes, before: "hashlib._Hash") -> bytes:
    """The end of a file with its digest in place of `BLANK`.

    Args:
        tail: the last bytes, the blank mark among them.
        before: the hash of all bytes before them.
    """
    digits = tail.index(BLANK.encode()) + len(PREFIX)
    total = before.copy()
    total.update(tail)
    return tail[:digits] + total.hexdigest().encode() + tail[digits + len(ZEROS) :]
