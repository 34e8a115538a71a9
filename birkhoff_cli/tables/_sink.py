"""A file as pyarrow wants one."""

import hashlib
from typing import Any, BinaryIO

from birkhoff_cli import digest


class Sink:
    """It counts what was written, so that a pipe will do."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.position = file, 0

    def write(self, data: Any) -> int:
        """Write all of it."""
        length = memoryview(data).nbytes
        self._pass_on(data)
        self.position += length
        return length

    def _pass_on(self, data: Any) -> None:
        self.file.write(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.position

    def flush(self) -> None:
        """Hand over what is buffered."""
        self.file.flush()

    def close(self) -> None:
        """The file belongs to whoever opened it."""


class DigestSink(Sink):
    """A sink that puts the file's digest into its end.

    After `hold` everything is kept back, until `release` fills in the digest and writes it.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._hash = hashlib.sha256()
        self._tail: bytearray | None = None

    def _pass_on(self, data: Any) -> None:
        if self._tail is None:
            self._hash.update(data)
            self.file.write(data)
        else:
            self._tail += data

    def hold(self) -> None:
        """Keep back everything from here on; the blank mark is to be in it."""
        self._tail = bytearray()

    def release(self) -> None:
        """Write what was kept back, with the digest of the file in it."""
        self.file.write(digest.fill(bytes(self._tail or b""), self._hash))
