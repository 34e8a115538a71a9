"""The file of a recording: pass by pass in ``NAME.part.arrow``, and whole when it has ended.

The part is an Arrow stream whose batches are complete as soon as they are written: what ends the
process leaves all passes before.
"""

import contextlib
import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from birkhoff_cli import files, provenance, tables
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.table import Columns, arrow_schema, column, record_batch
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, site_columns, site_schema

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".part.arrow"


class Stamp(NamedTuple):
    """What is known of a pass: samples, training step (None: not known), whether it trained."""

    samples: int
    step: int | None
    training: bool


def part_of(path: Path) -> Path:
    """Where the recording of a file lies until it has ended."""
    return path.with_name(path.stem + SUFFIX)


def _schema(d: int, dtype: Any, meta: Mapping[str, Any], stepped: bool) -> "pa.Schema":
    step = (
        column("step", "int64", "training step that the pass belongs to"),
        column("training", "bool", "whether the pass was one of training"),
    )
    columns = (
        column("sample", "int64", "index of the token"),
        *(step if stepped else ()),
        *site_schema(),
        column("matrix", f"matrix<{np.dtype(dtype)}>[{d}]", "H row by row"),
    )
    return arrow_schema(columns, provenance.stamp("trace", meta, options={}))


def _columns(first: int, stamp: Stamp, block: Array, sites: Sequence[Site]) -> Columns:
    """The columns of a pass ``(samples, sites, d, d)``."""
    return {
        "sample": first + np.arange(len(block))[:, None],
        "step": stamp.step if stamp.step is not None else 0,
        "training": stamp.training,
        **site_columns(sites),
        "matrix": block,
    }


class Part:
    """The part of one recording."""

    def __init__(
        self, path: Path, sites: Sequence[Site], d: int, dtype: Any, meta: Mapping[str, Any]
    ) -> None:
        """Make the file; one that a killed recording left gets a number in its name."""
        import pyarrow as pa

        self.path, self._sites = part_of(path), sites
        facts = {"format": "recording", "assumptions": [], **meta}
        self._schema = _schema(d, dtype, facts, True)
        with files.writing(str(self.path)):
            _set_aside(self.path)
            self._file = self.path.open("xb")
            weakref.finalize(self, self._file.close)
            self._writer = pa.ipc.new_stream(self._file, self._schema)

    def add(self, first: int, stamp: Stamp, block: Array) -> None:
        """Write one pass; it is on the file when this returns."""
        with files.writing(str(self.path)):
            columns = _columns(first, stamp, block, self._sites)
            self._writer.write_batch(record_batch(self._schema, columns))
            self._file.flush()

    def remove(self) -> None:
        """What it held is in the file."""
        with contextlib.suppress(OSError):
            self._file.close()
            self.path.unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    stem = path.name.removesuffix(SUFFIX)
    if not path.exists():
        return
    number = 1
    while (other := path.with_name(f"{stem}.{number}{SUFFIX}")).exists():
        number += 1
    path.rename(other)


def write(trace: MixingTrace, stamps: Sequence[Stamp], path: Path) -> None:
    """The whole recording, in row groups, whole or not at all.

    It has columns of steps and of training where a step is known of every pass.
    """
    format = tables.by_suffix(path)
    stepped = bool(stamps) and all(stamp.step is not None for stamp in stamps)
    schema = _schema(trace.d, trace.dtype, trace.meta, stepped)
    with files.opened(path) as sink:
        batches = _batches(trace, stamps, schema)
        format.write(batches, schema, sink, lambda: {"birkhoff.summary": json.dumps({})})


def _batches(
    trace: MixingTrace, stamps: Sequence[Stamp], schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    first = 0
    for stamp in stamps:
        block = next(iter(trace.reader(stamp.samples, first)))
        yield record_batch(schema, _columns(first, stamp, block, trace.sites))
        first += stamp.samples
