"""What every table format is: how it is recognised, read and written."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import where
from birkhoff_cli.content import Content
from birkhoff_cli.tables._incoming import Incoming, Lines

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.tables._steps import Several

COMPLETE = "the file is complete; nothing in it marks its end"
"""What is assumed of text, which may have been cut at the end of a row."""

MAX_STEPS = 8
"""Training steps in a message."""

Footer = Callable[[], Mapping[str, str]]
"""What is known only after the last batch, as text by key."""


class Batches(Protocol):
    """How the rows of a table are read."""

    def __call__(
        self, names: list[str], rows: int, first: int = 0, /
    ) -> "Iterator[pa.RecordBatch]":
        """Batches of columns in order.

        Args:
            names: of the columns.
            rows: of a batch; the reader may round it to what the file holds together.
            first: the row that the first batch begins with. What lies before it is not decoded,
                in formats that can leave it out.
        """


@dataclass(frozen=True)
class Stored:
    """A table in a file, read whenever somebody asks for columns of it.

    Attributes:
        schema: of all columns that can be read; its metadata are all that the file has.
        rows: how many it says it has.
        size: bytes after decompression, as it says; 0 if it does not.
        batches: reads columns, from any row on.
        names: of all columns in the file, in its order.
    """

    schema: "pa.Schema"
    rows: int
    size: int
    batches: Batches
    names: tuple[str, ...]


class TableFormat(ABC):
    """One way to keep a table, or an array of matrices, in a file.

    A member is a class without arguments in a file of this folder; the file's name is its name.

    Attributes:
        suffixes: of file names, in lower case, the usual one first.
        binary: whether a terminal cannot show it.
        keeps_metadata: whether a file says what its columns mean and how it was made.
        pipes: whether it can be read from standard input.
    """

    suffixes: ClassVar[tuple[str, ...]]
    binary: ClassVar[bool] = True
    keeps_metadata: ClassVar[bool] = False
    pipes: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """As ``--format`` takes it."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    def writes(self) -> bool:
        """Whether `write` is there."""
        return type(self).write is not TableFormat.write

    @property
    def writes_arrays(self) -> bool:
        """Whether `write_arrays` is there."""
        return type(self).write_arrays is not TableFormat.write_arrays

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a file of this format can begin like this."""

    def may_hold_matrices(self, head: bytes, path: Path | None) -> bool:
        """Whether a file that was recognised can hold matrices, as far as is seen at once.

        Args:
            head: its first bytes.
            path: where it is; None for standard input.
        """
        del head, path
        return True

    def incoming(self, label: Path, head: bytes) -> Incoming:
        """What looks at a pipe of this format as its bytes come, since it may never end.

        Args:
            label: what messages call it.
            head: its first bytes.
        """
        del head
        return Incoming(label) if self.binary else Lines(label)

    def read(self, content: Content, types: "Mapping[str, pa.DataType] | None" = None) -> Stored:
        """The columns of a table.

        Args:
            content: of the file.
            types: the columns to read, and their types, for formats that keep no types; all
                columns, and types as the values look, if not given.

        Raises:
            BadInput: damaged or incomplete.
            TooLarge: more than fits in memory, in a format that is read whole.
        """
        del types
        here = where(content.label)
        raise Unsupported(f"{here}: is {self.name}, which holds arrays and no tables")

    def assumptions(self, content: Content) -> tuple[str, ...]:
        """Sentences about what nothing in a file of this format says."""
        del content
        return ()

    def has_steps(self, content: Content) -> bool:
        """Whether a table has a column of training steps, as its beginning says, unchecked."""
        return type(self).read is not TableFormat.read and "step" in self.read(content).names

    def steps(self, content: Content) -> tuple[int, ...]:
        """Training steps of the models whose matrices a table holds; none if it says none."""
        if not content.once("has steps", lambda: self.has_steps(content)):
            return ()
        return tuple(self._several(content).runs)

    def _several(self, content: Content) -> "Several":
        from birkhoff_cli.tables._columns import TYPES
        from birkhoff_cli.tables._steps import several

        return several(content, lambda: self.read(content, TYPES))

    def trace_of_step(self, content: Content, facts: dict[str, Any], step: int) -> MixingTrace:
        """What `trace` returns, of the one of several models that is of this training step.

        Raises:
            BadInput: there is none; and what `trace` raises.
        """
        from birkhoff_cli.provenance import recorded
        from birkhoff_cli.tables import _ordered
        from birkhoff_cli.tables._steps import of_step

        if step not in (known := self.steps(content)):
            listed = ", ".join(map(str, known[:MAX_STEPS])) or "none"
            raise BadInput(f"{where(content.label)}: has no step {step}; its steps: {listed}")
        table = of_step(self._several(content), step)
        trace = _ordered.trace(content, table, facts, f"order of step {step}")
        return replace(recorded(trace, table.schema.metadata, step), step=step)

    def trace(self, content: Content, facts: dict[str, Any]) -> MixingTrace:
        """The matrices, in our orientation.

        Args:
            content: of the file.
            facts: provenance for the trace's ``meta``.

        Raises:
            BadInput: no matrices; damaged or incomplete. What is only found in a later block is
                raised by the iteration over the trace.
            TooLarge: more than fits in memory, in a format or an order that has to be read whole.
        """
        from birkhoff_cli.provenance import recorded
        from birkhoff_cli.tables import _ordered
        from birkhoff_cli.tables._columns import TYPES

        table = self.read(content, TYPES)
        return recorded(_ordered.trace(content, table, facts), table.schema.metadata)

    def write(
        self,
        batches: "Iterable[pa.RecordBatch]",
        schema: "pa.Schema",
        sink: BinaryIO,
        footer: Footer,
    ) -> None:
        """Write every batch; ``sink`` need not be seekable."""
        del batches, schema, sink, footer
        raise Unsupported(f"{self.name} files are read and not written")

    def write_arrays(
        self, arrays: Iterable[tuple[str, Array]], notes: Mapping[str, str], sink: BinaryIO
    ) -> None:
        """Write named arrays, and what is to be said of them by key; the same bytes every time."""
        del arrays, notes, sink
        raise Unsupported(f"{self.name} files hold a table and no named arrays")
