"""A model in several files: shards behind an index, parts with numbers, or the files of ranks.

The header of every file is read and checked; of the tensors, only those that are asked for. A few
files stay open, with their headers, so a model in a thousand shards needs no thousand open files.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unreadable, Unsupported
from birkhoff_cli.containers.kinds import check_regular, opener
from birkhoff_cli.containers.sidecars import is_file_name, read_json
from birkhoff_cli.containers.store import (
    DAMAGED,
    INCOMPLETE,
    MAX_NAME,
    Store,
    TensorInfo,
    escape,
    refusing,
    where,
)

MAX_INDEX = 32 << 20
"""Bytes of the index, some 100 per tensor."""

MAX_PARTS = 1000
MAX_OPEN = 64
"""Files that stay open; systems allow 256 and more."""

State = tuple[int, int, int]
"""Inode, size and time of a file, by which one that was replaced is noticed."""


class Parts(Store):
    """Files whose headers have been checked.

    Attributes:
        homes: the files that hold a tensor, relative to ``folder``, by its name: more than one
            where there are copies.
        way_out: what is said of copies that differ.
        folder: where the files are.
    """

    folder: Path
    homes: Mapping[str, tuple[str, ...]]
    way_out = "so these ranks hold pieces and no copies; merge them first"
    _states: dict[str, State]
    _open: dict[str, Store]

    def _values(self, name: str) -> NDArray[Any]:
        first, *others = self.homes[name]
        tensor = self._of(first, name)
        for other in others:
            if not np.array_equal(tensor, self._of(other, name), equal_nan=True):
                raise BadInput(
                    f"{where(self.path)}: '{escape(name)}' differs between {escape(first)} and "
                    f"{escape(other)}, {self.way_out}"
                )
        return tensor

    def spans(self, name: str) -> Iterable[tuple[Path, int, int]]:
        """Those in the files that hold it."""
        return [span for home in self.homes[name] for span in self._part(home).spans(name)]

    def _of(self, home: str, name: str) -> NDArray[Any]:
        part = self._part(home)
        values = part.read(name)
        self._take(home, part)
        return values

    def _part(self, home: str) -> Store:
        """The file, open; the one that was opened first is closed where there are many."""
        path = self.folder / home
        if (part := self._open.get(home)) is None:
            if len(self._open) == MAX_OPEN:
                self._open.pop(next(iter(self._open))).close()
            part = self._open[home] = opener(path)(path)
            state = self._states.setdefault(home, _state_of(places.status_of(part.file)))
        else:
            state = self._states[home]
        if state != _state_of(path.stat()):
            raise Unreadable(f"{where(path)}: changed while it was read; read it again")
        return part

    def _take(self, home: str, part: Store) -> None:
        """Count what was read of a file as read of the whole."""
        for name, (sha256, count) in part._read.items():
            self._note(f"{home}/{name}", sha256, count)

    def close(self) -> None:
        """Close the files that are open."""
        for part in self._open.values():
            part.close()
        self._open.clear()
        super().close()


def open_index(index: Path) -> Parts:
    """Read an index and the header of every file that it lists.

    Raises:
        BadInput: an index that is no JSON or names what is no file beside it, or a file that is
            missing, damaged, or lacks a tensor that it should have.
        Unsupported: an index or a header too large to be that of one model.
    """
    with refusing(index.parent):
        weights, sha256, size = read_json(index, MAX_INDEX)
        homes = _homes(index, weights.get("weight_map"))
        store = open_parts(index.parent, sorted(set(homes.values())), index)
        store._note(index.name, sha256, size)
        store.size += size
        alone = {home: (home,) for home in set(homes.values())}
        listed: dict[str, tuple[str, ...]]
        listed = {name: alone[home] for name, home in homes.items()}
        if not listed.items() <= store.homes.items():  # one in several files may be in its own
            _refuse_lacking(store, homes)
            listed = {
                name: (home, *(other for other in store.homes[name] if other != home))
                for name, home in homes.items()
            }
        store.notes += _left_out(index, weights, store, homes)
        store.homes = listed
        store.way_out = "so these are files of two models; remove those that the index is not of"
        store.tensors = {name: store.tensors[name] for name in homes}
        return store


def _left_out(
    index: Path, contents: Mapping[str, Any], store: Parts, homes: Mapping[str, str]
) -> list[str]:
    """What an index leaves out of the files that it lists, and what it counts more than they have.

    Args:
        index: its path.
        contents: what it says.
        store: of all tensors in the files that it lists.
        homes: of the tensors that it lists.
    """
    notes = []
    if others := [name for name in store.tensors if name not in homes]:
        notes.append(
            f"{escape(index.name)} lists the whole model, though its files hold {len(others):,} "
            f"more tensors ('{escape(others[0], 60)}'), which are not read"
        )
    metadata = contents.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    counts = Counter(map(id, store.tensors.values()))  # thousands share a shape
    alike = {id(info): info for info in store.tensors.values()}
    size = sum(count * alike[key].nbytes for key, count in counts.items())
    if type(total) is int and total > size:
        notes.append(
            f"{escape(index.name)} lists the whole model, though it says that it has {total:,} "
            f"bytes and its files have {size:,}"
        )
    return notes


def _refuse_lacking(store: Parts, homes: Mapping[str, str]) -> None:
    """Hold that every file has the tensors that the index says it has.

    Raises:
        BadInput: naming one that lacks one.
    """
    lacking = next((n for n in homes if homes[n] not in store.homes.get(n, ())), None)
    if lacking is not None:
        store.close()
        raise BadInput(
            f"{where(store.folder / homes[lacking])}: lacks the tensor '{escape(lacking)}', "
            f"which the index says it holds; {INCOMPLETE}"
        )


def open_numbered(path: Path, match: re.Match[str]) -> Parts:
    """All parts of the model of which a file is one, by the number in its name.

    Args:
        path: of any part.
        match: of its name: ``stem``, ``parts`` and ``suffix``.

    Raises:
        BadInput: a part is missing, or what `open_parts` raises.
    """
    count = int(match["parts"])
    begin, end = match["stem"], f"-of-{match['parts']}{match['suffix']}"
    names = [f"{begin}-{k:05}{end}" for k in range(1, min(count, MAX_PARTS) + 1)]
    if missing := [name for name in names if not places.is_there(path.with_name(name))]:
        raise BadInput(
            f"{where(path.parent)}: holds parts of a model in {count}, and {escape(missing[0])} is "
            f"missing; {INCOMPLETE}"
        )
    return open_parts(path.parent, names)


def open_parts(folder: Path, names: Iterable[str], first: Path | None = None) -> Parts:
    """Check the header of every file, and list the tensors of all of them.

    Args:
        folder: where the files are.
        names: of the files, relative to the folder, in order.
        first: a file that is kept open while the others come and go.

    Raises:
        BadInput: a file that is missing, damaged or of another kind than the first.
    """
    names = list(names)
    places.fetch_heads(folder / name for name in names)
    with refusing(folder):
        check_regular(first or folder / names[0])
        store = Parts(folder, (first or folder / names[0]).open("rb"), 0)
        store.folder, store._states, store._open = folder, {}, {}
        homes: dict[str, tuple[str, ...]] = {}
        tensors: dict[str, TensorInfo] = {}
        try:
            for home in names:
                _add(store, home, homes, tensors)
        except BaseException:
            store.close()
            raise
        store.homes, store.tensors = homes, tensors
        return store


def _add(
    store: Parts, home: str, homes: dict[str, tuple[str, ...]], tensors: dict[str, TensorInfo]
) -> None:
    """Take in the header of one file."""
    path = store.folder / home
    check_regular(path)
    part = store._part(home)
    if not tensors:
        store.container = part.container  # type: ignore[misc]
    elif part.container != store.container:
        raise BadInput(f"{where(path)}: is another kind of file than the parts before; {DAMAGED}")
    store.size += part.size
    store.config = {**part.config, **store.config}
    store.notes += [note for note in part.notes if note not in store.notes]
    if tensors.keys().isdisjoint(part.tensors):  # usual, and fast for 100,000 of them
        tensors.update(part.tensors)
        homes.update(dict.fromkeys(part.tensors, (home,)))
    else:
        for name, info in part.tensors.items():
            tensors.setdefault(name, info)
            homes[name] = (*homes.get(name, ()), home)
    store._take(home, part)


def _state_of(status: os.stat_result) -> State:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _homes(index: Path, weights: Any) -> dict[str, str]:
    """The file that holds each tensor, all of them plain names; nothing else is quoted."""
    if not isinstance(weights, dict) or not weights:
        raise BadInput(f"{where(index)}: has no weight_map that lists tensors; {DAMAGED}")
    if max(map(len, weights)) > MAX_NAME:
        raise BadInput(f"{where(index)}: has a tensor name too long to be one; {DAMAGED}")
    homes = weights.values()
    if {*map(type, homes)} != {str} or not all(map(is_file_name, set(homes))):
        raise BadInput(
            f"{where(index)}: names a shard that is no plain file name beside it; "
            f"do not use this checkpoint"
        )
    if (shards := len(set(homes))) > MAX_PARTS:
        raise Unsupported(
            f"{where(index)}: lists {shards} shards, this version reads {MAX_PARTS}; "
            f"save the mixing tensors alone"
        )
    return weights
