"""One array as ``numpy.save`` writes it; read block by block if its last axes are together.

Source: the .npy format, numpy.lib.format.
"""

import io
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.array_trace import array_sites, assuming, four_axes, real
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import where
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _arrays
from birkhoff_cli.tables._format import TableFormat
from birkhoff_cli.tables._incoming import Incoming, Sized

MAGIC = b"\x93NUMPY"
BEGINS = rb"\x93NUMPY"


class Npy(TableFormat):
    """An array of square matrices; no pickle is ever opened."""

    suffixes = (".npy",)

    def recognises(self, head: bytes) -> bool:
        """By the magic bytes."""
        return head.startswith(MAGIC)

    def incoming(self, label: Path, head: bytes) -> Incoming:
        """Of as many bytes as the header says."""
        file = io.BytesIO(head)
        with suppress(ValueError):  # a header that is longer than that, or none
            header = _arrays.parse_header(label, file)
            return Sized(label, file.tell() + prod(header.shape) * header.dtype.itemsize)
        return Incoming(label)

    def trace(self, content: Content, facts: dict[str, Any]) -> MixingTrace:
        """One sample, samples of one site, or samples of sites, by the number of axes."""
        label = content.label
        with content.open() as file:
            header = _arrays.read_header(label, file, content.size)
            if header.fortran:
                values = _arrays.read_values(content, file, header)
                return _arrays.array_trace(label, values, facts)
            start = file.tell()
        samples, *inner = four_axes(header.shape)

        def read(block: int, first: int) -> Iterator[Array]:
            with refusing(label), content.open() as file:
                file.seek(start + first * prod(inner) * header.dtype.itemsize)
                for k in range(first, samples, block):
                    shape = (min(block, samples - k), *inner)
                    data = _arrays.read_exactly(file, prod(shape) * header.dtype.itemsize)
                    yield real(np.frombuffer(data, header.dtype)).reshape(shape)

        return MixingTrace(
            d=inner[-1],
            samples=samples,
            sites=array_sites(inner[0], "file", where(label)),
            source=where(label),
            reader=read,
            dtype=real(np.empty(0, header.dtype)).dtype,
            meta=assuming(facts, header.shape),
        )
