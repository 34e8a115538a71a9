"""What an analysis returns: rows that stream, and a few headline numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.table import Columns, Schema, arrow_schema, record_batch

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.analyses.core.arrays import Array
    from birkhoff_cli.analyses.core.fold import Blocks, Fold

Summary = Mapping[str, Any]


@dataclass
class Result:
    """Rows in steps, and the summary that is known once the last step was taken.

    Attributes:
        schema: the columns.
        steps: an iterator over columns, one mapping per step of the work. Whoever takes the
            steps decides whether to keep the rows: a summary alone needs no memory for them.
        summarise: the headline numbers; call it after the last step.
        total: number of steps, for a progress bar.
        meta: facts about the run that a picture needs and no column holds.
        failed: what a check that was asked for found wrong, in one sentence; None: nothing. Call
            it after the last step. The command line says it once all is written, and exits 1.
        fold: the fold and the blocks it goes over (`birkhoff_cli.analyses.core.fold`), where the
            result is that of one: its ranges can be run elsewhere, and merged.
        arrays: the same numbers as named arrays, for file formats that hold no tables; None where
            a table is all there is.
    """

    schema: Schema
    steps: Iterator[Columns]
    summarise: Callable[[], Summary]
    total: int = 1
    meta: dict[str, Any] = field(default_factory=dict)
    failed: Callable[[], str | None] = lambda: None
    fold: "tuple[Fold[Any, Any], Blocks[Any]] | None" = None
    arrays: "Callable[[], Iterator[tuple[str, Array]]] | None" = None

    def batches(self, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        """Take the steps, each as an Arrow record batch."""
        return (record_batch(schema, columns) for columns in self.steps if columns)

    @property
    def table(self) -> "pa.Table":
        """Take every step and return all rows, with ``meta`` in the schema's metadata."""
        import pyarrow as pa

        schema = arrow_schema(self.schema, metadata.dump({"meta": self.meta}))
        return pa.Table.from_batches(self.batches(schema), schema)

    @property
    def summary(self) -> Summary:
        """Take every step that is left and return the headline numbers."""
        for _ in self.steps:
            pass
        return self.summarise()


def at_once(schema: Schema, columns: Columns, summary: Summary, **meta: Any) -> Result:
    """A result whose rows are all there already."""
    return Result(schema, iter((columns,)), lambda: summary, meta=meta)
