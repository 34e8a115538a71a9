"""The whole of several parts: read, held to be of one command, and merged in their order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birkhoff_cli import files, folding, members, outputs, provenance
from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.fold import Fold
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.table import arrow_schema
from birkhoff_cli.binding import bind
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import DAMAGED, refusing
from birkhoff_cli.content import Content, of_file
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.options import Text
from birkhoff_cli.parts import ARRAY, ROWS
from birkhoff_cli.pilot import Walk

if TYPE_CHECKING:
    import pyarrow as pa

    from birkhoff_cli.tables._format import Stored

MAX_PARTS = 1_000_000
"""Parts of one command, as many as ``--part`` takes."""


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

    def read(self, fold: Fold[Any, Any], schema: "pa.Schema") -> Walk:
        """Rows of the command's table in batches, and the state behind them.

        Raises:
            BadInput: damaged.
        """
        import pyarrow as pa

        arrays: list[Any] = []
        with refusing(self.path):
            for what, piece in _rows_of(self.stored):
                if what == ROWS:
                    batch = pa.ipc.read_record_batch(piece, schema)
                    batch.validate(full=True)
                    yield batch
                elif what == ARRAY:
                    arrays.append(piece)
                else:
                    return fold.load(json.loads(piece.to_pybytes()), arrays)
            raise ValueError("no state")


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

    check_regular(path)
    with refusing(path):
        content = of_file(path)
        format = tables.recognise(content.head())
        if format is None or format.name != "arrow":
            return None
        stored = format.read(content)
        stamp = metadata.load(stored.schema.metadata)
        facts = stamp.get(provenance.PART)
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
    result, invocation = _again(first, output)
    _check_last(ordered[-1], result)
    schema = arrow_schema(result.schema)
    result.walk = lambda fold, _: _walk(ordered, fold, schema)
    outputs.write(result, invocation)
    return result


def _again(part: Part, output: Path) -> tuple[Result, Invocation]:
    """The command of a part, of the same inputs, its table to be written.

    Raises:
        BadInput: its inputs have changed.
        CannotWrite: the table would take the place of one of them.
        Unsupported: it was made by other code.
    """
    name = str(part.stamp.get("schema"))
    texts = {key: _text(value) for key, value in part.facts["texts"].items()}
    if folding.code_digest(name, texts) != part.facts["code"]:
        raise Unsupported(
            f"{where(part.path)}: was made by other code than this birkhoff's, version "
            f"{part.stamp.get('version')}; merge with the one that made it"
        )
    binding, request = bind(members.module_of(name), texts)
    files.check(output, tuple(request.paths()))
    result = binding.prepare(request)()
    if provenance.digest_of(result.meta) != part.facts["inputs"] or result.fold is None:
        raise BadInput(f"{where(part.path)}: its inputs are others now; make the parts again")
    return result, Invocation(name, binding.module, request, output=output)


def _walk(ordered: Sequence[Part], fold: Fold[Any, Any], schema: "pa.Schema") -> Walk:
    """The rows of every part, and the state that is merged of theirs."""
    state = fold.start()
    for part in ordered:
        other = yield from part.read(fold, schema)
        with refusing(part.path):
            state = fold.merge(state, other)
    return state


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
            f"{where(ordered[0].path)}: part {missing[0]}/{every}{more} of its command is missing; "
            f"run --part {missing[0]}/{every} too"
        )
    start = 0
    for part in ordered:
        first, stop, _ = part.facts["blocks"]
        if first != start:
            raise BadInput(f"{where(part.path)}: does not follow the part before it; {DAMAGED}")
        start = stop


def _check_last(part: Part, result: Result) -> None:
    """Hold that the last part ends where the work does."""
    assert result.fold is not None  # see `_again`
    stop, every = part.facts["blocks"][1:]
    if not stop == every == result.fold[1].blocks:
        raise BadInput(f"{where(part.path)}: does not end where the work does; {DAMAGED}")
