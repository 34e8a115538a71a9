"""JSON files that lie beside a checkpoint: an index of its shards, a configuration."""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import DAMAGED, where

MAX_BRACKETS = 10_000
"""Of a whole file; each costs 20 times its text."""

MAX_DIGITS = 18
MAX_FILE_NAME = 255


def read_json(path: Path, limit: int) -> tuple[dict[str, Any], bytes, int]:
    """The object in a file, with the sha256 and the size of the file.

    No message quotes the file: it may be a link to one that is none of the reader's business.

    Raises:
        BadInput: no regular file, no UTF-8, no JSON, no object, a key twice, NaN or infinity.
        Unsupported: larger than ``limit`` bytes.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BadInput(f"{where(path)}: cannot be read ({error.strerror}); {DAMAGED}") from error
    if len(data) > limit:
        raise Unsupported(
            f"{where(path)}: is larger than {limit >> 20} MB, more than any model needs; "
            f"save the mixing tensors alone"
        )
    return _parse(path, data), hashlib.sha256(data).digest(), len(data)


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    if data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise BadInput(f"{where(path)}: has more lists than any model needs; {DAMAGED}")
    try:
        values = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_float,
        )
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{where(path)}: is no strict JSON (UTF-8, no key twice, no NaN); {DAMAGED}"
        ) from error
    if not isinstance(values, dict):
        raise BadInput(f"{where(path)}: is JSON, but no object; {DAMAGED}")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key twice")
    return values


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a long number")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def is_file_name(home: Any) -> bool:
    """Whether it is the name of a file beside the checkpoint, and no path on any system."""
    if not isinstance(home, str) or home in ("", ".") or ".." in home:
        return False
    try:
        encoded = os.fsencode(home)
    except UnicodeEncodeError:
        return False
    plain_name = not any(c in home for c in "/\\\0:")
    return plain_name and len(encoded) <= MAX_FILE_NAME and home == Path(home).name
