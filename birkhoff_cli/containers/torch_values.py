"""Tensors of a torch zip that is no checkpoint: one alone, a list, or a nested dictionary."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from birkhoff_cli.containers.descriptors import Descriptor
from birkhoff_cli.containers.names import View
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.containers.torch_zip import TorchZip, check_storages, open_archive, pickle_of

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
    file = path.open("rb")
    try:
        with refusing(path):
            return _open(path, file)
    except BaseException:
        file.close()
        raise


def _open(path: Path, file: BinaryIO) -> TorchZip:
    store = open_archive(path, file)
    root = Descriptor(pickle_of(store), path).load()
    store.views = dict(_views(root, ALONE, MAX_DEPTH, iter(range(MAX_TENSORS))))
    store.tensors = {name: view.info for name, view in store.views.items()}
    check_storages(store)
    return store


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
