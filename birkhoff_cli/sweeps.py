"""A grid of runs of one command: every cell a file of its own, finished once and for all.

A cell is a pure task: the command's name and the texts of its options. It writes its table when it
is done, under a name made of them, of the bytes that it reads and of the code that reads them; a
sweep that was killed goes on where it was, and parts of it on several machines need nothing from
one another.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from birkhoff_cli import (
    cells,
    engines,
    files,
    folding,
    grids,
    members,
    outputs,
    places,
    process,
    provenance,
    values,
)
from birkhoff_cli.analyses.core import titles
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported, UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.binding import Binding, bind
from birkhoff_cli.files import STDOUT
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.options import Text, dashes
from birkhoff_cli.request import Request
from birkhoff_cli.temporaries import remove_stale_in

if TYPE_CHECKING:
    from concurrent.futures import Future

Cell = Mapping[str, str]
"""The texts of the options that vary, in the order of the axes."""

COLUMN_TYPES = {int: "int64", float: "float64"}


@dataclass(frozen=True)
class Sweep:
    """What varies, over what, and which part of it is done here.

    Attributes:
        command: name of the command.
        request: of every cell, but for what varies.
        axes: texts by option, the last one varying fastest.
        part: index, from 1, and number of parts.
        folder: where cells are kept.
    """

    command: str
    request: Request
    axes: Mapping[str, Sequence[str]]
    part: tuple[int, int]
    folder: Path

    @property
    def cells(self) -> list[tuple[int, Cell]]:
        """Number and texts of every cell of this part."""
        grid = product(*self.axes.values())
        every = enumerate(dict(zip(self.axes, values, strict=True)) for values in grid)
        index, parts = self.part
        return [(k, cell) for k, cell in every if k % parts == index - 1]

    def request_of(self, cell: Cell) -> Request:
        """The request of one cell."""
        many = {name for name in cell if values.many(self.request.options[name].annotation)}
        return self.request.typing(**{n: (t,) if n in many else t for n, t in cell.items()})

    def fixed(self, binding: Binding, grid: Request) -> Request:
        """The options that do not vary, with ``--sweep`` itself."""
        first = binding.narrow(self.request_of({axis: t[0] for axis, t in self.axes.items()}))
        options = {n: option for n, option in first.options.items() if n not in self.axes}
        whole = first.on({**options, "sweep": grid.options["sweep"]})
        return whole.typing(sweep=grid.typed["sweep"])

    def value(self, axis: str, text: str) -> Any:
        """A text of an axis as a value of its column."""
        option = self.request.options[axis]
        value = text if values.many(option.annotation) else option.read(text)
        return value if type(value) in COLUMN_TYPES else places.cut_secrets(text)


class Planned(NamedTuple):
    """A cell, the file in which it is kept once it is done, and what that depends on.

    Attributes:
        number: in the whole grid.
        cell: what varies.
        path: where it is kept.
        digests: of the code, and of what the run says of its inputs.
    """

    number: int
    cell: Cell
    path: Path
    digests: tuple[str, str]


def plan(command: str, request: Request, grid: Request, output: Path | None) -> Sweep:
    """What ``--sweep`` and ``--part`` ask for.

    Args:
        command: its name.
        request: its options.
        grid: those of the sweep.
        output: file of the whole table.

    Raises:
        UsageError: no file for the table, or a grid that cannot be.
    """
    if output is None or output == STDOUT:
        raise UsageError("a sweep keeps its cells beside its table; give -o and a file name")
    with files.writing(str(output)):
        folder = output.resolve().with_name(f"{output.name}.cells")
    return Sweep(
        command,
        request,
        grids.read_axes(grid["sweep"], request),
        grids.read_part(grid["part"]),
        folder,
    )


def run(sweep: Sweep, binding: Binding, engine: str | None) -> Result:
    """Finish every cell of this part, and give their tables one below the other.

    Args:
        sweep: the grid.
        binding: of its command.
        engine: how many processes, or where else cells run; see `engines.executor`.

    Raises:
        UsageError: a cell that no run can be, or tables that cannot stand below one another.
    """
    part = sweep.cells
    if not part:
        raise UsageError(f"--part {'/'.join(map(str, sweep.part))} has no cells; use fewer parts")
    planned, schemas = [], set()
    for number, cell in part:
        request = sweep.request_of(cell)
        result = binding.prepare(binding.narrow(request))()
        digests = (
            folding.code_digest(sweep.command, request.texts),
            provenance.digest_of(result.meta),
        )
        key = provenance.digest_of([sweep.command, request.texts, *digests])
        planned.append(Planned(number, cell, sweep.folder / f"{key[:32]}.parquet", digests))
        schemas.add(result.schema)
    if len(schemas) > 1:
        raise UsageError("the tables of this sweep have different columns; sweep something else")
    schema = schemas.pop()
    names = {
        axis: axis if axis not in {c.name for c in schema} else f"swept_{axis}"
        for axis in sweep.axes
    }
    results: list[dict[str, Any]] = []
    missing = [cell for cell in planned if not os.path.lexists(cell.path)]
    return Result(
        schema=(
            column("cell", "int64", "number of the cell in the whole grid"),
            *(
                column(names[axis], _column_type(sweep, axis), f"value of {dashes(axis)}")
                for axis in sweep.axes
            ),
            *schema,
        ),
        steps=_steps(sweep, planned, names, _finish(sweep, missing, engine), results),
        summarise=lambda: {"cells": len(results), "results": results},
        total=len(missing),
        workers=lambda: engines.at_a_time(engine, len(missing)),
        meta={
            "sweep": {axis: [*map(places.cut_secrets, ts)] for axis, ts in sweep.axes.items()},
            "title": _title(sweep, binding),
        },
    )


def _title(sweep: Sweep, binding: Binding) -> str:
    """What the titles of the first and of the last cell of the grid share: all but what varies."""
    ends = [{axis: texts[k] for axis, texts in sweep.axes.items()} for k in (0, -1)]
    runs = [binding.prepare(binding.narrow(sweep.request_of(cell)))() for cell in ends]
    names = " and ".join(axis.replace("_", " ") for axis in sweep.axes)
    shared = titles.common([str(run.meta.get("title", "")) for run in runs])
    return ", ".join(filter(None, (f"{sweep.command} over {names}", shared)))


def _column_type(sweep: Sweep, axis: str) -> str:
    return COLUMN_TYPES.get(type(sweep.value(axis, sweep.axes[axis][0])), "string")


def _steps(
    sweep: Sweep,
    planned: Sequence[Planned],
    names: Mapping[str, str],
    finished: Iterator[None],
    results: list[dict[str, Any]],
) -> Iterator[Columns]:
    with files.writing(str(sweep.folder)):
        sweep.folder.mkdir(exist_ok=True)
    for _ in finished:
        yield {}
    for number, cell, path, _ in planned:
        table = cells.read(path)
        front = {"cell": number, **{names[a]: sweep.value(a, text) for a, text in cell.items()}}
        results.append({**front, **cells.numbers(provenance.summary(table, path))})
        yield from cells.rows(table, front)


def _finish(sweep: Sweep, missing: Sequence[Planned], engine: str | None) -> Iterator[None]:
    """Run cells until all are done; each is written when it is."""
    if not missing:
        return
    from concurrent.futures import BrokenExecutor, as_completed

    try:
        with engines.executor(engine, len(missing)) as pool:
            tasks = [
                pool.submit(
                    finish,
                    sweep.command,
                    sweep.request_of(each.cell).absolute(),
                    each.path,
                    each.digests,
                )
                for each in missing
            ]
            for task in as_completed(tasks):
                if task.exception() is not None:
                    _raise_first(tasks)
                yield
    except BrokenExecutor as error:
        raise TooLarge(
            "a process of the sweep was killed or could not be started, perhaps for want of "
            "memory; what is done is kept: run it again, with fewer processes, --engine 1"
        ) from error
    finally:
        with process.unstopped():  # what processes that were ended had begun
            remove_stale_in(sweep.folder, {each.path.name for each in missing})


def _raise_first(tasks: Sequence["Future[None]"]) -> None:
    """Raise the error of the first cell that failed; later ones may only follow from it.

    A process that found no memory for a module goes on with half of it, and with the next cell.
    """
    for task in tasks:
        if task.done():
            task.result()


def finish(name: str, texts: Mapping[str, Text], path: Path, digests: tuple[str, str]) -> None:
    """Run one cell and write its table, whole or not at all.

    Args:
        name: of the command.
        texts: of its options.
        path: the cell's file.
        digests: of the code, and of what the run says of its inputs, where the sweep was planned.

    Raises:
        BirkhoffError: what the command raises.
        Unsupported: the code here is another.
        BadInput: an input has changed since.
    """
    binding, request = bind(members.module_of(name), texts)
    code, facts = digests
    if folding.code_digest(name, texts) != code:
        raise Unsupported(
            "a worker of the sweep has other code than the one that planned it; "
            "install the same version on both"
        )
    result = binding.prepare(request)()
    if provenance.digest_of(result.meta) != facts:
        places.forget()  # a worker of dask is there for the next command, too
        raise BadInput("an input was changed while the sweep ran; run it again")
    own = {provenance.CELL: path.stem}
    invocation = Invocation(name, binding.module, request, path, format="parquet", facts=own)
    outputs.write(result, invocation)
