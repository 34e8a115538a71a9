"""What comes through a pipe, kept in a temporary file without a name once it is large.

The memory of the process does not grow with it, and whatever ends the process leaves nothing.
"""

import io
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.core.memory import gibibytes, require_memory
from birkhoff_cli.containers import where
from birkhoff_cli.content import Content, of_bytes

IN_MEMORY = 16 << 20
"""Bytes that are kept in memory: a small pipe touches no disk."""

SHARE = 2
"""One part in so many of what is free in the folder may be used."""

LOOK = 64 << 20
"""Bytes after which it is asked again what is left: others write there too."""


class Spool:
    """Bytes in the order in which they came."""

    def __init__(self, label: Path) -> None:
        """Nothing has come yet."""
        self.label, self.size = label, 0
        self._file: BinaryIO = io.BytesIO()
        self._is_on_disk, self._asked = False, 0

    def write(self, data: bytes) -> None:
        """Keep more.

        Raises:
            TooLarge: there is no room for it.
        """
        self.require(self.size + len(data))
        try:
            if not self._is_on_disk and self.size + len(data) > IN_MEMORY:
                self._move()
            self._file.write(data)
        except OSError as error:
            raise self._too_large(f"({error.strerror})") from error
        self.size += len(data)

    def require(self, size: int) -> None:
        """Hold that there is room for so many bytes in all.

        A folder in memory, as /tmp may be one, takes what processes need: that has to be left.

        Raises:
            TooLarge: there is not.
        """
        if size <= max(self._asked, IN_MEMORY):
            return
        free = self.size + _free(tempfile.gettempdir())
        if size > free // SHARE:
            raise self._too_large(f"of which {gibibytes(free // SHARE)} may be used")
        require_memory(LOOK, where(self.label))
        self._asked = size + min(LOOK, free // SHARE - size)

    def content(self) -> Content:
        """All that came."""
        if not self._is_on_disk:
            return of_bytes(self.label, self._file.getvalue())  # type: ignore[attr-defined]
        return Content(self.label, self.size, self._open)

    def _open(self) -> BinaryIO:
        return io.BufferedReader(_Handle(self._file))

    def _move(self) -> None:
        """Go on in a file."""
        began: io.BytesIO = self._file  # type: ignore[assignment]
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115, it is read later
        weakref.finalize(self, self._file.close)
        self._file.write(began.getbuffer())
        self._is_on_disk = True

    def _too_large(self, why: str) -> TooLarge:
        folder = "the folder for temporary files"
        with suppress(OSError):  # there may be none
            folder = where(Path(tempfile.gettempdir()))
        return TooLarge(
            f"{where(self.label)}: does not fit into {folder} {why}; save it in a file and give "
            f"that, or set TMPDIR to a folder with more room"
        )


class _Handle(io.RawIOBase):
    """A file that others read too, in this process and in forks of it, each at its own place."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """That of the file."""
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        start = os.fstat(self.fileno()).st_size if start is None else start
        if start + offset < 0:
            raise ValueError("a place before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the place where it is."""
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.fileno(), size, self._position)
        self._file.seek(self._position)  # Windows: no forks there, and one thread
        return self._file.read(size)


def _free(folder: str) -> int:
    """Bytes that are free where a folder is."""
    return shutil.disk_usage(folder).free
