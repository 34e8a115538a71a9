"""Files of tokens: sequences from the start, one after another, or from random places.

What nanoGPT writes: token after token, little-endian, no header. Tokens have 16 bits. They have
32 where the vocabulary needs them, or where every second 16-bit number is zero. A ``.npy`` array
of whole numbers says itself what it holds; its rows are read one after another.
"""

import codecs
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import is_folder, is_regular
from birkhoff_cli.containers.store import refusing

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
    with refusing(path):
        tokens = _opened(path, vocabulary)
        if tokens.size < (needed := length if rng is not None else sequences * length):
            raise BadInput(
                f"{where(path)}: holds {tokens.size:,} tokens, and {needed:,} are needed for "
                f"{sequences:,} sequences of {length:,}; lower --sequences or --length"
            )
        starts = np.arange(sequences) * length
        if rng is not None:
            starts = rng.integers(tokens.size - length, size=sequences, endpoint=True)
        rows = np.stack([tokens[k : k + length] for k in starts])
    _check(path, rows, starts, vocabulary)
    facts = {
        "name": escape(places.label(path)),
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(rows.tobytes()).hexdigest(),
        "dtype": rows.dtype.name,
    }
    return rows.astype(np.int64), facts


def _opened(path: Path, vocabulary: int) -> Tokens:
    """All tokens of the file, one axis, mapped and not yet read."""
    if is_folder(path) or not is_regular(path):
        raise BadInput(f"{where(path)}: is no regular file; {IT}")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise BadInput(f"{where(path)}: is empty; {IT}")
    if head.startswith(NPY):
        return _npy(path)
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
    if places.is_remote(path):
        return np.frombuffer(path.read_bytes(), dtype)
    return np.memmap(path, dtype, mode="r")


def _npy(path: Path) -> Tokens:
    if places.is_remote(path):
        with path.open("rb") as file:
            ids = np.load(file, allow_pickle=False)
    else:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    if ids.dtype.kind not in "iu":
        raise BadInput(
            f"{where(path)}: has dtype {escape(ids.dtype, 40)}, and tokens are whole numbers; {IT}"
        )
    return np.asarray(ids).reshape(-1)


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
