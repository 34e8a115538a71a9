"""A result becomes a table file, a figure, and a summary: in that order, each whole or not."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from analyses.core.errors import TooLarge, UsageError
from analyses.core.result import Result
from birkhoff_cli import files, report
from birkhoff_cli.files import STDOUT

if TYPE_CHECKING:
    import pyarrow as pa

ORIENTATION = "x_out[i] = sum_j H[i, j] x_in[j]; composite H[L-1] ... H[1] H[0]"
SCHEMA_VERSION = 1

STAMP = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""Figure formats, and the one entry of each that would differ between two equal runs."""

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "birkhoff",
}
SIZE = (4.8, 3.9)


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line, besides the numbers themselves."""

    name: str
    module: ModuleType
    options: dict[str, Any]
    output: Path | None
    format: str | None
    json: bool
    quiet: bool
    verbose: bool
    debug: bool
    plot: Path | None = None

    @property
    def kind(self) -> str:
        """Format of the table: what was said, else the suffix, else Parquet for standard output."""
        from birkhoff_cli.tables import SUFFIXES

        if self.format or self.output is None or self.output == STDOUT:
            return self.format or "parquet"
        if kind := SUFFIXES.get(self.output.suffix.lower()):
            return kind
        raise UsageError(
            f"{self.output}: '{self.output.suffix}' names no table format; "
            f"use {', '.join(SUFFIXES)}, or say --format"
        )

    def check(self) -> None:
        """Refuse what cannot end well before the work begins."""
        inputs = (Path(self.options["path"]),) if "path" in self.options else ()
        if self.output is not None:
            if self.output == STDOUT and self.kind in ("parquet", "arrow") and _terminal(1):
                raise UsageError("a terminal cannot show binary data; pipe it, or --format csv")
            files.check(self.output, inputs)
        if self.plot is not None:
            if self.plot.suffix.lower() not in STAMP:
                raise UsageError(f"{self.plot}: a figure ends in {', '.join(STAMP)}")
            files.check(self.plot, inputs)
        if self.json and self.output == STDOUT:
            raise UsageError("--json and -o - both want standard output; give -o a file name")


def fulfil(order: Order, run: Callable[[], Result]) -> None:
    """Run, write the table, draw, and print the summary."""
    order.check()
    result = run()
    result.steps = report.progress(result.steps, result.total, order)
    table = None
    if order.output is not None or order.plot is not None:
        table = _write(result, order)
    summary = result.summary
    if table is not None and order.plot is not None:
        draw(table, order.module, order.plot)
    report.show(summary, result, order)


def metadata(order: Order, result: Result) -> dict[bytes, bytes]:
    """What every file says about itself: how to make it again, and how to read it."""
    facts = {
        "schema": order.name,
        "schema_version": SCHEMA_VERSION,
        "version": program_version(),
        "command": sys.argv[1:],
        "options": order.options,
        "orientation": ORIENTATION,
        "meta": result.meta,
    }
    return {b"birkhoff": json.dumps(facts, default=str, sort_keys=True).encode()}


def program_version() -> str:
    """Version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("birkhoff-cli")
    except PackageNotFoundError:
        return "source"


def _write(result: Result, order: Order) -> "pa.Table | None":
    """Write the table where it was wanted; return it if a figure needs it."""
    import pyarrow as pa

    from analyses.core.table import arrow_schema
    from birkhoff_cli.tables import WRITERS

    schema = arrow_schema(result.schema, metadata(order, result))
    kept: list[pa.RecordBatch] = []
    batches = _keep(result.batches(schema), kept) if order.plot else result.batches(schema)
    if order.output is None:
        for _ in batches:
            pass
    else:
        with files.opened(order.output) as sink:
            WRITERS[order.kind](
                batches,
                schema,
                sink,
                lambda: {
                    "birkhoff.summary": json.dumps(
                        report.finite(dict(result.summary)), default=report.plain
                    )
                },
            )
    return pa.Table.from_batches(kept, schema) if order.plot else None


def _keep(
    batches: "Iterator[pa.RecordBatch]", kept: "list[pa.RecordBatch]"
) -> "Iterator[pa.RecordBatch]":
    """Pass batches on and remember them, as long as a figure's rows fit in memory."""
    from analyses.core.memory import available

    limit, size = available() // 2, 0
    for batch in batches:
        size += batch.nbytes
        if size > limit:
            raise TooLarge(
                f"the figure's rows exceed {limit / 2**30:.1f} GiB of memory; use fewer samples"
            )
        kept.append(batch)
        yield batch


def draw(table: "pa.Table", module: ModuleType, path: Path) -> None:
    """House style, one figure, one file; the painter sees only the table."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    suffix = path.suffix.lower()
    with mpl.rc_context():
        mpl.rcdefaults()  # not what a matplotlibrc in the current directory says
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=getattr(module, "SIZE", SIZE), layout="constrained")
        module.draw(table, figure)
        with files.opened(path) as sink:
            figure.savefig(sink, format=suffix[1:], metadata={STAMP[suffix]: None})


def _terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
