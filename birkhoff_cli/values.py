"""Text becomes a value, by the type it is for: one grammar for every option.

``1e6`` is a whole number, ``2x2`` and ``2,2`` are the same tuple, and the case of a choice does
not matter.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.text import escape

MAX_DIGITS = 30
"""Of a whole number: an exponent beyond it would fill memory with zeros."""


def read(annotation: Any, text: str, label: str) -> Any:
    """The value of one word.

    Args:
        annotation: a type, a Literal, a tuple of one type, or a union of one of these with None.
        text: as it was typed.
        label: what a message calls it, such as ``--iters``.

    Raises:
        UsageError: it is none of that type.
    """
    annotation = plain(annotation)
    if get_origin(annotation) is Literal:
        return choose(get_args(annotation), text, label)
    if get_origin(annotation) is tuple:
        parts = text.replace("x", ",").split(",") if text else []
        return tuple(
            _one(get_args(annotation)[0], part, label, "; say 2,2 or 2x2") for part in parts
        )
    return _one(annotation, text, label)


def text(value: Any) -> str:
    """A value of Python as it is typed: ``2x2`` for a tuple, ``name=value`` with commas for names.

    Numbers become the same numbers again.
    """
    if isinstance(value, Mapping):
        return ",".join(f"{name}={text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ("x" if isinstance(value, tuple) else ",").join(map(text, value))
    return str(value)


def _one(annotation: Any, text: str, label: str, hint: str = "") -> Any:
    try:
        return READERS.get(annotation, annotation)(text)
    except ValueError as error:
        raise UsageError(f"{label}: '{escape(text)}' is {error}{hint}") from None


def plain(annotation: Any) -> Any:
    """The type itself, of an optional one."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (k for k in get_args(annotation) if k is not types.NoneType)
    return annotation


def is_plain(annotation: Any) -> bool:
    """Whether a value of this type is read from text: a number, a word, a path, or several."""
    if get_origin(annotation) in (Union, types.UnionType):
        return sum(k is not types.NoneType for k in get_args(annotation)) == 1 and is_plain(
            plain(annotation)
        )
    if get_origin(annotation) in (list, tuple):
        return all(k is ... or is_plain(k) for k in get_args(annotation))
    return get_origin(annotation) is Literal or annotation in (int, float, bool, str, Path)


def many(annotation: Any) -> bool:
    """Whether an option of this type may be repeated: a list."""
    return get_origin(plain(annotation)) is list


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that a choice can be; none for all other types."""
    annotation = plain(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def metavar(annotation: Any) -> str:
    """What the help shows in place of a value."""
    annotation = plain(annotation)
    if get_origin(annotation) is tuple:
        return "x".join(2 * metavar(get_args(annotation)[0]))
    return METAVARS.get(
        get_args(annotation)[0] if get_origin(annotation) is list else annotation, "WORD"
    )


def choose(alternatives: Sequence[str], text: str, label: str) -> str:
    """One of several words; case does not matter.

    Raises:
        UsageError: it is none of them.
    """
    for word in alternatives:
        if word.casefold() == text.casefold():
            return word
    raise UsageError(f"{label} {unknown(escape(text), alternatives, 'values')}")


def _whole(text: str) -> int:
    """A whole number, also written ``1e6``."""
    if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
        return int(text)
    from decimal import Decimal, InvalidOperation  # of use to few commands

    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a whole number") from None
    if (
        not number.is_finite()
        or abs(number.adjusted()) > MAX_DIGITS
        or number != number.to_integral_value()
    ):
        raise ValueError("not a whole number")
    return int(number)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("not a number") from None


def path_of(text: str) -> Path:
    """The path that a word names: a local one, or that of a URL."""
    if "://" not in text:
        return Path(text)
    from birkhoff_cli import places  # of use to few commands

    return places.path_of(text)


def _truth(text: str) -> bool:
    word = text.casefold()
    if word not in (*YES, *NO):
        raise ValueError("neither yes nor no")
    return word in YES


YES, NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off")
READERS: Mapping[Any, Callable[[str], Any]] = {
    **{int: _whole, float: _real, bool: _truth},
    Path: path_of,
}
"""By type; any other type is called with the text."""

METAVARS = {int: "N", float: "X", Path: "PATH"}
