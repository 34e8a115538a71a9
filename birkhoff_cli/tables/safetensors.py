"""One tensor of a safetensors file, as people save matrices who have no model to save."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BirkhoffError, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import Store, escape, open_store, where
from birkhoff_cli.containers.kinds import kind
from birkhoff_cli.containers.safetensors import DTYPES
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _arrays
from birkhoff_cli.tables._format import TableFormat

BEGINS = rb".{8}\{"


class Safetensors(TableFormat):
    """Matrices under the only name, or one of those that matrices have; a model is none of these.

    Its own digest is noted, of the parts that were read.
    """

    suffixes = (".safetensors",)
    pipes = False

    def recognises(self, head: bytes) -> bool:
        """By the header that begins behind its length."""
        return head[8:9] == b"{"

    def may_hold_matrices(self, head: bytes, path: Path | None) -> bool:
        """Whether such a tensor is there; standard input cannot be opened as a store."""
        del head
        try:
            if path is None or kind(path) != self.name:
                return False
            with open_store(path) as store:
                return _name(store) is not None
        except (BirkhoffError, OSError):  # whoever reads it as a checkpoint says what is wrong
            return False

    def trace(self, content: Content, facts: dict[str, Any]) -> MixingTrace:
        """One sample, samples of one site, or samples of sites, by the number of axes.

        Raises:
            BadInput: damaged, or not finite.
            Unsupported: of a dtype that has no numbers.
            TooLarge: more than fits in memory.
        """
        from birkhoff_cli.checkpoints.sites.values import FLOATING

        label = content.label
        with open_store(label) as store:
            name = str(_name(store))
            if (dtype := store.tensors[name].dtype) not in FLOATING:
                raise Unsupported(
                    f"{where(label)}: {escape(name, 40)} has dtype {dtype}; convert it to float32"
                )
            require_memory(8 * store.tensors[name].nbytes, where(label))
            values = store.read(name)
            facts = facts | {"inputs": [store.digest()]}
            return _arrays.array_trace(label, values, facts, name, len(store.tensors))

    def write_arrays(
        self, arrays: Iterable[tuple[str, Array]], notes: Mapping[str, str], sink: BinaryIO
    ) -> None:
        """A header with the notes as metadata, then all arrays in their order."""
        header: dict[str, Any] = {"__metadata__": dict(notes)}
        parts, end = [], 0
        for name, values in arrays:
            data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
            span = [end, end + len(data)]
            shape = list(values.shape)
            header[name] = {"dtype": CODES[values.dtype.name], "shape": shape, "data_offsets": span}
            parts.append(data)
            end = span[1]
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % ALIGNED)
        sink.write(len(text).to_bytes(8, "little") + text)
        for data in parts:
            sink.write(data)


ALIGNED = 8
"""Bytes to a multiple of which a header is filled up."""

CODES = {name: code for code, name in DTYPES.items()}
"""A dtype as a header names it."""


def _name(store: Store) -> str | None:
    """The tensor that holds square matrices, by its name and shape."""
    name = _arrays.only_name(list(store.tensors))
    shape = store.tensors[name].shape if name is not None else ()
    square = 2 <= len(shape) <= 4 and shape[-1] == shape[-2] and min(shape) > 0
    return name if square else None
