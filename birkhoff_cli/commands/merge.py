"""Merge the parts of a command into one table: the one that the whole would have written.

A part is what `--part i/N -o FILE` wrote: part of the samples, or with --sweep part of the cells.
Rows and summary are those of the undivided command, byte for byte. All must be of one command, with
the same inputs; a part that is there twice, or not at all, is an error. What is read of the inputs
is their digest: they have to be where they were, as their names were typed.
"""

from itertools import chain
from math import prod
from pathlib import Path
from typing import Annotated, Any

from birkhoff_cli import files, grids, provenance, summaries
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.merging import Part, merge, open_part
from birkhoff_cli.tables import by_suffix, read

EXAMPLES = ("birkhoff merge part1.arrow part2.arrow -o whole.parquet",)

SCHEMA = ()


SUMMARY = (
    quantity("merged", "the file that was written"),
    quantity("rows", "its rows", range=AT_LEAST_0),
    *summaries.CELLS,
)


def run(
    tables: Annotated[list[Path], "The parts, of a format that keeps metadata."],
    *,
    output: Annotated[Path, "The whole."] = Path("whole.parquet"),
) -> Result:
    """Put samples or cells in order.

    Raises:
        BadInput: no parts, of different commands, or not every part once.
        CannotWrite: the whole cannot be written.
        UsageError: its name says no format.
    """
    format = by_suffix(output)
    if any(opened := [open_part(path) for path in tables]):
        return _of_samples(tables, opened, output)
    pieces, assumed = zip(*map(read, tables), strict=True)
    files.check(output, tuple(tables))
    for path, piece in zip(tables, pieces, strict=True):
        _check(path, piece, tables[0], pieces[0])
    numbers = zip(tables, pieces, strict=True)
    results = sorted((row for pair in numbers for row in _results(*pair)), key=lambda r: r["cell"])
    _check_cells(tables[0], pieces[0], [row["cell"] for row in results])
    with refusing(tables[0]):
        whole = _in_order(list(pieces))
        batches = [batch for row in results for batch in _cell(whole, row["cell"])]
    summary = {"cells": len(results), "results": results}
    with files.opened(output) as sink:
        format.write(batches, whole.schema, sink, lambda: provenance.footer(summary))
    summary = {"merged": str(output), "rows": len(whole), **summary}
    assumptions = tuple(dict.fromkeys(chain(*assumed)))
    return at_once(SCHEMA, {}, summary, assumptions=assumptions)


def _of_samples(paths: list[Path], opened: list[Part | None], output: Path) -> Result:
    """The result of a command whose samples were divided."""
    for path, part in zip(paths, opened, strict=True):
        if part is None:
            other = next(p for p, o in zip(paths, opened, strict=True) if o)
            raise BadInput(f"{where(path)}: is no part of a command, as {where(other)} is")
    files.check(output, tuple(paths))
    return merge([part for part in opened if part], output)


def answer(summary: Summary) -> str:
    """How much was merged, and where it is."""
    cells, rows = count(summary["cells"], "cell"), count(summary["rows"], "row")
    return f"{cells}, {rows} in {summary['merged']}."


def _results(path: Path, piece: Any) -> list[dict[str, Any]]:
    """The headline numbers of every cell of a part."""
    with refusing(path):
        results: list[dict[str, Any]] = provenance.summary(piece, path)["results"]
        if type(results) is not list or any(type(row["cell"]) is not int for row in results):
            raise ValueError("cells")
        return results


def _in_order(pieces: list[Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.concat_tables(pieces).cast(_as_written(pieces[0].schema))
    rows = pc.sort_indices(whole, [("cell", "ascending")])  # stable: a cell's rows stay in order
    return whole.take(rows)


def _cell(whole: Any, cell: int) -> list[Any]:
    import pyarrow.compute as pc

    rows = whole.filter(pc.equal(whole["cell"], cell))
    return list(rows.combine_chunks().to_batches())


def _as_written(schema: Any) -> Any:
    """Without what Parquet adds when a table is read."""
    import pyarrow as pa

    fields = []
    for field in schema:
        metadata = {
            k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"PARQUET:")
        }
        fields.append(field.with_metadata(metadata))
    return pa.schema(fields, provenance.stamp_of(schema))


def _check(path: Path, piece: Any, first_path: Path, first: Any) -> None:
    stamp = provenance.facts(piece, path)
    if "sweep" not in stamp["meta"]:
        raise BadInput(f"{where(path)}: is no table of a sweep; give what --sweep ... -o wrote")
    if piece.schema != first.schema or stamp != provenance.facts(first, first_path):
        raise BadInput(f"{where(path)}: is of another sweep than {where(first_path)}; merge one")


def _check_cells(path: Path, first: Any, cells: list[int]) -> None:
    with refusing(path):
        expected = prod(map(len, provenance.facts(first, path)["meta"]["sweep"].values()))
        if expected > grids.MAX_CELLS:
            raise ValueError("cells")
    twice = [k for k in set(cells) if cells.count(k) > 1] if len(set(cells)) < len(cells) else []
    missing = sorted(set(range(expected)) - set(cells))
    if twice or missing:
        what = f"cell {twice[0]} twice" if twice else f"no cell {missing[0]} of {expected}"
        raise BadInput(f"{where(path)} and the others: have {what}; give every part once")
