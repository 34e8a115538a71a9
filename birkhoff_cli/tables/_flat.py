"""Lists as one column per entry, ``matrix_0_1``, for formats that have no lists; and back.

Lists of any length are text there: their values with spaces between.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isqrt, prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ENTRY = re.compile(r"(\w+)_(0|[1-9][0-9]{0,3})_(0|[1-9][0-9]{0,3})", re.ASCII)
"""Name of a column that holds one entry of a matrix."""


def flatten(table: pa.Table) -> pa.Table:
    """Every fixed-size list, nested or not, as columns in the order of its entries."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        sizes = list_sizes(column.type)
        if not sizes:
            columns[name] = column
            continue
        entries = column.combine_chunks()
        for _ in sizes:
            entries = entries.flatten()
        for k, index in enumerate(np.ndindex(sizes)):
            name_of_entry = "_".join((name, *map(str, index)))
            columns[name_of_entry] = entries[k :: prod(sizes)] if len(entries) else entries
    return pa.table(list(columns.values()), names=list(columns))


def spelled(table: pa.Table) -> pa.Table:
    """Every list of any length as text, ``1 0 2 3``; numbers have all the digits they need."""
    import pyarrow.compute  # takes 0.1 s: a small trace is read without it

    for k, field in enumerate(table.schema):
        if list_depth(field.type) and not list_sizes(field.type):
            texts = table.column(k).cast(pa.list_(pa.string()))
            table = table.set_column(k, field.name, pyarrow.compute.binary_join(texts, " "))
    return table


def list_sizes(type_: pa.DataType) -> tuple[int, ...]:
    """Lengths of nested fixed-size lists, the outermost first."""
    if not pa.types.is_fixed_size_list(type_):
        return ()
    return (type_.list_size, *list_sizes(type_.value_type))


def list_depth(type_: pa.DataType) -> int:
    """How many lists of any length are nested."""
    return 1 + list_depth(type_.value_type) if _is_list(type_) else 0


def leaf(type_: pa.DataType) -> pa.DataType:
    """Type of the values in nested lists."""
    return leaf(type_.value_type) if _is_list(type_) else type_


def _is_list(type_: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_))


def matrix_of(name: str) -> str | None:
    """The matrix whose entry a column is, by its name; None if it is none."""
    match = ENTRY.fullmatch(name)
    return match[1] if match else None


def entries_of(matrix: str, names: Sequence[str]) -> list[str] | None:
    """Columns of a square matrix in the order of its entries; None if they are not all there."""
    own = [name for name in names if matrix_of(name) == matrix]
    d = isqrt(len(own))
    ordered = [f"{matrix}_{i}_{j}" for i in range(d) for j in range(d)]
    return ordered if sorted(own) == sorted(ordered) else None


def nest(
    parts: Iterable[pa.Table],
    names: Sequence[str],
    plain: Mapping[str, NDArray[Any]] | None = None,
) -> pa.Table:
    """Columns that are the entries of one square matrix as a column of matrices.

    It stands where the first entry stood. An empty cell of numbers is NaN.

    Args:
        parts: the columns of a table, some at a time.
        names: of all of them, in their order.
        plain: matrices whose entries are not in the parts: ``(rows, entries)``.
    """
    whole = {
        matrix: entries
        for matrix in dict.fromkeys(filter(None, map(matrix_of, names)))
        if (entries := entries_of(matrix, names))
    }
    inside = {entry: matrix for matrix, entries in whole.items() for entry in entries}
    columns: dict[str, Any] = {}
    read: dict[str, list[tuple[list[str], NDArray[Any]]]] = {matrix: [] for matrix in whole}
    for part in parts:  # what columns take beside their numbers is free before more are read
        own: dict[str, dict[str, NDArray[Any]]] = {}
        for name, column in zip(part.column_names, part.columns, strict=True):
            if matrix := inside.get(name):
                own.setdefault(matrix, {})[name] = _entries(column)
            else:
                columns[name] = column
        for matrix, numbers in own.items():
            read[matrix].append(([*numbers], np.stack([*numbers.values()], axis=1)))
        del part, own
    for matrix, pieces in read.items():
        values = (plain or {}).get(matrix)
        columns[matrix] = _matrices(_gather(pieces, whole[matrix]) if values is None else values)
    order = dict.fromkeys(inside.get(name, name) for name in names)
    return pa.table([columns[name] for name in order], names=list(order))


def _entries(column: pa.ChunkedArray) -> NDArray[Any]:
    """An entry of every matrix."""
    numbers = column.cast(pa.float64()) if pa.types.is_null(column.type) else column
    array: NDArray[Any] = numbers.to_numpy()
    return array


def _gather(pieces: list[tuple[list[str], NDArray[Any]]], entries: Sequence[str]) -> NDArray[Any]:
    """All entries in their order, of pieces that have some of them each, with their names."""
    values = np.concatenate([numbers for _, numbers in pieces], axis=1)
    names = [name for own, _ in pieces for name in own]
    pieces.clear()
    if names == entries:
        return values
    place = {name: k for k, name in enumerate(names)}
    return values[:, [place[entry] for entry in entries]]


def _matrices(values: NDArray[Any]) -> pa.Array:
    """Matrices of ``(rows, entries)``."""
    d = isqrt(values.shape[1])
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), d)
    return pa.FixedSizeListArray.from_arrays(rows, d)
