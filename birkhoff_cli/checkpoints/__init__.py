"""Checkpoint formats: one file = one format, which `recognises` a store and can `read` it.

A format turns every matrix into our orientation, ``x_out = H @ x_in``, and says what it read,
what it took from a configuration, and what it had to assume. Tensors that look like those of a
site and have no part in mixing are its ``ASIDE``, a pattern, if it has such.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.text import escape

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection
    from birkhoff_cli.analyses.networks.language_model import LanguageModel
    from birkhoff_cli.containers import Store


@dataclass(frozen=True)
class Setting:
    """A number or word that the matrices depend on, and where it comes from."""

    name: str
    value: Any
    source: Literal["stored", "config", "default", "set"]


@dataclass(frozen=True)
class Checkpoint:
    """The learned mixing parameters of one model.

    Attributes:
        path: file or directory it was read from.
        format: name of the file in this folder that read it.
        method: name of the parameterization.
        map: the parameterization; None where the code never applies its matrices, and H = I.
        theta: ``(sites, p)`` float32, the input-independent parameters, in our orientation.
        sites: layer, branch and name, in the order in which the streams meet them.
        d: number of streams.
        layers: number of layers.
        width: length of one stream.
        settings: what was read or chosen.
        assumptions: sentences about what the file does not say.
        convention: how the source stores the matrix, and what was turned.
        dtypes: dtype in the file by kind of tensor and by its names in the file.
        inputs: name, size and sha256 of what was read.
        connect: reads all of every site: what follows the streams, too. It is called only if
            somebody asks for more than static matrices.
        model: reads the whole model, to run tokens; None where no forward pass is known here.
    """

    path: Path
    format: str
    method: str
    map: Parameterization | None
    theta: Array
    sites: tuple[Site, ...]
    d: int
    layers: int
    width: int
    settings: tuple[Setting, ...]
    convention: str
    assumptions: tuple[str, ...] = ()
    dtypes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    inputs: tuple[Mapping[str, Any], ...] = ()
    connect: "Callable[[Store], Iterator[Connection]] | None" = None
    model: "Callable[[Store], LanguageModel] | None" = None

    def trace(self) -> MixingTrace:
        """Static matrices ``(1, sites, d, d)``: the input-dependent term is zero."""
        if self.map is None:
            shape = (1, len(self.sites), self.d, self.d)
            matrices = np.broadcast_to(np.eye(self.d, dtype=np.float32), shape)
        else:
            matrices = self.map(self.theta[None])
        return in_memory(matrices, self.sites, escape(self.path), step=self.step, meta=self.meta)

    @property
    def step(self) -> int | None:
        """Training step at which it was saved, where the file says it."""
        found = (s.value for s in self.settings if s.name == "iter_num")
        return next(found, None)

    @property
    def meta(self) -> dict[str, Any]:
        """What a data file says about where its matrices come from."""
        return {
            "format": self.format,
            "method": self.method,
            "settings": {s.name: {"value": s.value, "source": s.source} for s in self.settings},
            "assumptions": list(self.assumptions),
            "convention": self.convention,
            "inputs": [dict(found) for found in self.inputs],
        }


def read(path: Path, settings: Mapping[str, str] | None = None) -> Checkpoint:
    """Read a checkpoint with the one format that recognises what is in it.

    Args:
        path: a file, or a directory that holds one checkpoint.
        settings: the words of ``--set NAME=VALUE``.

    Raises:
        BadInput: not a checkpoint of a known format, damaged, or contradictory.
        Unsupported: a known format with something in it that cannot be read.
        UsageError: a setting that the format does not have.
    """
    from birkhoff_cli.containers import open_store

    with open_store(Path(path)) as store:
        known = {name: discover.member(__name__, name) for name in discover.members(__name__)}
        found = [name for name, format in known.items() if format.recognises(store)]
        if len(found) != 1:
            raise BadInput(_unrecognised(store, found or list(known)))
        checkpoint: Checkpoint = known[found[0]].read(store, settings or {})
        return checkpoint


def _unrecognised(store: "Store", formats: list[str]) -> str:
    from birkhoff_cli.containers import escape, where

    names = ", ".join(f"'{escape(name, 40)}'" for name in list(store.tensors)[:3])
    held = f"{len(store.tensors)} tensors ({names})" if names else "no tensors"
    return (
        f"{where(store.path)}: holds {held}, not one known format ({', '.join(formats)}); "
        f"give its matrices as numpy.save, (samples, sites, d, d), writes them"
    )
