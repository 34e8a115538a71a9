"""Arrow IPC that comes through a pipe: headers, each of which says how many bytes follow it."""

from pathlib import Path

import pyarrow as pa

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED, refusing
from birkhoff_cli.tables._columns import trace_columns
from birkhoff_cli.tables._format import Stored
from birkhoff_cli.tables._incoming import Incoming
from birkhoff_cli.tables._messages import MAX_FOOTER, MAX_MESSAGES, frame, too_many


class Messages(Incoming):
    """Headers with what follows them; the first one is the schema.

    Args:
        label: of the pipe.
        start: where the first header begins: behind the magic bytes of a file, or at once.
    """

    def __init__(self, label: Path, start: int) -> None:
        """The next header is the first."""
        super().__init__(label)
        self._next, self._count, self._has_ended = start, 0, False
        self._footer = MAX_FOOTER if start else 0
        self._pending = bytearray()  # what has come from `_next` on

    def take(self, data: bytes) -> None:
        """Follow the headers; behind the end of all there is at most the footer of a file.

        Raises:
            BadInput: no table of matrices, by its schema; or more bytes behind its end.
            TooLarge: too many batches.
        """
        start, self.size = self.size, self.size + len(data)
        if not self._has_ended:
            self._pending += data[max(0, self._next - start) :]
            with refusing(self.label):
                while not self._has_ended and self._follow():
                    pass
        if self._has_ended and self.size > self._next + self._footer:
            raise BadInput(f"{where(self.label)}: goes on behind its end; {DAMAGED}")

    def _follow(self) -> bool:
        """Go to the next header, if the one that is next has come whole."""
        if (sizes := frame(self._pending)) is None:
            return False
        header, body = sizes
        if not self._count and header:
            self._require_matrices(bytes(self._pending[:header]))
        self._count += 1
        if self._count > MAX_MESSAGES:
            raise too_many(self.label)
        self._has_ended = not header
        size = header + body or len(self._pending[:8])
        self._next += size
        self.whole = self._next
        del self._pending[:size]
        return True

    def _require_matrices(self, header: bytes) -> None:
        """Hold that the schema is that of matrices, before the rest has come."""
        schema = pa.ipc.read_schema(pa.py_buffer(header))
        trace_columns(self.label, Stored(schema, 0, 0, lambda *_: iter(()), tuple(schema.names)))
