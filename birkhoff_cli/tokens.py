"""Files of tokens: sequences from the start, one after another, or from random places.

What nanoGPT writes: token after token, little-endian, no header. Tokens have 16 bits. They have
32 where the vocabulary needs them, or where every second 16-bit number is zero. A ``.npy`` array
of whole numbers says itself what it holds; its rows are read one after another.
"""

import codecs
import hashlib
import io
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unreadable
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import is_folder, is_regular
from birkhoff_cli.containers.store import INCOMPLETE, refusing

NPY = b"\x93NUMPY"
HEAD = 4096
IT = "give tokens as nanoGPT's .bin or as .npy"

Tokens = NDArray[Any]


def read(
    path: Path,
    sequences: int,
    length: int,
    vocabulary: int,
    rng: np.random.Generator | None = None,
) -> tuple[Tokens, dict[str, Any]]:
    """Tokens ``(sequences, length)`` int64; only their own bytes are read.

    Args:
        path: a regular file.
        sequences: how many.
        length: tokens in each.
        vocabulary: tokens that the model knows.
        rng: draws the places; None takes the first ones, one after another.

    Returns:
        The tokens, and the name, size and sha256 (of the bytes that were read) of the file.

    Raises:
        BadInput: missing, no regular file, no tokens, too few, or not of this vocabulary.
        TooLarge: more than fits in memory.
    """
    require_memory(8 * sequences * length, f"{sequences:,} sequences of {length:,} tokens")
    with refusing(path), _opened(path) as file:
        stored = _stored(path, file, vocabulary)
        if stored.count < (needed := length if rng is not None else sequences * length):
            raise BadInput(
                f"{where(path)}: holds {stored.count:,} tokens, and {needed:,} are needed for "
                f"{sequences:,} sequences of {length:,}; lower --sequences or --length"
            )
        starts = np.arange(sequences) * length
        if rng is not None:
            starts = rng.integers(stored.count - length, size=sequences, endpoint=True)
        rows = np.stack([_sequence(path, stored, int(k), length) for k in starts])
        size = places.status_of(file).st_size
    _check(path, rows, starts, vocabulary)
    facts = {
        "name": escape(places.label(path)),
        "size": size,
        "sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
        "dtype": rows.dtype.name,
    }
    return rows.astype(np.int64), facts


@dataclass(frozen=True)
class Stored:
    """Where a file has its tokens, one behind another.

    Attributes:
        file: it.
        dtype: of a token.
        first: byte at which they begin.
        count: how many.
    """

    file: BinaryIO
    dtype: np.dtype[Any]
    first: int
    count: int


def _opened(path: Path) -> BinaryIO:
    if is_folder(path) or not is_regular(path):
        raise BadInput(f"{where(path)}: is no regular file; {IT}")
    return path.open("rb")


def _stored(path: Path, file: BinaryIO, vocabulary: int) -> Stored:
    """What its beginning and its size say of the tokens."""
    size, head = places.status_of(file).st_size, file.read(HEAD)
    if not head:
        raise BadInput(f"{where(path)}: is empty; {IT}")
    if head.startswith(NPY):
        return _of_npy(path, file, size)
    if _is_text(head):
        raise BadInput(f"{where(path)}: is text, not tokens; encode it as the model was trained")
    wide = vocabulary > 1 << 16 or _is_wide(head, 2)
    if _is_wide(head, 4):
        raise BadInput(f"{where(path)}: looks like 64-bit numbers; save them as uint32, or as .npy")
    dtype = np.dtype("<u4" if wide else "<u2")
    if size % dtype.itemsize:
        raise BadInput(
            f"{where(path)}: has {size:,} bytes, no whole number of {dtype.name} tokens; {IT}"
        )
    return Stored(file, dtype, 0, size // dtype.itemsize)


def _of_npy(path: Path, file: BinaryIO, size: int) -> Stored:
    """What the header of an array says."""
    file.seek(0)
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    major, _ = np.lib.format.read_magic(file)
    if major not in header:
        raise ValueError(f"version {major}")
    shape, is_fortran, dtype = header[major](file)
    if dtype.hasobject:
        raise ValueError("objects")
    if dtype.kind not in "iu":
        raise BadInput(
            f"{where(path)}: has dtype {escape(dtype, 40)}, and tokens are whole numbers; {IT}"
        )
    first, count = file.tell(), prod(shape)
    if size != first + count * dtype.itemsize:
        what = "shorter" if size < first + count * dtype.itemsize else "longer"
        raise BadInput(f"{where(path)}: is {what} than its header says; {INCOMPLETE}")
    if not is_fortran or len(shape) < 2:
        return Stored(file, dtype, first, count)
    require_memory(2 * size, where(path))
    file.seek(0)
    rows = np.load(file, allow_pickle=False)  # of which columns lie one after another
    return Stored(io.BytesIO(rows.tobytes()), dtype, 0, count)


def _sequence(path: Path, stored: Stored, start: int, length: int) -> Tokens:
    """So many tokens from one of them on. A mapped file that is cut then would be a SIGBUS."""
    stored.file.seek(stored.first + start * stored.dtype.itemsize)
    data = stored.file.read(length * stored.dtype.itemsize)
    if len(data) < length * stored.dtype.itemsize:
        raise Unreadable(f"{where(path)}: was cut while it was read; {INCOMPLETE}")
    return np.frombuffer(data, stored.dtype)


def _is_text(head: bytes) -> bool:
    """Whether it could be read: UTF-8 without control characters, but line breaks and tabs."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and all(c.isprintable() or c.isspace() for c in text)


def _is_wide(head: bytes, size: int) -> bool:
    """Whether these are numbers of twice ``size`` bytes: every second half of one is zero."""
    pairs = np.frombuffer(head[: len(head) // (2 * size) * (2 * size)], f"<u{size}").reshape(-1, 2)
    return bool(pairs[:, 0].any()) and not pairs[:, 1].any()


def _check(path: Path, rows: Tokens, starts: Tokens, vocabulary: int) -> None:
    """Refuse tokens that the model has no embedding for."""
    beyond = np.argwhere((rows < 0) | (rows >= vocabulary))
    if len(beyond):
        row, column = (int(i) for i in beyond[0])
        raise BadInput(
            f"{where(path)}: token {rows[row, column]} at position {starts[row] + column} is "
            f"not in the vocabulary of {vocabulary:,}; encode the text as the model was trained"
        )
