"""The bytes of a file or a pipe, read as often as somebody asks, and the same every time."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import where

Content: TypeAlias = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens it at its beginning."""

HEAD = 4096
"""Bytes from which the format of a file is told."""

STEP = 1 << 20
"""Bytes that are read at a time."""


def of_bytes(data: bytes) -> Content:
    """What was read from a pipe."""
    return lambda: io.BytesIO(data)


def of_file(path: Path) -> Content:
    """A file, held to be the one that it was at first: the digest must be of what is read.

    A digest and the blocks of a trace are read at different times, and a trace is perhaps still
    being written.
    """
    first = _state(path.stat())

    def hold(file: BinaryIO) -> None:
        if _state(os.fstat(file.fileno())) != first:
            raise BadInput(
                f"{where(path)}: was changed while it was read; "
                f"wait until it is complete and run again"
            )

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with path.open("rb") as file:
            hold(file)
            yield file
            hold(file)

    return opened


def _state(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def whole(label: Path, content: Content) -> bytes:
    """All of it, if it fits in memory with what becomes of it."""
    with content() as file:
        require_memory(4 * size(file), where(label))
        return file.read()


def size(file: BinaryIO) -> int:
    """Bytes of an open file, which is left at its beginning."""
    found = file.seek(0, io.SEEK_END)
    file.seek(0)
    return found


def digest(file: BinaryIO) -> dict[str, Any]:
    """Size and sha256 of all of an open file, as ``sha256sum`` confirms it."""
    length, total = size(file), hashlib.sha256()
    while part := file.read(STEP):
        total.update(part)
    return {"size": length, "sha256": total.hexdigest()}
