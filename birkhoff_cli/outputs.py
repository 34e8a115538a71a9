"""A result becomes a table file and a figure, which appear together, and a summary."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

from birkhoff_cli import deferred, files, progress, report
from birkhoff_cli.analyses.core.errors import BirkhoffError, CheckFailed, TooLarge, UsageError
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.invocation import STAMP, Invocation
from birkhoff_cli.text import either, finite

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.preview import Preview

Opened = Callable[[Path], AbstractContextManager[BinaryIO]]
"""How a file to write is opened: `files.opened`, or one of several of `files.together`."""


def deliver(invocation: Invocation, run: Callable[[], Result]) -> None:
    """Run, write the table, draw, and print the summary.

    Raises:
        CheckFailed: what ``--fail-on`` asked for was found; everything has been written.
    """
    invocation.check()
    if invocation.is_looked_at and hasattr(invocation.module, "follow"):
        progress.end()
        invocation.module.follow(**invocation.request.values)
    result = run()
    _check_format(result, invocation)
    counted = (result.total, invocation.shorter, result.workers, result.fold is not None)
    result.steps = progress.track(result.steps, *counted)
    table, rows = None, None
    if invocation.table:
        from birkhoff_cli.preview import Preview

        rows = Preview()
    with files.together() as every, settling():
        if rows is not None or invocation.output is not None or invocation.plot is not None:
            table = write(result, invocation, rows, every.file)
        summary = result.finish()
        if table is not None and invocation.plot is not None:
            progress.stage("drawing")
            draw(table, invocation.module, invocation.plot, summary, every.file)
    progress.end()
    # of parts that are merged the author is the command that was divided
    report.show(
        summary, result, replace(invocation, module=result.author or invocation.module), rows
    )
    if failure := result.failed():
        raise CheckFailed(failure)


@contextmanager
def settling() -> Iterator[None]:
    """Settle digests before anything appears.

    Raises:
        BadInput: a file is not what its own digest says: whatever else was wrong comes of that.
    """
    try:
        yield
    except BirkhoffError:
        deferred.settle()
        raise
    deferred.settle()


def _check_format(result: Result, invocation: Invocation) -> None:
    """Refuse a format of arrays for a result that is only a table."""
    if invocation.output is None or invocation.table_format.writes or result.arrays is not None:
        return
    from birkhoff_cli import tables

    suffixes = either([format.suffixes[0] for format in tables.writable()])
    raise UsageError(
        f"{invocation.output}: {invocation.table_format.name} holds arrays and "
        f"'birkhoff {invocation.name}' makes a table here; use {suffixes}"
    )


def stamp(invocation: Invocation, result: Result) -> dict[bytes, bytes]:
    """What every file says about itself: how to make it again, and how to read it."""
    from birkhoff_cli import provenance  # a command that writes no table starts sooner without

    return provenance.stamp(
        invocation.name,
        result.meta,
        command=[invocation.name, *invocation.request.arguments()],
        options=invocation.request.facts(),
        **invocation.facts,
    )


def write(
    result: Result,
    invocation: Invocation,
    rows: "Preview | None" = None,
    opened: Opened = files.opened,
) -> "pa.Table | None":
    """Write the table where it was wanted, show ``rows`` the first of it.

    What the file says of its inputs is asked for when there are rows: their digests may be found
    out until then.

    Returns:
        The table if a figure needs it.
    """
    import pyarrow as pa

    from birkhoff_cli import provenance
    from birkhoff_cli.analyses.core.table import arrow_schema

    kept: list[pa.RecordBatch] = []

    def begin() -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        result.reach_rows()
        schema = arrow_schema(result.schema, stamp(invocation, result))
        batches = result.batches(schema)
        if rows is not None:
            batches = rows.watch(batches)
        return schema, _keep(batches, kept) if invocation.plot else batches

    if invocation.output is None:
        schema, batches = begin()
        for _ in batches:
            pass
    else:
        format = invocation.table_format
        with opened(invocation.output) as sink:
            schema, batches = begin()
            if format.writes or result.arrays is None:
                format.write(batches, schema, sink, lambda: provenance.footer(result.finish()))
            else:
                notes = {k.decode(): v.decode() for k, v in stamp(invocation, result).items()}
                format.write_arrays(result.arrays(), notes, sink)
    return pa.Table.from_batches(kept, schema) if invocation.plot else None


def _keep(
    batches: "Iterator[pa.RecordBatch]", kept: "list[pa.RecordBatch]"
) -> "Iterator[pa.RecordBatch]":
    """Pass batches on and remember them, as long as a figure's rows fit in memory."""
    from birkhoff_cli.analyses.core.memory import available

    limit, size = available() // 2, 0
    for batch in batches:
        size += batch.nbytes
        if size > limit:
            raise TooLarge(
                f"the figure's rows exceed {limit / 2**30:.1f} GiB of memory; use fewer samples"
            )
        kept.append(batch)
        yield batch


def draw(
    table: "pa.Table",
    module: ModuleType,
    path: Path,
    summary: Summary,
    opened: Opened = files.opened,
) -> None:
    """One figure, one file; the painter sees only the table, and its headline numbers."""
    from birkhoff_cli.analyses.core import figure  # a command that draws nothing starts sooner

    suffix = path.suffix.lower()
    drawn = figure.figure_of(table, module, finite(dict(summary)))
    with opened(path) as sink:
        figure.save(drawn, sink, suffix[1:], STAMP[suffix])
