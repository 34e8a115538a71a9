"""A part of a command's work in a file; `merging` makes the whole of several.

`--part i/N` goes over the i-th of N stretches of blocks. Its file, an Arrow file whatever its name,
holds the rows of these blocks and the state of the fold after them, as data (`core.states`), with
what tells which command and which inputs they are of. The state that is merged of all parts is that
of the command itself, so that rows and summary are the same bytes.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from birkhoff_cli import files, folding, progress, provenance, report
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.fold import fold_range
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import arrow_schema, record_batch
from birkhoff_cli.files import STDOUT
from birkhoff_cli.invocation import Invocation

SCHEMA = ()
SUMMARY = (
    quantity("part", "the part that was done, i of N"),
    quantity("blocks", "its blocks of samples", range=AT_LEAST_0),
    quantity("blocks_in_all", "blocks of the whole work", range=AT_LEAST_0),
)


def answer(summary: Summary) -> str:
    """Which part is done."""
    blocks = count(summary["blocks"], "block")
    return (
        f"Part {summary['part']} is done: {blocks} of {summary['blocks_in_all']:,}; "
        f"birkhoff merge puts all parts together."
    )


def deliver(
    run: Callable[[], Result], invocation: Invocation, part: tuple[int, int], engine: str | None
) -> None:
    """Go over a part of the blocks of a command and write rows and state.

    Args:
        run: gives the command's result.
        invocation: the command, its options and the file of the part.
        part: i and N, of ``--part i/N``.
        engine: of ``--engine``, which divides the work in another way.

    Raises:
        UsageError: no file for it, or work that cannot be divided.
    """
    output, option = invocation.output, f"--part {part[0]}/{part[1]}"
    if output is None or output == STDOUT:
        raise UsageError(f"{option}: keeps its work in a file; give -o and a file name")
    for name in ("format", "plot", "table"):
        if getattr(invocation, name):
            raise UsageError(f"{option} and --{name}: say --{name} to birkhoff merge or plot")
    if engine not in (None, "1"):
        raise UsageError(f"{option} is done by one process; leave --engine {engine} out")
    files.check(output, tuple(invocation.request.paths()))
    result = run()
    if why := folding.why_whole(result, invocation.request):
        raise UsageError(f"{option} has nothing to divide here: {why}; leave it out")
    assert result.fold is not None  # see `folding.why_whole`
    every = result.fold[1].blocks
    first, stop = ((every * k) // part[1] for k in (part[0] - 1, part[0]))
    facts = _facts(result, invocation, part, range(first, stop))
    with files.opened(output) as sink:
        _write(sink, result, invocation, facts, range(first, stop))
    progress.end()
    summary = {"part": f"{part[0]}/{part[1]}", "blocks": stop - first, "blocks_in_all": every}
    report.show(summary, at_once((), {}, summary), _of_part(invocation))


def _of_part(invocation: Invocation) -> Invocation:
    """The same call, its summary that of a part."""
    return replace(invocation, module=sys.modules[__name__])


def _facts(
    result: Result, invocation: Invocation, part: tuple[int, int], blocks: range
) -> dict[str, Any]:
    """What tells a part from others, and what its command is made again of."""
    assert result.fold is not None
    texts = invocation.request.texts
    return {
        "part": list(part),
        "blocks": [blocks.start, blocks.stop, result.fold[1].blocks],
        "texts": texts,
        "inputs": provenance.digest_of(result.meta),
        "code": folding.code_digest(invocation.name, texts),
    }


def _write(
    sink: Any, result: Result, invocation: Invocation, facts: dict[str, Any], blocks: range
) -> None:
    """Rows as they come, then the state."""
    import pyarrow as pa

    from birkhoff_cli import tables

    request = invocation.request
    stamp = provenance.stamp(
        invocation.name,
        result.meta,
        command=[invocation.name, *request.arguments()],
        options=request.facts(),
        **{provenance.PART: facts},
    )
    schema = pa.schema([("what", pa.string()), ("data", pa.large_binary())], metadata=stamp)

    def batches() -> Iterator[pa.RecordBatch]:
        for what, piece in _pieces(result, blocks):
            columns = [pa.array([what]), pa.array([piece], pa.large_binary())]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    tables.load("arrow").write(batches(), schema, sink, dict)


ROWS, ARRAY, STATE = "rows", "array", "state"
"""What a row of the file holds: rows of the command's table, an array of the state, the state."""


def _pieces(result: Result, blocks: range) -> Iterator[tuple[str, Any]]:
    """Bytes of rows, of arrays and of the state, in this order."""
    assert result.fold is not None
    fold, source = result.fold
    schema, state = arrow_schema(result.schema), fold.start()
    steps = fold_range(fold, source, blocks, state)
    for columns in progress.track(steps, len(blocks)):
        if columns:
            yield ROWS, record_batch(schema, columns).serialize().to_pybytes()
    arrays: list[Any] = []
    kept = json.dumps(fold.dump(state, arrays))
    for array in arrays:
        yield ARRAY, array.tobytes()
    yield STATE, kept.encode()
