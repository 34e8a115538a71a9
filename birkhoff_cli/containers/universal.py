"""DeepSpeed's universal checkpoints: a folder ``zero`` with one folder for every parameter.

In each, ``fp32.pt`` is the parameter in float32, alone or under ``param``; what the optimizer keeps
of it lies beside it and is not read.
"""

from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.kinds import check_regular, first_entries
from birkhoff_cli.containers.store import (
    DAMAGED,
    INCOMPLETE,
    Store,
    TensorInfo,
    refusing,
    unreadable,
    where,
)
from birkhoff_cli.containers.torch_values import ALONE, open_values

FOLDER, WEIGHTS = "zero", "fp32.pt"
ENTRIES = (ALONE, "param")
"""Names of the parameter in its file."""

MAX_PARAMETERS = 20_000
LOOKED_AT = 10
"""Folders that are looked into to see what a folder is."""


class Universal(Store):
    """Files of one parameter each, whose descriptions have been checked."""

    container = "torch"

    homes: dict[str, tuple[Path, str]]

    def _values(self, name: str) -> NDArray[Any]:
        path, entry = self.homes[name]
        with open_values(path) as part:
            values = part.read(entry)
            for record, (sha256, count) in part._read.items():
                self._note(f"{name}/{WEIGHTS}/{record}", sha256, count)
        return values


def root_of(folder: Path) -> Path | None:
    """The folder of parameters: the given one, or ``zero`` in it; None if it is neither."""
    for root in (folder / FOLDER, folder):
        try:
            entries = list(islice(root.iterdir(), LOOKED_AT)) if root.is_dir() else []
        except OSError as error:
            raise unreadable(root, error) from error
        if any((entry / WEIGHTS).is_file() for entry in entries):
            return root
    return None


def open_universal(folder: Path, root: Path) -> Universal:
    """List the parameters below ``root``; of each the description is read.

    Raises:
        BadInput: a file that is damaged or holds no tensor.
        Unsupported: more parameters than any model here has.
    """
    with refusing(folder):
        entries = sorted(root.iterdir())
        names = [entry.name for entry in entries if (entry / WEIGHTS).exists()]
        known = {*names}
        for entry in entries:
            if entry.name not in known and entry.is_dir() and first_entries(entry, 1):
                raise BadInput(f"{where(entry)}: has no {WEIGHTS}; {INCOMPLETE}")
    if len(names) > MAX_PARAMETERS:
        raise Unsupported(
            f"{where(root)}: holds {len(names):,} parameters, this version reads "
            f"{MAX_PARAMETERS:,}; save the mixing tensors alone"
        )
    check_regular(root / names[0] / WEIGHTS)
    store = Universal(folder, (root / names[0] / WEIGHTS).open("rb"), 0)
    store.homes, tensors = {}, {}
    try:
        for name in names:
            store.homes[name], tensors[name], size = _describe(root / name / WEIGHTS)
            store.size += size
    except BaseException:
        store.close()
        raise
    store.tensors = tensors
    return store


def _describe(path: Path) -> tuple[tuple[Path, str], TensorInfo, int]:
    """Where a parameter is, what it is, and the bytes of its file."""
    check_regular(path)
    with open_values(path) as part:
        for entry in ENTRIES:
            if entry in part.tensors:
                return (path, entry), part.tensors[entry], part.size
    raise BadInput(f"{where(path)}: holds no tensor, alone or under 'param'; {DAMAGED}")
