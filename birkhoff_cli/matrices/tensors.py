"""Matrices as one tensor of a safetensors file, as a person saves them who has no model to save."""

from pathlib import Path

from birkhoff_cli.analyses.core.errors import BirkhoffError, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.checkpoints.sites.values import FLOATING
from birkhoff_cli.containers import escape, open_store, where
from birkhoff_cli.containers.kinds import kind
from birkhoff_cli.matrices.arrays import NAMES, in_order


def name_in(path: Path) -> str | None:
    """The one tensor of a file, or the one that has a name of matrices; None if there is none."""
    try:
        if kind(path) != "safetensors":
            return None
        with open_store(path) as store:
            found = list(store.tensors) if len(store.tensors) == 1 else []
            found = found or [name for name in NAMES if name in store.tensors]
            shape = store.tensors[found[0]].shape if len(found) == 1 else ()
            square = 2 <= len(shape) <= 4 and shape[-1] == shape[-2] and min(shape) > 0
            return found[0] if square else None
    except (BirkhoffError, OSError):  # whoever reads it as a checkpoint says what is wrong
        return None


def read(path: Path, name: str) -> MixingTrace:
    """One sample, samples of one site, or samples of sites, by the number of axes.

    Raises:
        BadInput: damaged, or not finite.
        Unsupported: of a dtype that has no numbers.
        TooLarge: more than fits in memory.
    """
    with open_store(path) as store:
        if (dtype := store.tensors[name].dtype) not in FLOATING:
            raise Unsupported(
                f"{where(path)}: {escape(name, 40)} has dtype {dtype}; convert it to float32"
            )
        require_memory(8 * store.tensors[name].nbytes, where(path))
        values = store.read(name)
        return in_order(path, values, {"format": "safetensors", "inputs": [store.digest()]})
