"""The sha256 of a file, and the one that a file holds of itself.

A file that keeps metadata ends with ``birkhoff-sha256:DIGITS:SIZE``, where SIZE is that of the file
and DIGITS are the sha256 of all its bytes, with zeros in their own place. So it covers schema,
rows, metadata and whatever the format adds, and one pass over the file gives both digests.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Literal

KEY = "birkhoff.digest"
"""Key of the metadata under which the mark stands."""

DIGITS, SIZE_DIGITS = 64, 16
BLANK = f"birkhoff-sha256:{'0' * DIGITS}:{'0' * SIZE_DIGITS}"
"""The mark before the digest is known."""

MARK = re.compile(rb"birkhoff-sha256:([0-9a-f]{64}):([0-9]{16})")
MAX_TAIL = 16 << 20
"""Bytes at the end of a file in which the mark is looked for: behind it are lists of row groups."""

STEP = 1 << 20


@dataclass(frozen=True)
class Digest:
    """What the bytes of a file are.

    Attributes:
        size: number of bytes.
        sha256: of all of them, as ``sha256sum`` prints it.
        own: what the file says of itself: nothing, what is right or wrong, or what was said of
            another file, so that another program has written this one with our metadata.
    """

    size: int
    sha256: str
    own: Literal["none", "right", "wrong", "of another file"]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What has to be assumed of a table whose format keeps a digest."""
        return ASSUMED.get(self.own, ())


ASSUMED = {
    "none": ("the table is as it was written; birkhoff put no digest into it",),
    "of another file": ("the table is as it is meant; it was changed after birkhoff wrote it",),
}


def read_digest(file: BinaryIO) -> Digest:
    """One pass over a whole file."""
    size = file.seek(0, io.SEEK_END)
    mark = _find(file, size)
    file.seek(0)
    total = hashlib.sha256()
    if mark is None:
        _update(total, file, size)
        return Digest(size, total.hexdigest(), "none")
    start, digits, stated_size = mark
    _update(total, file, start)
    blanked = total.copy()
    total.update(file.read(DIGITS))
    blanked.update(b"0" * DIGITS)
    rest = file.read()
    total.update(rest)
    blanked.update(rest)
    if stated_size != size:
        return Digest(size, total.hexdigest(), "of another file")
    right = blanked.hexdigest() == digits
    return Digest(size, total.hexdigest(), "right" if right else "wrong")


def _find(file: BinaryIO, size: int) -> tuple[int, str, int] | None:
    """Where the digits of the last mark begin, the digits, and the size beside them."""
    length = 4096
    while True:
        start = max(0, size - length)
        file.seek(start)
        if marks := list(MARK.finditer(file.read())):
            last = marks[-1]
            return start + last.start(1), last[1].decode(), int(last[2])
        if start == 0 or length >= MAX_TAIL:
            return None
        length *= 16


def _update(total: "hashlib._Hash", file: BinaryIO, count: int) -> None:
    while count and (part := file.read(min(STEP, count))):
        total.update(part)
        count -= len(part)


def fill(tail: bytes, before: "hashlib._Hash", position: int) -> bytes:
    """The end of a file with its digest in place of `BLANK`.

    Args:
        tail: the last bytes, the blank mark among them.
        before: the hash of all bytes before them.
        position: how many these are.
    """
    blank = BLANK.encode()
    start = tail.index(blank)
    size = f"{position + len(tail):0{SIZE_DIGITS}}".encode()
    sized = tail[:start] + blank[:-SIZE_DIGITS] + size + tail[start + len(blank) :]
    total = before.copy()
    total.update(sized)
    digits = start + blank.index(b":") + 1
    return sized[:digits] + total.hexdigest().encode() + sized[digits + DIGITS :]
