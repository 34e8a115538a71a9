"""Sites in anybody's model, by the paths of their modules."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import escape, where

Path = tuple[str, ...]
"""Words of a module's name in its model."""

Modules = Mapping[Path, dict[str, str]]
"""Bare names of tensors by those in the code, by module."""


COPY = re.compile(
    r"(?:.*_)?(?:ema|shadow|swa|averaged?|teacher|student|target|draft|online|actor|critic)(?:_.*)?",
    re.IGNORECASE,
)
"""Words for one of several models in a file."""


def in_one_model(store: NamedStore, owners: Modules) -> dict[Path, dict[str, str]]:
    """Modules of one model: those that ``--set prefix=`` leaves, if it is given.

    The same modules below a word and beside it, or below two words of which one is that of a copy,
    are two models. Below two other words, as of the halves of a U-Net, they are one.

    Args:
        store: the checkpoint.
        owners: bare names of their tensors, by those in the code, by module.

    Raises:
        BadInput: two models; it names both and how to choose.
    """
    below: dict[str, set[Path]] = {}
    for path in owners:
        word = path[0] if len(path) > 1 and not _number(path[0]) else ""
        below.setdefault(word, set()).add(path[1:] if word else path)
    for word, inner in below.items():
        copies = [w for w, others in below.items() if w != word and others == inner]
        if word and inner <= owners.keys():
            outer = {path: own for path, own in owners.items() if path[0] != word}
            return _one_of(store, {"": outer, word: _under(owners, word)})
        if copies and any(COPY.fullmatch(w) for w in (word, *copies)):
            return _one_of(store, {w: _under(owners, w) for w in (word, *copies)})
    return dict(owners)


def _under(owners: Modules, word: str) -> dict[Path, dict[str, str]]:
    return {path: own for path, own in owners.items() if path[0] == word}


def _one_of(
    store: NamedStore, models: Mapping[str, dict[Path, dict[str, str]]]
) -> dict[Path, dict[str, str]]:
    """The one that was chosen, or the first of those that are the same."""
    first = next(iter(models))
    if first == "" and store.prefix == "":
        return models[first]
    tails = {
        word: {
            ".".join((*path[bool(word) :], tensor)): name
            for path, names in owners.items()
            for tensor, name in names.items()
        }
        for word, owners in models.items()
    }
    if store.are_copies(tails):
        return models[first]
    choices = " or ".join(f"--set prefix={escape(word, 40)}" for word in models)
    shown = " and one under ".join(f"'{escape(word, 40)}'" for word in models if word)
    raise BadInput(
        f"{where(store.path)}: holds {len(models)} models, one under {shown}"
        f"{' and one beside it' if first == '' else ''}; give {choices}"
    )


def ordered(paths: Sequence[Path]) -> list[Path]:
    """Siblings in a module tree: numbers as numbers, words as they first come."""
    ranks: dict[Path, int] = {}
    for path in paths:
        for k in range(len(path)):
            ranks.setdefault(path[: k + 1], len(ranks))

    def depth(path: Path) -> list[tuple[int, int]]:
        segments = enumerate(path)
        return [(0, int(w)) if _number(w) else (1, ranks[path[: k + 1]]) for k, w in segments]

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
