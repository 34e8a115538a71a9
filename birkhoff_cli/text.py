"""Values made safe to show: text that no terminal acts upon, numbers that JSON can hold."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def escape(text: object) -> str:
    """One line that no terminal acts upon: control characters and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def either(words: Sequence[str]) -> str:
    """A choice as a sentence has it: ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def finite(value: Any) -> Any:
    """The same value with every NaN and infinity, at any depth, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def plain(value: Any) -> Any:
    """Numpy scalars as Python's."""
    return value.item() if hasattr(value, "item") else str(value)
