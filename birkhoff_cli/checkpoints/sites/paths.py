"""Sites in anybody's model, by the paths of their modules."""

import re
from collections.abc import Iterable, Sequence

from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.containers import escape

Path = tuple[str, ...]
"""Words of a module's name in its model."""


def ordered(paths: Sequence[Path]) -> list[Path]:
    """Siblings in a module tree: numbers as numbers, words as they first come."""
    ranks: dict[Path, int] = {}
    for path in paths:
        for k in range(len(path)):
            ranks.setdefault(path[: k + 1], len(ranks))

    def depth(path: Path) -> list[tuple[int, int]]:
        words = enumerate(path)
        return [(0, int(w)) if _number(w) else (1, ranks[path[: k + 1]]) for k, w in words]

    return sorted(paths, key=depth)


def named(paths: Sequence[Path]) -> Iterable[Site]:
    """Layer: the first number of a name where it is one list, else the how-manieth it is."""
    stems = [_stem(path) for path in paths]
    one = len({stem[:-1] for stem in stems}) == 1 and all(_number(s[-1]) for s in stems if s)
    order = {stem: k for k, stem in enumerate(dict.fromkeys(stems))}
    for path, stem in zip(paths, stems, strict=True):
        layer = int(stem[-1]) if one and stem else order[stem]
        branch = ".".join(path[len(stem) :]) or "site"
        yield Site(layer, escape(branch), escape(".".join(path) or "root", 200))


def _number(word: str) -> bool:
    return re.fullmatch("[0-9]{1,6}", word) is not None


def _stem(path: Path) -> Path:
    """The name up to its first number; the whole name if it has none."""
    at = next((k for k, word in enumerate(path) if _number(word)), len(path))
    return path[: at + 1]
