"""Rows of a table, one matrix each, become samples of sites in order of depth."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.array_trace import real, require_sites
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.tables._columns import decode

MAX_WORD = 1000
"""Bytes of the name of a branch."""

AGAIN = "every sample needs every site once; write the table again"


def trace(
    label: Path, table: pa.Table, facts: dict[str, Any]
) -> tuple[MixingTrace, NDArray[np.int64]]:
    """The trace of columns ``matrix`` and, where there, ``sample, site, layer, branch``.

    The second one are the numbers of the sites.

    Without ``site`` every row is a sample of one site; without ``sample`` there is one sample.

    Raises:
        BadInput: no rows, a null, matrices of several shapes, or a site without its sample.
    """
    refuse_empty(label, len(table))
    table.validate(full=True)
    values = real(matrices(label, table["matrix"].combine_chunks()))
    names = set(table.column_names)
    if "step" in names:
        refuse_steps(label, [table])
    if "site" not in names:
        _refuse_unnumbered(label, table)
    n = len(table)
    site = integers(label, table["site"], "site") if "site" in names else np.zeros(n, np.int64)
    alone = np.zeros(n, np.int64) if "site" in names else np.arange(n)
    sample = integers(label, table["sample"], "sample") if "sample" in names else alone
    order, shape = _grid(label, sample, site)
    positions = sites(label, table, order.reshape(shape))
    d = values.shape[-1]
    whole = in_memory(values[order].reshape(*shape, d, d), positions, where(label), meta=facts)
    return whole, site[order][: shape[1]]


def numbers_of(label: Path, first: pa.Table) -> NDArray[np.int64]:
    """Numbers of the sites of a sample, in its order."""
    if "site" not in first.column_names:
        return np.zeros(1, np.int64)
    return integers(label, first["site"], "site")


def refuse_empty(label: Path, count: int) -> None:
    """A trace has at least one matrix."""
    if not count:
        raise BadInput(f"{where(label)}: has no rows; give at least one matrix")


def refuse_steps(label: Path, parts: Iterable[pa.Table | pa.RecordBatch]) -> None:
    """A trace is of one model; `birkhoff trace` of a series has the matrices of several."""
    first = None
    for part in parts:
        step = integers(label, part["step"], "step")
        first = step[0] if first is None and len(step) else first
        if (step != first).any():
            raise BadInput(
                f"{where(label)}: holds several training steps, and here one is needed; "
                f"of a file say FILE#step={first}"
            )


def _refuse_unnumbered(label: Path, table: pa.Table) -> None:
    """Hold that rows without numbers of sites are of one: their places have no order."""
    for name in ("layer", "branch"):
        if name in table.column_names and len({*table[name].to_pylist()}) > 1:
            raise BadInput(
                f"{where(label)}: has several values of '{name}' and no column 'site'; number the "
                f"sites of each sample 0, 1 and on, in order of depth"
            )


def matrices(label: Path, array: pa.Array, d: int | None = None) -> NDArray[Any]:
    """Nested lists, fixed or not, as ``(n, d, d)``; of size ``d`` if it is given."""
    sizes = []
    for what in ("matrix", "row"):
        _refuse_nulls(label, array, what)
        sizes.append(_length(label, array, what))
        array = _items(array, sizes[-1])
    _refuse_nulls(label, array, "number")
    if sizes[0] != sizes[1] or not sizes[0]:
        raise BadInput(
            f"{where(label)}: its matrices are {sizes[0]} x {sizes[1]}; expected square ones"
        )
    if d not in (None, sizes[0]):
        raise _two_sizes(label, "matrix", d, sizes[0])
    return np.asarray(array).reshape(-1, *sizes)


def _length(label: Path, array: pa.Array, what: str) -> int:
    if pa.types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    lengths = np.unique(np.diff(np.asarray(array.offsets))).tolist()
    if len(lengths) != 1:
        raise _two_sizes(label, what, *lengths[:2])
    return int(lengths[0])


def _items(array: pa.Array, size: int) -> pa.Array:
    """The items of all lists, of one length; `flatten` would import pyarrow.compute."""
    fixed = pa.types.is_fixed_size_list(array.type)
    first = size * array.offset if fixed else array.offsets[0].as_py()
    return array.values.slice(first, size * len(array))


def _two_sizes(label: Path, what: str, one: object, other: object) -> BadInput:
    return BadInput(
        f"{where(label)}: holds a {what} of length {one} and one of {other}; "
        f"all matrices must be of one size"
    )


def _refuse_nulls(label: Path, array: Any, what: str) -> None:
    if array.null_count:
        raise BadInput(
            f"{where(label)}: a {what} is null, which is how text formats write NaN; "
            f"every number must be there and finite"
        )


def integers(label: Path, column: pa.Array | pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    """A column of whole numbers, none of them null."""
    _refuse_nulls(label, column, f"'{name}'")
    numbers = np.asarray(column)
    if numbers.dtype == np.uint64 and numbers.max(initial=0) > np.iinfo(np.int64).max:
        raise BadInput(
            f"{where(label)}: its column '{name}' holds {numbers.max():,}, which is no number of a "
            f"{name}; count them from 0"
        )
    return numbers.astype(np.int64, copy=False)


def _grid(
    label: Path, sample: NDArray[np.int64], site: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """The rows ordered by sample, then site, and how many there are of each."""
    shape = (len(np.unique(sample)), len(np.unique(site)))
    order = np.lexsort((site, sample))
    if shape[0] * shape[1] != len(sample):
        raise incomplete(label, len(sample), *shape)
    rows, sites = sample[order].reshape(shape), site[order].reshape(shape)
    if (rows != rows[:, :1]).any() or (sites != sites[:1]).any():
        raise BadInput(f"{where(label)}: a sample has a site twice or not at all; {AGAIN}")
    return order, shape


def texts_of(label: Path, column: pa.Array) -> pa.Array:
    """Text as text; polars writes categories, whose words pyarrow does not take by itself."""
    if _longest(column.dictionary if pa.types.is_dictionary(column.type) else column) > MAX_WORD:
        raise BadInput(
            f"{where(label)}: its column 'branch' has a word of over {MAX_WORD} bytes; "
            f"give the names of branches, such as attn and mlp"
        )
    if pa.types.is_dictionary(column.type):
        return decode(column, pa.string())
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def _longest(text: pa.Array) -> int:
    """Bytes of the longest word: many rows may share a long one, which would be copied for each."""
    if pa.types.is_string_view(text.type):  # pyarrow has no length of it; a view begins with its
        views = np.frombuffer(text.buffers()[1], np.int32).reshape(-1, 4)
        lengths = views[text.offset : text.offset + len(text), 0]
        return int(lengths.max(initial=0, where=np.asarray(text.is_valid())))
    offset_type = np.int64 if pa.types.is_large_string(text.type) else np.int32
    ends = np.frombuffer(text.buffers()[1] or b"", offset_type)[
        text.offset : text.offset + len(text) + 1
    ]
    return int(np.diff(ends).max(initial=0))


def incomplete(label: Path, count: int, samples: int, sites: int) -> BadInput:
    """A matrix is missing."""
    return BadInput(
        f"{where(label)}: {count} rows are not {samples} samples of {sites} sites; {AGAIN}"
    )


def sites(label: Path, table: pa.Table, order: NDArray[np.int64]) -> tuple[Site, ...]:
    """Layer and branch of every site, the same in every sample."""
    require_sites(order.shape[1], where(label))
    names = set(table.column_names)
    layer, branch = np.arange(order.shape[1]), np.full(order.shape[1], "file", dtype=object)
    if "layer" in names:
        layer = _alike(label, integers(label, table["layer"], "layer")[order], "layer")
    if "branch" in names:
        _refuse_nulls(label, table["branch"], "'branch'")
        branches = [
            word for part in table["branch"].chunks for word in texts_of(label, part).to_pylist()
        ]
        branch = _alike(label, np.asarray(branches, dtype=object)[order], "branch")
    return tuple(
        Site(int(at), escape(word, 40), f"site {k}")
        for k, (at, word) in enumerate(zip(layer, branch, strict=True))
    )


def _alike(label: Path, values: NDArray[Any], name: str) -> NDArray[Any]:
    if (values != values[:1]).any():
        raise BadInput(f"{where(label)}: a site has two values of '{name}'; {AGAIN}")
    first: NDArray[Any] = values[0]
    return first
