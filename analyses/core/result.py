"""What an analysis returns: rows that stream, and a few headline numbers."""

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import TooLarge, UsageError
from birkhoff_cli.analyses.core.memory import available
from birkhoff_cli.analyses.core.table import Columns, Schema, arrow_schema, record_batch

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from matplotlib.figure import Figure

    from birkhoff_cli.analyses.core.arrays import Array
    from birkhoff_cli.analyses.core.fold import Blocks, Fold

Summary = Mapping[str, Any]

AGAIN = "run the analysis again"


@dataclass(repr=False)
class Result:
    """Rows in steps, and the summary that is known once the last step was taken.

    Nothing is computed before it is asked for. `table`, `summary` and all that is made of them
    take every step once and keep the rows, so that they are the same however often and in
    whatever order they are read. The command line takes `batches` and `finish` instead, which
    keep nothing.

    Attributes:
        schema: the columns.
        steps: an iterator over columns, one mapping per step of the work.
        summarise: the headline numbers; call it after the last step.
        total: number of steps, for a progress bar.
        workers: asks how many of them are under way at a time.
        meta: facts about the run that a picture needs and no column holds.
        failed: what a check that was asked for found wrong, in one sentence; None: nothing. Call
            it after the last step. The command line says it once all is written, and exits 1.
        fold: the fold and the blocks it goes over (`birkhoff_cli.analyses.core.fold`), where the
            result is that of one: its ranges can be run elsewhere, and merged.
        walk: how the blocks of the fold are gone over, if not one after another in this process.
        arrays: the same numbers as named arrays, for file formats that hold no tables; None where
            a table is all there is.
        module: name of the analysis's module, which draws the table and explains the summary.
    """

    schema: Schema
    steps: Iterator[Columns]
    summarise: Callable[[], Summary]
    total: int = 1
    workers: Callable[[], int] = lambda: 1
    meta: dict[str, Any] = field(default_factory=dict)
    failed: Callable[[], str | None] = lambda: None
    fold: "tuple[Fold[Any, Any], Blocks[Any]] | None" = None
    walk: "Callable[[Fold[Any, Any], Blocks[Any]], Generator[Columns, None, Any]] | None" = None
    arrays: "Callable[[], Iterator[tuple[str, Array]]] | None" = None
    module: str | None = None
    _read: "tuple[pa.Table | None, Summary] | None" = field(default=None, init=False)
    _broken: Exception | None = field(default=None, init=False)

    def batches(self, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        """Take the steps, each as an Arrow record batch; the rows are not kept.

        Raises:
            UsageError: the steps were taken already, by whoever it was.
        """
        if self._broken or self._read:
            raise self._broken or UsageError(f"the rows are in the table of this result; {AGAIN}")
        self._broken = UsageError(f"the rows of this result were passed on; {AGAIN}")
        return (record_batch(schema, columns) for columns in self.steps if columns)

    def reach_rows(self) -> None:
        """Take steps up to the first that has rows, which is still to be taken."""
        steps = self.steps
        for columns in steps:
            if columns:
                self.steps = chain((columns,), steps)
                return

    def finish(self) -> Summary:
        """Take every step that is left without keeping rows, and return the headline numbers."""
        if self._read is not None:
            return self.summary
        self._broken = self._broken or UsageError(f"the rows were not kept; {AGAIN}")
        for _ in self.steps:
            pass
        return self.summarise()

    @property
    def table(self) -> "pa.Table":
        """All rows, with ``meta`` in the schema's metadata.

        Raises:
            TooLarge: they take more than half of the memory there is; the summary is still known.
            UsageError: they were passed on, or the run was stopped before its end.
            BirkhoffError: what the analysis raises.
        """
        table, _ = self._all()
        if table is None:
            raise TooLarge(
                "the rows exceed half of the memory there is; take fewer samples, or write them "
                "with the command's -o"
            )
        return table

    @property
    def summary(self) -> Summary:
        """The headline numbers.

        Raises:
            UsageError: the rows were passed on, or the run was stopped before its end.
            BirkhoffError: what the analysis raises.
        """
        return self._all()[1]

    @property
    def answer(self) -> str:
        """The sentence that answers the analysis's question; empty if it has none."""
        from birkhoff_cli.analyses.core.sentences import answer

        return "" if self.author is None else answer(self.summary, self.author)

    def to_pandas(self) -> "pd.DataFrame":
        """The rows as a pandas table; a matrix is an array of arrays.

        Raises:
            ImportError: pandas is not installed.
        """
        _require("pandas")
        return self.table.to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """The rows as a polars table; a matrix is a d x d array.

        Raises:
            ImportError: polars is not installed.
        """
        polars = _require("polars")
        frame: pl.DataFrame = polars.from_arrow(self.table)
        return frame

    def plot(self) -> "Figure":
        """The picture of the table, as ``--plot`` draws it.

        Raises:
            UsageError: this analysis draws none.
        """
        from birkhoff_cli.analyses.core.figure import figure_of

        if self.author is None or "draw" not in vars(self.author):
            raise UsageError(f"{self.name} draws no picture; take its table")
        return figure_of(self.table, self.author, self.summary)

    @property
    def author(self) -> ModuleType | None:
        """The analysis's module, if it is known."""
        return sys.modules.get(self.module or "")

    @property
    def name(self) -> str:
        """The word for the analysis."""
        return (self.module or "result").rpartition(".")[2].replace("_", "-")

    def __repr__(self) -> str:
        """Its name, and the first numbers if they are known already."""
        if self._read is None:
            return f"<{self.name}: {len(self.schema)} columns, not computed yet>"
        table, summary = self._read
        rows = "rows too many to keep" if table is None else f"{len(table):,} rows"
        numbers = [f"{k} {v:.6g}" for k, v in summary.items() if type(v) in (int, float)]
        return f"<{', '.join([f'{self.name}: {rows}', *numbers[:3]])}>"

    def _repr_html_(self) -> str:
        """The summary and the meaning of every number, for a notebook."""
        from birkhoff_cli.analyses.core.page import page

        return page(self)

    def _all(self) -> "tuple[pa.Table | None, Summary]":
        """Every row and the summary; an error is the same error whenever somebody asks."""
        if self._broken is not None:
            raise self._broken
        if self._read is None:
            self._broken = UsageError(f"the run was stopped before its end; {AGAIN}")
            try:
                self._read = self._kept(), dict(self.summarise())
            except Exception as error:
                self._broken = error
                raise
            self._broken = None
        return self._read

    def _kept(self) -> "pa.Table | None":
        """The rows of all steps; None once they take too much memory."""
        import pyarrow as pa

        schema = arrow_schema(self.schema, metadata.dump({"meta": self.meta}))
        kept: list[pa.RecordBatch] | None = []
        limit, size = available() // 2, 0
        for columns in self.steps:
            if columns and kept is not None:
                kept.append(record_batch(schema, columns))
                size += kept[-1].nbytes
                kept = kept if size <= limit else None
        return None if kept is None else pa.Table.from_batches(kept, schema)


def at_once(schema: Schema, columns: Columns, summary: Summary, **meta: Any) -> Result:
    """A result whose rows are all there already."""
    return Result(schema, iter((columns,)), lambda: summary, meta=meta)


def _require(library: str) -> ModuleType:
    """Import what only some users have.

    Raises:
        ImportError: saying how to get it.
    """
    from importlib import import_module

    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(f"{library} is not installed; pip install {library}") from error
