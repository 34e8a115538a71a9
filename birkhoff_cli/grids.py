"""The grid of a sweep as it is typed: ``--sweep option=value,value`` and ``--part i/N``."""

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from birkhoff_cli import values
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.options import Option, Text, dashes
from birkhoff_cli.request import Request

MAX_CELLS = 1_000_000


def read_axes(texts: Sequence[str], request: Request) -> dict[str, list[str]]:
    """Texts by option, of every ``--sweep option=value,value``.

    Raises:
        UsageError: no such option, one twice, or a value that it cannot have.
    """
    options = {n: o for n, o in request.options.items() if not (o.positional or o.is_flag)}
    axes: dict[str, list[str]] = {}
    for text in texts:
        word, equals, rest = text.partition("=")
        name = word.strip().lower().replace("-", "_")
        if not equals or name not in options:
            known = map(_word, options)
            raise UsageError(f"--sweep {discover.unknown(text, known, 'options of this command')}")
        if name in axes:
            raise UsageError(f"--sweep {word} is there twice; say all its values in one")
        if name in request.typed:
            raise UsageError(f"{dashes(name)} has no effect, as --sweep varies it; leave it out")
        axes[name] = options[name].parts(rest)
        _check(options[name], axes[name])
    cells = prod(map(len, axes.values()))
    if cells > MAX_CELLS:
        raise UsageError(f"--sweep has {cells:,} cells; at most {MAX_CELLS:,} are possible")
    return axes


def _word(name: str) -> str:
    return name.replace("_", "-")


def _check(option: Option, texts: Sequence[str]) -> None:
    """Hold that an option can have these values."""
    for text in texts:
        value: Text = (text,) if values.many(option.annotation) else text
        replace(option, name=f"sweep {_word(option.name)}", positional=False).read(value)


def read_part(text: str | None) -> tuple[int, int]:
    """``i/N`` as two numbers; everything if not given.

    Raises:
        UsageError: not of that form, or i not from 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--part {text}: expected i/N with i from 1 to N, such as 2/8")
    return int(match[1]), int(match[2])
