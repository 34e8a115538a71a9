"""Tensors of a torch zip that is no checkpoint: one alone, a list, or a nested dictionary."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from birkhoff_cli.containers.names import View
from birkhoff_cli.containers.torch_zip import TorchZip, open_listing

ALONE = ""
"""Name of a tensor that is not in anything."""

MAX_TENSORS, MAX_DEPTH = 10_000, 8
"""Bounds of what is listed: a pickle can describe a structure that unfolds without end."""


def open_values(path: Path) -> TorchZip:
    """An archive with every tensor in it, by keys and list indices joined with a dot.

    Raises:
        BadInput: damaged, incomplete or hostile.
        Unsupported: TorchScript.
    """
    return open_listing(path, lambda root: (dict(_list_views(root)), {}))


def _list_views(root: Any) -> Iterator[tuple[str, View]]:
    return _views(root, ALONE, MAX_DEPTH, iter(range(MAX_TENSORS)))


def _views(value: Any, name: str, depth: int, budget: Iterator[int]) -> Iterator[tuple[str, View]]:
    if isinstance(value, View):
        yield name, value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if depth and isinstance(value, dict):
        items = value.items()
    elif depth and type(value) in (list, tuple):
        items = enumerate(value)
    for (key, inner), _ in zip(items, budget, strict=False):
        yield from _views(inner, f"{name}.{key}" if name else str(key), depth - 1, budget)
