"""What lies beside a checkpoint and says how to read it: the configuration of the model."""

from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers.plain import plain
from birkhoff_cli.containers.store import Store, refusing

CONFIG, ADAPTER = "config.json", "adapter_config.json"
MAX_CONFIG = 4 << 20


def add_configuration(store: Store, typed_path: Path) -> None:
    """Read ``config.json`` beside the weights, else that of the folder above, into the store.

    Args:
        store: open, by ``typed_path`` itself or by what is in it.
        typed_path: the path of the checkpoint.

    Raises:
        BadInput: a folder was given, and the one in it is damaged.
    """
    folder = store.path if store.path.is_dir() else store.path.parent
    _add(store, folder, ADAPTER)
    if places.is_there(folder / CONFIG):
        try:
            _add(store, folder, CONFIG)
        except BadInput as error:
            if typed_path.is_dir():
                raise
            # nobody has said that it has to do with the file that was named
            store.notes.append(f"config.json beside the file is not read: {error}")
        else:
            store.path = folder if typed_path.is_dir() else store.path
    else:
        store.notes += filter(None, [places.beside(folder / CONFIG)])
        for above in _above(folder.absolute(), typed_path.absolute()):
            if _add_from_above(store, above):
                return


def _above(folder: Path, typed_path: Path) -> list[Path]:
    """The folder above the weights, and those between it and the folder that was given."""
    folders = [folder.parent]
    while (
        typed_path.is_dir() and folders[-1] != typed_path and folders[-1].is_relative_to(typed_path)
    ):
        folders.append(folders[-1].parent)
    return folders


def _add_from_above(store: Store, folder: Path) -> bool:
    """The configuration of a folder above, if it is that of a model; whether it was."""
    before = store.config
    try:
        _add(store, folder, CONFIG)
    except BadInput as error:
        store.notes.append(f"config.json of the folder above is not read: {error}")
    if store.config is not before:
        if {"model_type", "architectures", "text_config"} & store.config[CONFIG].keys():
            store.notes.append("config.json is that of the folder above")
            return True
        store.config = before
    return False


def _add(store: Store, folder: Path, name: str) -> None:
    """One file, if it is there, as data under its name."""
    path = folder / name
    if not places.is_there(path):
        return
    from birkhoff_cli.containers.sidecars import read_json  # few files have one beside them

    with refusing(path):
        config, sha256, size = read_json(path, MAX_CONFIG)
    store._note(name, sha256, size)
    store.size += size
    store.config = {**store.config, name: plain(config)}
