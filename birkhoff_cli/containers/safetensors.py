"""safetensors: a JSON header, then the bytes of all tensors without a gap."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.store import (
    BITS,
    DAMAGED,
    INCOMPLETE,
    MAX_NAME,
    Store,
    TensorInfo,
    decode,
    escape,
    refusing,
    where,
)

MAX_HEADER = 8 << 20
"""Bytes of a header that is parsed: 60 000 tensors, or, if it is hostile, 250 MB of memory."""

MAX_BRACKETS = 1000
"""Of a small header; a large one has one in 8 bytes at most."""

KEYS = {"dtype", "shape", "data_offsets"}
MAX_NUMBER = 1 << 48
MAX_AXES = 64

DTYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "BOOL": "bool"},
    **{"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "C64": "complex64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"},
    **{"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
    **{"F6_E2M3": "float6_e2m3", "F6_E3M2": "float6_e3m2", "F4": "float4_e2m1"},
}


class Safetensors(Store):
    """A file whose header has been checked; tensors are read on demand."""

    container = "safetensors"

    offsets: dict[str, tuple[int, int]]

    def spans(self, name: str) -> Iterable[tuple[Path, int, int]]:
        """Its bytes."""
        return [(self.path, *self.offsets[name])]

    def _values(self, name: str) -> NDArray[Any]:
        start, stop = self.offsets[name]
        self.file.seek(start)
        data = self.file.read(stop - start)
        if len(data) < stop - start:
            raise BadInput(f"{where(self.path)}: ends inside '{escape(name)}'; {INCOMPLETE}")
        self._note(f"tensor {name}", hashlib.sha256(data).digest(), len(data))
        info = self.tensors[name]
        return decode(data, info.dtype).reshape(info.shape)


def open_file(path: Path) -> Safetensors:
    """Read and check the header; no tensor is read yet.

    Raises:
        BadInput: a header that is no JSON, names a tensor twice, or whose tensors overlap,
            leave holes, or do not fill the file.
        Unsupported: a header too large to be that of one model, or a dtype not known here.
    """
    file = path.open("rb")
    try:
        with refusing(path):
            return _open(path, file)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: BinaryIO) -> Safetensors:
    store = Safetensors(path, file, file.seek(0, 2))
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise Unsupported(
            f"{where(path)}: its header has {length >> 20} MB, this version reads "
            f"{MAX_HEADER >> 20} MB; save the mixing tensors alone"
        )
    data = file.read(length)
    store._note("header", hashlib.sha256(data).digest(), len(data))
    base = 8 + length
    entries = _entries(path, data, store)
    _add(store, entries, base)
    _check_spans(store, base)
    return store


Entry = tuple[str, str, Sequence[int], Sequence[int]]
"""Name, dtype, shape and offsets of a tensor, as the header has them."""


def _entries(path: Path, data: bytes, store: Store) -> Iterable[Entry]:
    """Every tensor of a header, and what else is in it as the store's ``config``.

    A sound header is held to all that is asked of one in bulk. One that is not is gone through
    again, tensor by tensor, for the sentence about what is wrong with it.
    """
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS + len(data) // 8:
        raise ValueError("more lists than tensors have")  # each costs 20 times its text
    text = data.decode("utf-8")
    header = json.loads(text, parse_constant=_refuse)
    if isinstance(header, dict) and (entries := _all_sound(header, data)) is not None:
        store.config = header.get("__metadata__", {})
        return entries
    header = _parse(path, text)
    store.config = _metadata(path, header.pop("__metadata__", {}))
    return ((name, *_described(path, name, entry)) for name, entry in header.items())


def _all_sound(header: dict[str, Any], data: bytes) -> list[Entry] | None:
    """Every tensor of a header that is as it should be; None if something is not, or may not be."""
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if type(notes := header.get("__metadata__", {})) is not dict:
        return None
    try:
        parts = [(e["dtype"], e["shape"], e["data_offsets"]) for e in tensors.values()]
    except (KeyError, TypeError, IndexError):
        return None
    dtypes, shapes, offsets = zip(*parts, strict=True) if parts else ((), (), ())
    if {*map(type, tensors.values())} - {dict} or {*map(len, tensors.values())} - {len(KEYS)}:
        return None
    if {*map(type, dtypes)} - {str} or {*map(type, (*shapes, *offsets))} - {list}:
        return None
    numbers = [*chain.from_iterable(shapes), *chain.from_iterable(offsets)]
    sound = (
        not {*map(type, numbers)} - {int}
        and 0 <= min(numbers, default=0) <= max(numbers, default=0) < MAX_NUMBER
        and not {*map(len, offsets)} - {2}
        and max(map(len, shapes), default=0) <= MAX_AXES
        and max(map(len, tensors), default=0) <= MAX_NAME
        and not {*map(type, notes.values())} - {str}
    )
    # a key that was there twice is there once now: where no text has an escape, quotes tell it
    texts = len(tensors) * (2 + len(KEYS)) + 2 * len(notes) + ("__metadata__" in header)
    once = b"\\" not in data and data.count(b'"') == 2 * texts
    return list(zip(tensors, dtypes, shapes, offsets, strict=True)) if sound and once else None


def _add(store: Safetensors, entries: Iterable[Entry], base: int) -> None:
    """Take in every tensor, whose shape, dtype and offsets agree."""
    path = store.path
    alike: dict[tuple[str, tuple[int, ...]], tuple[TensorInfo, int]] = {}
    store.tensors, store.offsets = {}, {}
    for name, dtype, axes, (start, stop) in entries:
        shape = tuple(axes)
        if (known := alike.get((dtype, shape))) is None:
            info = _info(path, name, dtype, shape)
            known = alike[dtype, shape] = info, info.size * BITS[info.dtype]
        info, bits = known
        if (stop - start) * 8 != bits:
            raise BadInput(
                f"{where(path)}: tensor '{escape(name)}' has a shape of {bits // 8} bytes but "
                f"other offsets; {DAMAGED}"
            )
        store.tensors[name], store.offsets[name] = info, (base + start, base + stop)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _parse(path: Path, text: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise BadInput(f"{where(path)}: its header names something twice; {DAMAGED}")
        return values

    header = json.loads(text, object_pairs_hook=unique, parse_constant=_refuse)
    if not isinstance(header, dict):
        raise ValueError("no object")
    return header


def _metadata(path: Path, stored: Any) -> dict[str, str]:
    if stored is None:  # as the library reads it
        return {}
    if isinstance(stored, dict) and all(isinstance(v, str) for v in stored.values()):
        return stored
    raise BadInput(f"{where(path)}: its __metadata__ is not text by name; {DAMAGED}")


def _described(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Dtype, shape and offsets of one tensor, as the header has them."""
    try:
        return _checked(name, entry)
    except ValueError as error:
        raise BadInput(f"{where(path)}: tensor '{escape(name)}' {error}; {DAMAGED}") from error


def _info(path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> TensorInfo:
    if dtype not in DTYPES:
        raise Unsupported(
            f"{where(path)}: tensor '{escape(name)}' has the unknown dtype '{escape(dtype, 20)}'; "
            f"convert it to float32"
        )
    return TensorInfo(shape, DTYPES[dtype])


def _checked(name: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    if len(name) > MAX_NAME or not isinstance(entry, dict):
        raise ValueError("is not described as safetensors does")
    if entry.keys() != KEYS or not isinstance(entry["dtype"], str):
        raise ValueError("needs dtype, shape and data_offsets")
    shape, offsets = _numbers(entry["shape"]), _numbers(entry["data_offsets"])
    if len(offsets) != 2:
        raise ValueError("has a shape or offsets that cannot be")
    return entry["dtype"], shape, offsets


def _numbers(values: Any) -> tuple[int, ...]:
    if type(values) is not list or len(values) > MAX_AXES:
        raise ValueError("has a shape or offsets that cannot be")
    for value in values:  # twice per tensor: a loop over two numbers is faster than any set
        if type(value) is not int or not 0 <= value < MAX_NUMBER:
            raise ValueError("has a shape or offsets that cannot be")
    return tuple(values)


def _check_spans(store: Safetensors, base: int) -> None:
    """Hold that the tensors fill the file: no hole, no overlap, nothing after them."""
    spans = [(base, base), *sorted(store.offsets.values())]
    if any(a[1] != b[0] for a, b in pairwise(spans)):
        raise BadInput(f"{where(store.path)}: its tensors overlap or leave holes; {DAMAGED}")
    end = spans[-1][1]
    if end > store.size:
        missing = end - store.size
        raise BadInput(f"{where(store.path)}: the last {missing} bytes are missing; {INCOMPLETE}")
    if end < store.size:
        raise BadInput(f"{where(store.path)}: has bytes after its last tensor; {DAMAGED}")
