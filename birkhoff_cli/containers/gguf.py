"""GGUF: keys with values, descriptions of tensors, then their bytes; often split into parts.

Only the descriptions are read, and those tensors that are asked for. Arrays of values, such as a
vocabulary, are passed over. Dimensions are listed in reverse: the first is the fastest.

Source: the GGUF specification of ggml, version 3.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers._gguf_header import Q8_BLOCK, Part, bytes_of, describe
from birkhoff_cli.containers.store import (
    DAMAGED,
    Store,
    TensorInfo,
    decode,
    escape,
    refusing,
    where,
)

MAGIC = b"GGUF"
MAX_PARTS = 1000
PART = re.compile(r"(?P<stem>.*)-(?P<part>[0-9]{5})-of-(?P<parts>[0-9]{5})\.gguf", re.DOTALL)


class Gguf(Store):
    """Parts whose descriptions have been checked; tensors are read on demand."""

    container = "gguf"

    parts: list[Part]
    homes: dict[str, Part]

    def spans(self, name: str) -> Iterable[tuple[Path, int, int]]:
        """Its bytes."""
        part, start = self.homes[name], self.homes[name].offsets[name]
        return [(part.path, start, start + bytes_of(self.tensors[name]))]

    def _values(self, name: str) -> NDArray[Any]:
        part, info = self.homes[name], self.tensors[name]
        data = part.read_tensor(name, bytes_of(info))
        self._note(f"tensor {name}", hashlib.sha256(data).digest(), len(data))
        if info.dtype == "q8_0":
            return _dequantise(data).reshape(info.shape)
        return decode(data, info.dtype).reshape(info.shape)

    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.file.close()


def open_file(path: Path) -> Gguf:
    """Read the descriptions of a file, or of all parts of the model that it is a part of.

    Raises:
        BadInput: damaged or hostile, a part is missing, or parts of several models.
        Unsupported: an older version, or big-endian numbers.
    """
    parts: list[Part] = []
    try:
        several = _parts(path)
        places.fetch_heads(several)
        for file in several:
            with refusing(file):
                part = Part(file, file.open("rb"))
                parts.append(part)
                describe(part, MAGIC)
        with refusing(path):
            return _join(path, parts)
    except BaseException:
        for part in parts:
            part.file.close()
        raise


def _parts(path: Path) -> list[Path]:
    """Every part of the model, in order."""
    match = PART.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match["parts"])
    if not 1 <= int(match["part"]) <= count <= MAX_PARTS:
        raise BadInput(f"{where(path)}: is no part of {count}; {DAMAGED}")
    names = [f"{match['stem']}-{k:05}-of-{match['parts']}.gguf" for k in range(1, count + 1)]
    parts = [path.with_name(name) for name in names]
    missing = [part for part in parts if not part.is_file()]
    if missing:
        raise BadInput(
            f"{where(missing[0])}: is missing ({len(missing)} of {count} parts are); download it "
            f"into the same directory"
        )
    return parts


def _join(path: Path, parts: list[Part]) -> Gguf:
    """One store of all parts; the first holds the keys of the model."""
    store = Gguf(path, parts[0].file, sum(part.size for part in parts))
    store.parts, store.homes, store.config = parts, {}, {"gguf": parts[0].keys}
    tensors: dict[str, TensorInfo] = {}
    for number, part in enumerate(parts):
        store._note(f"header {number}", part.header_sha256(), part.header)
        for name, info in part.tensors.items():
            if name in tensors:
                raise BadInput(f"{where(part.path)}: '{escape(name)}' is there twice; {DAMAGED}")
            tensors[name], store.homes[name] = info, part
    store.tensors = tensors
    _check_split(parts, len(tensors))
    return store


def _check_split(parts: list[Part], tensors: int) -> None:
    """Hold that parts are what they say themselves: which of how many, and of how many tensors.

    Raises:
        BadInput: naming the one that says another thing than its name or the other parts.
    """
    for number, part in enumerate(parts):
        count, own, total = (part.keys.get(f"split.{n}") for n in ("count", "no", "tensors.count"))
        if type(count) is not int or count < 2:  # a merged file keeps the key, as 0
            continue
        if count != len(parts) or (type(own) is int and own != number):
            claim = f"part {own + 1}" if type(own) is int else "one part"
            raise BadInput(
                f"{where(part.path)}: says that it is {claim} of {count}, and is read as part "
                f"{number + 1} of {len(parts)}; give all parts, each called by its number as "
                f"NAME-00001-of-{count:05}.gguf"
            )
        if type(total) is int and total != tensors:
            raise BadInput(
                f"{where(part.path)}: says that the model has {total:,} tensors, and its parts "
                f"have {tensors:,}; give the parts of one conversion"
            )


def _dequantise(data: bytes) -> NDArray[np.float32]:
    """Blocks of a float16 scale and 32 numbers of 8 bits."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("values", "i1", Q8_BLOCK)]))
    scale = blocks["scale"].astype(np.float32)[:, None]
    values: NDArray[np.float32] = scale * blocks["values"].astype(np.float32)
    return values.ravel()
