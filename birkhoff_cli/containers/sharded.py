"""A directory of safetensors as save_pretrained writes it: an index, shards, a configuration.

Every shard's header is read and checked; of the tensors, only those that are asked for.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.kinds import check_regular, kind
from birkhoff_cli.containers.plain import plain
from birkhoff_cli.containers.safetensors import MAX_NAME, Safetensors, open_safetensors
from birkhoff_cli.containers.sidecars import is_file_name, read_json
from birkhoff_cli.containers.store import DAMAGED, INCOMPLETE, Store, escape, refusing, where

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
CONFIG = "config.json"
MAX_INDEX = 32 << 20
"""Bytes of the index, some 100 per tensor."""

MAX_CONFIG = 4 << 20
MAX_SHARDS = 1000


class Sharded(Store):
    """Shards whose headers have been checked; each is opened again when one of its tensors is read.

    So a model in a thousand shards needs no thousand open files.
    """

    container = "safetensors"
    shards: dict[str, Safetensors]
    homes: Mapping[str, str]
    states: dict[str, tuple[int, int, int]]

    def _values(self, name: str) -> NDArray[Any]:
        home = self.homes[name]
        shard = self.shards[home]
        with shard.path.open("rb") as shard.file:
            if _state(shard) != self.states[home]:
                raise BadInput(f"{where(shard.path)}: changed while it was read; read it again")
            values = shard.read(name)
        self._take(home)
        return values

    def _add(self, home: str) -> None:
        """Check a shard's header, and close it again."""
        path = self.path / home
        check_regular(path)
        if kind(path) != "safetensors":
            raise BadInput(f"{where(path)}: is no safetensors file, as shards are; {DAMAGED}")
        with open_safetensors(path) as shard:
            self.shards[home], self.states[home] = shard, _state(shard)
        self.size += shard.size
        self._take(home)

    def _take(self, home: str) -> None:
        """Count what was read of a shard as read of the directory."""
        shard = self.shards[home]
        self.bytes_read += shard.bytes_read
        shard.bytes_read = 0
        self._parts.update({f"{home}/{part}": sha256 for part, sha256 in shard._parts.items()})


def _state(shard: Safetensors) -> tuple[int, int, int]:
    found = os.fstat(shard.file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns


def open_sharded(folder: Path) -> Sharded:
    """Read the index, the configuration and the header of every shard.

    Raises:
        BadInput: an index that is no JSON or names what is no file beside it, or a shard that is
            missing, damaged, or lacks a tensor that it should have.
        Unsupported: an index or a header too large to be that of one model.
    """
    with refusing(folder):
        return _open(folder)


def _open(folder: Path) -> Sharded:
    weights, sha256, size = read_json(folder / INDEX, MAX_INDEX)
    homes = _homes(folder / INDEX, weights.get("weight_map"))
    if os.path.lexists(folder / WHOLE) and WHOLE not in homes.values():
        raise BadInput(
            f"{where(folder)}: holds {WHOLE} and an index that does not list it; name the file, "
            f"or move one of them away"
        )
    store = _opened(folder, homes, folder / INDEX)
    store._note(INDEX, sha256, size)
    store.size += size
    _check_listed(store)
    store.tensors = {name: store.shards[homes[name]].tensors[name] for name in homes}
    return store


def open_single(path: Path) -> Sharded:
    """One file of a directory that also holds a configuration.

    Raises:
        BadInput: one of the two is damaged.
        Unsupported: one of the two is too large to be that of one model.
    """
    with refusing(path.parent):
        return _open_single(path)


def _open_single(path: Path) -> Sharded:
    store = _opened(path.parent, {}, path)
    store._add(path.name)
    shard = store.shards[path.name]
    store.tensors, store.homes = shard.tensors, dict.fromkeys(shard.tensors, path.name)
    store.config = {**shard.config, **store.config}
    return store


def _opened(folder: Path, homes: Mapping[str, str], first: Path) -> Sharded:
    with first.open("rb") as file:
        store = Sharded(folder, file, 0)
    store.shards, store.states, store.homes = {}, {}, homes
    for home in sorted(set(homes.values())):
        store._add(home)
    if os.path.lexists(folder / CONFIG):
        config, sha256, size = read_json(folder / CONFIG, MAX_CONFIG)
        store._note(CONFIG, sha256, size)
        store.size += size
        store.config = {CONFIG: plain(config)}
    return store


def _homes(index: Path, weights: Any) -> dict[str, str]:
    """The file that holds each tensor, all of them plain names; nothing else is quoted."""
    if not isinstance(weights, dict) or not weights:
        raise BadInput(f"{where(index)}: has no weight_map that lists tensors; {DAMAGED}")
    if any(len(name) > MAX_NAME for name in weights):
        raise BadInput(f"{where(index)}: has a tensor name too long to be one; {DAMAGED}")
    homes = weights.values()
    if not all(type(home) is str for home in homes) or not all(map(is_file_name, set(homes))):
        raise BadInput(
            f"{where(index)}: names a shard that is no plain file name beside it; "
            f"do not use this checkpoint"
        )
    if (shards := len(set(homes))) > MAX_SHARDS:
        raise Unsupported(
            f"{where(index)}: lists {shards} shards, this version reads {MAX_SHARDS}; "
            f"save the mixing tensors alone"
        )
    return weights


def _check_listed(store: Sharded) -> None:
    for name, home in store.homes.items():
        if name not in store.shards[home].tensors:
            raise BadInput(
                f"{where(store.path / home)}: lacks the tensor '{escape(name)}', which the index "
                f"says it holds; {INCOMPLETE}"
            )
