"""Values made safe to show: text that no terminal acts upon, numbers that JSON can hold."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def escape(text: object) -> str:
    """One line that no terminal acts upon: control characters and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def either(alternatives: Sequence[str]) -> str:
    """A choice as a sentence has it: ``a, b or c``."""
    *first, last = alternatives
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


def is_rows(value: Any) -> bool:
    """Whether a value is a list of rows, each with keys of its own."""
    return isinstance(value, list) and bool(value) and all(isinstance(r, Mapping) for r in value)


def word(value: Any) -> str:
    """A value as a person reads it; text from a file is made safe."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if is_rows(value):
        return f"{len(value)} rows"
    if isinstance(value, list | tuple):
        return ", ".join(map(word, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {word(v)}" for k, v in value.items())
    return escape(value)
