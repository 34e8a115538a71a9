"""Checkpoints in memory: tensors by name, and what stands beside them."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from birkhoff_cli.containers import open_store
from birkhoff_cli.containers.store import Store, TensorInfo

Arrays = dict[str, NDArray[Any]]


@dataclass
class MemoryStore(Store):
    """A store whose tensors are arrays."""

    arrays: Arrays = field(default_factory=dict)

    def _values(self, name: str) -> NDArray[Any]:
        return self.arrays[name].copy()


@dataclass(frozen=True)
class Model:
    """A checkpoint of which tensors can be renamed, changed and taken away.

    Attributes:
        arrays: tensors by their name in the file.
        config: whatever else the file holds or that stands beside it.
        container: kind of file.
        settings: what has to be said with ``--set``.
    """

    arrays: Mapping[str, NDArray[Any]]
    config: Mapping[str, Any] = field(default_factory=dict)
    container: str = "safetensors"
    settings: Mapping[str, str] = field(default_factory=dict)

    def store(
        self,
        change: Callable[[Arrays], Arrays] = lambda arrays: arrays,
        config: Mapping[str, Any] | None = None,
    ) -> MemoryStore:
        """It opened, with other tensors or with another configuration."""
        arrays = change(dict(self.arrays))
        store = MemoryStore(
            Path("model"),
            io.BytesIO(),
            0,
            {name: TensorInfo(a.shape, str(a.dtype)) for name, a in arrays.items()},
            self.config if config is None else config,
            arrays=arrays,
        )
        vars(store)["container"] = self.container  # a store of a file is of one kind
        return store


def model_of(path: Path, settings: Mapping[str, str] | None = None) -> Model:
    """The checkpoint at a path, every tensor of it in memory.

    Raises:
        BirkhoffError: it cannot be read.
    """
    with open_store(path) as store:
        arrays = {name: store.read(name) for name in store.tensors}
        return Model(arrays, store.config, store.container, settings or {})
