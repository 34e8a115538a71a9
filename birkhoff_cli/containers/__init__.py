"""Containers: what is in a file, as data. Nothing in a file is ever executed."""

from pathlib import Path

from birkhoff_cli.containers.kinds import checkpoint_file, kind
from birkhoff_cli.containers.store import Store, TensorInfo, escape, where

__all__ = ["Store", "TensorInfo", "escape", "open_store", "where"]


def open_store(path: Path) -> Store:
    """Open a checkpoint by what its first bytes say it is, whatever its name is.

    One kind, one loader: a file that a loader refuses is never offered to another one.

    Args:
        path: a regular file, or a directory that holds exactly one checkpoint file.

    Raises:
        BadInput: no such file, no such kind of file, damaged, incomplete or hostile.
        Unsupported: a kind that is known and cannot be read.
    """
    path = checkpoint_file(Path(path))
    match kind(path):
        case "torch":
            from birkhoff_cli.containers.torch_zip import open_torch_zip

            return open_torch_zip(path)
        case "legacy torch":
            from birkhoff_cli.containers.torch_legacy import open_torch_legacy

            return open_torch_legacy(path)
        case _:
            from birkhoff_cli.containers.safetensors import open_safetensors

            return open_safetensors(path)
