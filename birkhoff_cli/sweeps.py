"""A grid of runs of one command: every cell a file of its own, finished once and for all.

A cell is a pure task: the command's name and its words. It writes its table when it is done, under
a name made of all of them; a sweep that was killed goes on where it was, and shards of it on
several machines need nothing from one another.
"""

import hashlib
import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birkhoff_cli import files, members, outputs, provenance, tables
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.order import Order
from birkhoff_cli.signature import result

if TYPE_CHECKING:
    import pyarrow as pa

Words = dict[str, Any]
KINDS = {int: "int64", float: "float64", bool: "bool"}
MOST = 1_000_000
"""Cells of a grid."""


@dataclass(frozen=True)
class Sweep:
    """What varies, over what, and which part of it is done here.

    Attributes:
        command: name of the command.
        words: of every cell but what varies.
        axes: values by option, the last one varying fastest.
        shard: index, from 1, and number of shards.
        folder: where cells are kept.
    """

    command: str
    words: Words
    axes: Mapping[str, Sequence[Any]]
    shard: tuple[int, int]
    folder: Path

    @property
    def cells(self) -> list[tuple[int, Words]]:
        """Number and values of every cell of this shard."""
        grid = product(*self.axes.values())
        every = enumerate(dict(zip(self.axes, values, strict=True)) for values in grid)
        index, shards = self.shard
        return [(k, cell) for k, cell in every if k % shards == index - 1]

    def place(self, cell: Words) -> Path:
        """The file of a cell: another command, word or version has another file."""
        said = [self.command, provenance.program_version(), {**self.words, **cell}]
        text = json.dumps(said, sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.parquet"


def axes(words: Sequence[str], kinds: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Values by option, of every ``--sweep option=value,value``.

    Raises:
        UsageError: no such option, one twice, or a value that it cannot have.
    """
    found: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        name = name.replace("-", "_")
        if not equals or name not in kinds:
            raise UsageError(f"--sweep {discover.unknown(word, kinds, 'options of this command')}")
        if name in found:
            raise UsageError(f"--sweep {name} is there twice; say all its values in one")
        found[name] = [_value(name, text, kinds[name]) for text in values.split(",")]
    cells = 1
    for values_ in found.values():
        cells *= len(values_)
    if cells > MOST:
        raise UsageError(f"--sweep has {cells:,} cells; at most {MOST:,} are possible")
    return found


def _value(name: str, text: str, kind: Any) -> Any:
    """A word as the option takes it: lists and tuples are written 2x3."""
    if kind is list:
        return [text]
    try:
        return (
            kind(text)
            if kind in (int, float)
            else text.replace("x", ",")
            if kind is tuple
            else text
        )
    except ValueError:
        raise UsageError(f"--sweep {name}: '{text}' is not a number") from None


def shard(word: str | None) -> tuple[int, int]:
    """``i/N`` as two numbers; everything if not given.

    Raises:
        UsageError: not of that form, or i not from 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", word or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {word}: expected i/N with i from 1 to N, such as 2/8")
    return int(match[1]), int(match[2])


def run(sweep: Sweep, build: Callable[[Words], Result], engine: str | None) -> Result:
    """Finish every cell of this shard, and give their tables one below the other.

    Args:
        sweep: the grid.
        build: makes the run of a cell's values, without taking a step of it.
        engine: how many processes, or where else cells run; see `executor`.

    Raises:
        UsageError: a cell that no run can be, or tables that cannot stand below one another.
    """
    cells = sweep.cells
    if not cells:
        raise UsageError(
            f"--shard {'/'.join(map(str, sweep.shard))} has no cells; use fewer shards"
        )
    schemas = {build(cell).schema for _, cell in cells}
    if len(schemas) > 1:
        raise UsageError("the tables of this sweep have different columns; sweep something else")
    schema = schemas.pop()
    names = {
        axis: axis if axis not in {c.name for c in schema} else f"swept_{axis}"
        for axis in sweep.axes
    }
    results: list[dict[str, Any]] = []
    return Result(
        schema=(
            column("cell", "int64", "number of the cell in the whole grid"),
            *(column(names[a], _kind(v), f"value of --{a}") for a, v in sweep.axes.items()),
            *schema,
        ),
        steps=_steps(sweep, names, engine, results),
        summarise=lambda: {"cells": len(results), "results": results},
        total=len(cells),
        meta={"sweep": {axis: list(map(str, values)) for axis, values in sweep.axes.items()}},
    )


def _kind(values: Sequence[Any]) -> str:
    return KINDS.get(type(values[0]), "string")


def _steps(
    sweep: Sweep, names: Mapping[str, str], engine: str | None, results: list[dict[str, Any]]
) -> Iterator[Columns]:
    with files.writing(str(sweep.folder)):
        sweep.folder.mkdir(exist_ok=True)
    missing = [cell for _, cell in sweep.cells if not sweep.place(cell).exists()]
    yield from ({} for _ in range(len(sweep.cells) - len(missing)))
    for _ in _finish(sweep, missing, engine):
        yield {}
    for number, cell in sweep.cells:
        table = tables.read(path := sweep.place(cell))
        said = {"cell": number, **{names[axis]: _plain(value) for axis, value in cell.items()}}
        results.append({**said, **_numbers(provenance.summary(table, path))})
        yield from _rows(table, said)


def _plain(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _rows(table: "pa.Table", said: Words) -> Iterator[Any]:
    """A cell's rows as record batches, what was varied in front."""
    import pyarrow as pa

    for batch in table.combine_chunks().to_batches():
        front = [pa.array([value] * len(batch)) for value in said.values()]
        names = [*said, *batch.schema.names]
        yield pa.RecordBatch.from_arrays([*front, *batch.columns], names=names)


def _numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Headline numbers of a cell in one row; of rows for several methods, each with its place."""
    flat: dict[str, Any] = {}
    for key, value in summary.items():
        if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
            for k, row in enumerate(value):
                flat |= {f"{key}_{k}_{name}": entry for name, entry in row.items()}
        else:
            flat[key] = value
    return flat


def _finish(sweep: Sweep, missing: Sequence[Words], engine: str | None) -> Iterator[None]:
    """Run cells until all are done; each is written when it is."""
    if not missing:
        return
    with executor(engine, len(missing)) as pool:
        tasks = [
            pool.submit(finish, sweep.command, _absolute(sweep.words | cell), sweep.place(cell))
            for cell in missing
        ]
        for task in as_completed(tasks):
            task.result()
            yield


def _absolute(words: Words) -> Words:
    """Words that mean the same in another directory: a worker may be on another machine."""
    paths = [Path(p).resolve() for p in words.get("path") or ()]
    kind, equals, file = str(words.get("inputs") or "").partition("=")
    tokens = {"inputs": f"{kind}={Path(file).resolve()}"} if equals else {}
    return words | ({"path": paths} if paths else {}) | tokens


def finish(name: str, words: Words, place: Path) -> None:
    """Run one cell and write its table, whole or not at all.

    Raises:
        BirkhoffError: what the command raises.
    """
    module = members.module_of(name)
    order = Order(name, module, words, False, True, False, False, place, "parquet")
    outputs.write(result(module, words), order)


@contextmanager
def executor(engine: str | None, cells: int) -> Iterator[Executor]:
    """Where cells run: as many processes as there are processors, a number, or a dask scheduler.

    Raises:
        UsageError: an engine that is none of these.
        Unsupported: dask.distributed is not installed.
    """
    if engine is not None and engine.startswith("dask="):
        with _dask(engine.removeprefix("dask=")) as pool:
            yield pool
        return
    if engine is not None and not re.fullmatch("[1-9][0-9]{0,3}", engine):
        raise UsageError(f"--engine {engine}: expected a number of processes, or dask=ADDRESS")
    workers = min(int(engine or os.cpu_count() or 1), cells)
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the state of threads
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_quietly)
    try:
        yield pool
        pool.shutdown()
    except BaseException:  # an error of one cell, or a signal: what is done is kept
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _quietly() -> None:
    """A worker that is stopped says nothing: its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise Unsupported("--engine dask needs dask; pip install 'birkhoff-cli[dask]'") from error
    with Client(address) as client:
        yield client.get_executor()
