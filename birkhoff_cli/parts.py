"""A part of a command's work in a file, and the whole of several parts.

`--part i/N` goes over the i-th of N stretches of blocks. Its file, an Arrow file whatever its name,
holds the rows of these blocks and the state of the fold after them, as data (`core.states`), with
what tells which command and which inputs they are of. The state that is merged of all parts is that
of the command itself, so that rows and summary are the same bytes.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birkhoff_cli import files, folding, members, outputs, progress, provenance, report
from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import arrow_schema, record_batch
from birkhoff_cli.binding import bind
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import DAMAGED, refusing
from birkhoff_cli.content import Content, of_file
from birkhoff_cli.files import STDOUT
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.options import Text
from birkhoff_cli.pilot import Walk

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.tables._format import Stored

KEY = "part"
"""Of the facts of a part in a file's metadata."""

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
    output, words = invocation.output, f"--part {part[0]}/{part[1]}"
    if output is None or output == STDOUT:
        raise UsageError(f"{words}: keeps its work in a file; give -o and a file name")
    for name in ("format", "plot", "table"):
        if getattr(invocation, name):
            raise UsageError(f"{words} and --{name}: say --{name} to birkhoff merge or plot")
    if engine not in (None, "1"):
        raise UsageError(f"{words} is done by one process; leave --engine {engine} out")
    files.check(output, tuple(invocation.request.paths()))
    result = run()
    if why := folding.why_whole(result, invocation.request):
        raise UsageError(f"{words} has nothing to divide here: {why}; leave it out")
    assert result.fold is not None  # see `folding.why_whole`
    every = result.fold[1].blocks
    first, stop = ((every * k) // part[1] for k in (part[0] - 1, part[0]))
    facts = _facts(result, invocation, part, range(first, stop))
    with files.opened(output) as sink:
        _write(sink, result, invocation, facts, range(first, stop))
    progress.end()
    summary = {"part": f"{part[0]}/{part[1]}", "blocks": stop - first, "blocks_in_all": every}
    report.show(summary, at_once((), {}, summary), _told(invocation))


def _told(invocation: Invocation) -> Invocation:
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
        command=[invocation.name, *request.words()],
        options=request.facts(),
        **{KEY: facts},
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


@dataclass(frozen=True)
class Part:
    """A file of a part, whose rows and state are read when they are asked for.

    Attributes:
        path: of the file.
        stamp: what it says about the command.
        facts: what it says about the part.
        stored: its contents.
    """

    path: Path
    stamp: Mapping[str, Any]
    facts: Mapping[str, Any]
    stored: "Stored"

    def read(self, fold: Fold[Any, Any], schema: "pa.Schema") -> "Iterator[pa.RecordBatch | Any]":
        """Rows of the command's table; the state as the last of them.

        Raises:
            BadInput: damaged.
        """
        import pyarrow as pa

        with refusing(self.path):
            arrays: list[Any] = []
            for what, piece in _rows_of(self.stored):
                if what == ROWS:
                    batch = pa.ipc.read_record_batch(piece, schema)
                    batch.validate(full=True)
                    yield batch
                elif what == ARRAY:
                    arrays.append(piece)
                else:
                    yield fold.load(json.loads(piece.to_pybytes()), arrays)


def _rows_of(stored: "Stored") -> "Iterator[tuple[str, pa.Buffer]]":
    for batch in stored.batches(["what", "data"], 1):
        for what, piece in zip(batch["what"], batch["data"], strict=True):
            yield what.as_py(), piece.as_buffer()


def open_part(path: Path) -> Part | None:
    """A part, or None if the file is another one.

    Raises:
        BadInput: damaged.
    """
    from birkhoff_cli import tables

    with refusing(path):
        content = of_file(path)
        format = tables.recognise(content.head())
        if format is None or format.name != "arrow":
            return None
        stored = format.read(content)
        stamp = metadata.load(stored.schema.metadata)
        facts = stamp.get(KEY)
        if not isinstance(facts, dict):
            return None
        _require_digest(content)
        _check_facts(facts)
        return Part(path, stamp, facts, stored)


def _require_digest(content: Content) -> None:
    """A part is what birkhoff wrote, and has a digest that says so."""
    if content.digest.own != "right":
        raise BadInput(f"{where(content.label)}: is not as birkhoff wrote it; {DAMAGED}")


def _check_facts(facts: dict[str, Any]) -> None:
    """Raises ValueError or KeyError where they are none."""
    numbers = [*facts["part"], *facts["blocks"]]
    if len(numbers) != 5 or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("numbers of a part")
    if type(facts["texts"]) is not dict or facts["part"][1] > MAX_PARTS:
        raise ValueError("a command")


MAX_PARTS = 1_000_000


def merge(parts: Sequence[Part], output: Path) -> Result:
    """Write what the command of the parts would have written, undivided.

    Returns:
        The command's result, whose summary is known.

    Raises:
        BadInput: parts of several commands or inputs, or not every part once.
        Unsupported: parts of another version.
    """
    first = parts[0]
    for part in parts[1:]:
        if why := _why_apart(part, first):
            raise BadInput(
                f"{where(part.path)}: {why} than {where(first.path)}; merge the parts of one run"
            )
    ordered = sorted(parts, key=lambda part: int(part.facts["part"][0]))
    _check_complete(ordered)
    name = str(first.stamp.get("schema"))
    texts = {key: _text(value) for key, value in first.facts["texts"].items()}
    if folding.code_digest(name, texts) != first.facts["code"]:
        raise Unsupported(
            f"{where(first.path)}: was made by other code than this birkhoff's, version "
            f"{first.stamp.get('version')}; merge with the one that made it"
        )
    binding, request = bind(members.module_of(name), texts)
    result = binding.prepare(request)()
    if provenance.digest_of(result.meta) != first.facts["inputs"] or result.fold is None:
        raise BadInput(f"{where(first.path)}: its inputs are others now; make the parts again")
    schema = arrow_schema(result.schema)

    def walk(fold: Fold[Any, Any], source: Blocks[Any]) -> Walk:
        del source
        state = fold.start()
        for part in ordered:
            last = None
            for piece in part.read(fold, schema):
                if last is not None:
                    yield last
                last = piece
            with refusing(part.path):
                state = fold.merge(state, last)
        return state

    result.walk = walk
    invocation = Invocation(name, binding.module, request, output=output)
    outputs.write(result, invocation)
    return result


def _text(value: Any) -> Text:
    return tuple(map(str, value)) if isinstance(value, list) else value


def _why_apart(part: Part, first: Part) -> str | None:
    """In what a part differs from another one, in which parts of one run do not."""
    apart = [
        ("is of another command", part.stamp.get("command") != first.stamp.get("command")),
        ("is of other settings", part.stamp.get("options") != first.stamp.get("options")),
        ("was made by other code", part.facts["code"] != first.facts["code"]),
        ("is of other inputs", part.facts["inputs"] != first.facts["inputs"]),
        ("is of another number of parts", part.facts["part"][1] != first.facts["part"][1]),
    ]
    return next((why for why, differs in apart if differs), None)


def _check_complete(ordered: Sequence[Part]) -> None:
    """Hold that every part is there once, and that their blocks follow one another."""
    every = ordered[0].facts["part"][1]
    numbers = [part.facts["part"][0] for part in ordered]
    for part, number in zip(ordered[1:], numbers, strict=False):
        if part.facts["part"][0] == number:
            raise BadInput(f"{where(part.path)}: is part {number}/{every} once more; give it once")
    if missing := sorted({*range(1, every + 1)} - {*numbers}):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(
            f"{where(ordered[0].path)} and the others: part {missing[0]}/{every}{more} is missing; "
            f"run --part {missing[0]}/{every} too"
        )
    start = 0
    for part in ordered:
        first, stop, _ = part.facts["blocks"]
        if first != start:
            raise BadInput(f"{where(part.path)}: does not follow the part before it; {DAMAGED}")
        start = stop
