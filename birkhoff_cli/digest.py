"""The sha256 of a file, and the one that a file holds of itself.

A file that keeps metadata holds ``birkhoff-sha256:DIGITS`` near its end, where DIGITS are the
sha256 of all its bytes with zeros in their own place. So it covers schema, rows, metadata and
whatever the format adds, and one pass over the file gives both digests.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Literal

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


def read_digest(file: BinaryIO) -> Digest:
    """One pass over a whole file."""
    mark = _find(file)
    file.seek(0)
    total = hashlib.sha256()
    if mark is None:
        _update(total, file, None)
        return Digest(total.hexdigest(), "none")
    start, digits = mark
    _update(total, file, start)
    blanked = total.copy()
    total.update(file.read(len(ZEROS)))
    blanked.update(ZEROS.encode())
    rest = file.read()
    total.update(rest)
    blanked.update(rest)
    right = blanked.hexdigest() == digits
    return Digest(total.hexdigest(), "right" if right else "wrong")


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


def _update(total: "hashlib._Hash", file: BinaryIO, count: int | None) -> None:
    """Take so many bytes, or all that are left."""
    while part := file.read(STEP if count is None else min(STEP, count)):
        total.update(part)
        count = None if count is None else count - len(part)


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
