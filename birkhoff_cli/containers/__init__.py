"""Containers: what is in a file, as data. Nothing in a file is ever executed.

A module with a ``MAGIC`` is one kind of file: ``open_file`` opens those that begin so. Models in
several files, and folders, are made of such.
"""

from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.containers.kinds import check_regular, is_folder
from birkhoff_cli.containers.store import Store, TensorInfo, escape, where

__all__ = ["Store", "TensorInfo", "escape", "open_store", "where"]


def open_store(path: Path) -> Store:
    """Open a checkpoint by what its first bytes say it is, whatever its name is.

    One kind, one loader: a file that a loader refuses is never offered to another one. The
    configuration that lies beside it is read with it.

    Args:
        path: a regular file, or a directory that holds exactly one checkpoint as its writer leaves
            it; or a model's directory in the cache of Hugging Face.

    Raises:
        BadInput: no such file, no such kind of file, damaged, incomplete or hostile.
        Unsupported: a kind that is known and cannot be read.
    """
    from birkhoff_cli.containers.beside import add_configuration

    typed_path = places.path_of(str(path))
    if is_folder(typed_path):
        from birkhoff_cli.containers.folders import open_folder

        store = open_folder(typed_path)
    else:
        from birkhoff_cli.containers.single import open_file

        check_regular(typed_path)
        store = open_file(typed_path)
    try:
        add_configuration(store, typed_path)
    except BaseException:
        store.close()
        raise
    return store
