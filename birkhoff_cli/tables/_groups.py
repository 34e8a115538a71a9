"""Small batches gathered into row groups."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

GROUP_BYTES = 32 << 20
"""Size of a row group: large enough to compress well, small enough to stream."""


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in tables of one chunk and of about `GROUP_BYTES` each."""
    parts: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        parts.append(batch)
        size += batch.nbytes
        if size >= GROUP_BYTES:
            yield pa.Table.from_batches(parts, schema).combine_chunks()
            parts, size = [], 0
    if parts:
        yield pa.Table.from_batches(parts, schema).combine_chunks()
