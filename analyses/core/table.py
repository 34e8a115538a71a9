"""Tables that carry their own legend: every column has a unit and a sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Column(NamedTuple):
    """One column of a schema: its name, Arrow type, meaning and unit."""

    name: str
    dtype: str
    about: str
    unit: str = "1"
    nullable: bool = False


Schema: TypeAlias = tuple[Column, ...]
Columns: TypeAlias = Mapping[str, Any]
"""Arrays by column name that broadcast against one another; a row per element in C order."""


def column(name: str, dtype: str, about: str, *, unit: str = "1", nullable: bool = False) -> Column:
    """A column; ``dtype`` is an Arrow type name such as ``int32``, ``float64``, ``string``."""
    return Column(name, dtype, about, unit, nullable)


def arrow_schema(schema: Schema, metadata: dict[bytes, bytes] | None = None) -> "pa.Schema":
    """The Arrow schema, meaning and unit attached to every field."""
    import pyarrow as pa

    fields = [
        pa.field(
            c.name,
            _arrow_type(c.dtype),
            nullable=c.nullable,
            metadata={"about": c.about, "unit": c.unit},
        )
        for c in schema
    ]
    return pa.schema(fields, metadata=metadata)


def record_batch(schema: "pa.Schema", columns: Columns) -> "pa.RecordBatch":
    """A record batch of exactly ``schema``; array columns broadcast and flatten in C order.

    A ``matrix`` column takes an array with two more axes than the others, a ``vector`` one more; a
    ``list`` column takes an array of objects, each an array.
    """
    import pyarrow as pa

    if isinstance(columns, pa.RecordBatch):  # a table that is passed on
        return columns.cast(schema)
    flat = {n: np.asarray(columns[n]) for n in schema.names}
    depth = {n: _depth(schema.field(n).type) for n in schema.names}
    shape = np.broadcast_shapes(*(a.shape[: a.ndim - depth[n]] for n, a in flat.items()))
    arrays = [
        _nested(flat[n], schema.field(n).type)
        if depth[n]
        else _scalars(flat[n], shape, schema.field(n))
        for n in schema.names
    ]
    return pa.record_batch(arrays, schema=schema)


def _scalars(values: Any, shape: tuple[int, ...], field: "pa.Field") -> "pa.Array":
    """In a nullable column NaN is what is not defined.

    Words are encoded before they are repeated, which is ten times as fast.
    """
    import pyarrow as pa

    if pa.types.is_string(field.type) and values.shape != shape:
        rows = np.broadcast_to(np.arange(values.size).reshape(values.shape), shape)
        distinct = pa.array(values.ravel(), type=field.type, from_pandas=field.nullable)
        return distinct.take(pa.array(rows.ravel()))
    every = np.broadcast_to(values, shape).ravel()
    if not every.size:  # no values have no type of their own: an empty list is one of numbers
        return pa.array([], type=field.type)
    return pa.array(every, type=field.type, from_pandas=field.nullable)


def _nested(values: Any, dtype: "pa.DataType") -> "pa.Array":
    """Arrays over the last axes as fixed-size lists of fixed-size lists."""
    import pyarrow as pa

    if not _depth(dtype):
        return pa.array(np.ascontiguousarray(values).ravel(), type=dtype)
    return pa.FixedSizeListArray.from_arrays(_nested(values, dtype.value_type), dtype.list_size)


def _depth(dtype: "pa.DataType") -> int:
    import pyarrow as pa

    return 1 + _depth(dtype.value_type) if pa.types.is_fixed_size_list(dtype) else 0


def _arrow_type(dtype: str) -> "pa.DataType":
    """``float64`` and the like; ``vector<int32>[4]`` is a list of 4, ``list<int32>`` of any length.

    ``matrix<float64>[4]`` is the nested 4 x 4 list of a trace.
    """
    import pyarrow as pa

    word, _, rest = dtype.partition("<")
    if word == "list":
        return pa.list_(pa.type_for_alias(rest.removesuffix(">")))
    if word not in ("vector", "matrix"):
        return pa.type_for_alias(dtype)
    inner, _, size = rest.partition(">")
    d = int(size.strip("[]"))
    row = pa.list_(pa.type_for_alias(inner), d)
    return pa.list_(row, d) if word == "matrix" else row
