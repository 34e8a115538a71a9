"""A file as pyarrow wants one."""

from typing import Any, BinaryIO


class Sink:
    """It counts what was written, so that a pipe will do."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.position = file, 0

    def write(self, data: Any) -> int:
        """Write all of it."""
        length = memoryview(data).nbytes
        self.file.write(data)
        self.position += length
        return length

    def tell(self) -> int:
        """Bytes written so far."""
        return self.position

    def flush(self) -> None:
        """Hand over what is buffered."""
        self.file.flush()

    def close(self) -> None:
        """The file belongs to whoever opened it."""
