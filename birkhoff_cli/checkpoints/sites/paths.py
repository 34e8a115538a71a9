"""Sites in anybody's model, by the paths of their modules."""

import re
from collections.abc import Iterable, Iterator, Sequence

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


def gaps(paths: Iterable[Path], names: Iterable[str]) -> Iterator[str]:
    """Sentences about what sites do not tell: how many there are, and layers that have fewer.

    Args:
        paths: modules with a site.
        names: of all tensors of the model.
    """
    layers: dict[Path, dict[int, set[Path]]] = {}
    for path in paths:
        stem = _stem(path)
        if stem and _number(stem[-1]):
            numbers = layers.setdefault(stem[:-1], {})
            numbers.setdefault(int(stem[-1]), set()).add(path[len(stem) :])
    yield "every site is taken to be in the file; nothing in it says how many the model has"
    every = [tuple(name.split(".")) for name in names]
    for parent, numbers in layers.items():
        here = ".".join(parent) or "the model"
        most = {
            p[len(parent)] for p in every if p[: len(parent)] == parent and len(p) > len(parent)
        }
        last = max([*numbers, *(int(word) for word in most if _number(word))])
        if missing := [k for k in range(last + 1) if k not in numbers]:
            yield f"no site at {_some(missing)} of {escape(here)}, where others have one"
        full = set.union(*numbers.values())
        if fewer := [k for k, sites in numbers.items() if sites != full]:
            yield f"fewer sites at {_some(fewer)} of {escape(here)} than at others"


def _some(numbers: list[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:5]))
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown


def _number(word: str) -> bool:
    return re.fullmatch("[0-9]{1,6}", word) is not None


def _stem(path: Path) -> Path:
    """The name up to its first number; the whole name if it has none."""
    at = next((k for k, word in enumerate(path) if _number(word)), len(path))
    return path[: at + 1]
