"""A remote file as a file: what is not known yet is read when it is asked for."""

import io
import os
from typing import Any

from birkhoff_cli.places._fetch import HEAD, Blob, fetch

SMALLEST, LARGEST = 64 << 10, 8 << 20
"""Bytes of a request that nobody planned, of a reader that goes on from byte to byte at most."""

SMALL_READ = 4096
"""Bytes up to which a read is left to the buffer."""


class Raw(io.RawIOBase):
    """Bytes of a remote file from a position on.

    A read gives what is known there, which may be less than was asked for; the buffer in front of
    it asks again. Whoever reads on where it stopped gets half as much again each time as it has
    read in a row, so that a long header takes few requests and little too much is read.
    """

    def __init__(self, blob: Blob) -> None:
        self.blob, self.position = blob, 0
        self.run_start = self.run_stop = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position."""
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self.position = offset + (0, self.position, self.blob.size)[whence]
        if self.position < 0:
            raise OSError(22, "Invalid argument")
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or as much of it as is known together."""
        view = memoryview(buffer).cast("B")
        if self.position >= self.blob.size or not len(view):
            return 0
        data = self.blob.get(self.position, len(view))
        if not data:
            self.ensure(self.position, self.position + len(view))
            data = self.blob.get(self.position, len(view))
        view[: len(data)] = data
        self.position += len(data)
        return len(data)

    def ensure(self, start: int, stop: int) -> None:
        """Read what is not known of a span, and a little around it."""
        gaps = self.blob.missing(start, stop)
        if not gaps:
            return
        start, stop = gaps[0][0], gaps[-1][1]
        if start < HEAD:
            start, stop = 0, max(stop, HEAD)
        if start > self.run_stop or start < self.run_start:
            self.run_start = start
        ahead = min(max(SMALLEST, (start - self.run_start) // 2), LARGEST)
        self.run_stop = max(stop, start + ahead)
        fetch([(self.blob, start, self.run_stop)])


class RemoteFile(io.BufferedReader):
    """A remote file, opened to read bytes."""

    def __init__(self, blob: Blob, status: os.stat_result) -> None:
        super().__init__(Raw(blob), SMALLEST)
        self._status = status

    def status(self) -> os.stat_result:
        """What `os.fstat` says of a local file."""
        return self._status

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, or all; a large span is one plan."""
        if size is None or not 0 <= size <= SMALL_READ:
            raw: Any = self.raw
            start = self.tell()
            stop = raw.blob.size if size is None or size < 0 else start + size
            raw.ensure(start, min(stop, raw.blob.size))
        return super().read(size)
