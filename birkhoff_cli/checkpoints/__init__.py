"""Checkpoint formats: one file = one format, which claims tensors of a store and can read it.

A member has two functions and one constant. ``claims(store)`` gives the names of the mixing tensors
that the format explains, by names, shapes and what the file says about itself; no tensor is read
for it. ``read(store, settings)`` gives the `Checkpoint`. ``MARKS`` is a tuple of texts, written out
on one line: a format is not even imported if no tensor's name holds one of them. The format that
explains most tensors reads the file; if two explain equally many, none does.

A format turns every matrix into our orientation, ``x_out = H @ x_in``, and says what it read,
what it took from a configuration, and what it had to assume. Tensors that look like those of a
site and have no part in mixing are its ``ASIDE``, a pattern, if it has such. It may be held in any
container with names of modules; one of another kind is named in ``CONTAINERS``.

A folder is vocabulary that several formats share.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from birkhoff_cli import places
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.entry_points import Unusable
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.checkpoints._one import claims_of, read_with
from birkhoff_cli.steps import step_doubts, stored_doubts, stored_step
from birkhoff_cli.text import escape

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection
    from birkhoff_cli.analyses.networks.language_model import LanguageModel
    from birkhoff_cli.checkpoints.sites.names import NamedStore
    from birkhoff_cli.containers import Store

CONTAINERS = ("torch", "safetensors", "distributed")
"""Kinds of file whose tensors have the names of a model's modules."""

OWN, TENSORS = "own", "tensors"
"""The format that reads what ``--set tensors=`` names, and explains nothing by itself."""

ADAPTER = "adapter_config.json"
"""What PEFT writes beside weights that belong to another model."""

MAX_NAMES = 3
"""Names of tensors in a message."""

DIGITS = dict.fromkeys(map(ord, "0123456789"))
"""To take numbers out of a text."""


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
            somebody asks for more than static matrices, with the store that `opened` gives.
        ungated: why there is no H_pre and H_post in what ``connect`` reads; empty if there is.
        model: reads the whole model, to run tokens; None where no forward pass is known here.
        prefix: what ``--set prefix=`` said names begin with; None if it did not.
        wrappers: segments of names that compilers and trainers added.
        step: training step at which it was saved, where the file says it.
        typed_path: the path that was given to `read`.
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
    connect: "Callable[[NamedStore], Iterator[Connection]] | None" = None
    ungated: str = ""
    model: "Callable[[NamedStore], LanguageModel] | None" = None
    prefix: str | None = None
    wrappers: tuple[str, ...] = ()
    step: int | None = None
    typed_path: Path | None = None

    def trace(self) -> MixingTrace:
        """Static matrices ``(1, sites, d, d)``: the input-dependent term is zero."""
        if self.map is None:
            shape = (1, len(self.sites), self.d, self.d)
            matrices = np.broadcast_to(np.eye(self.d, dtype=np.float32), shape)
        else:
            matrices = self.map(self.theta[None])
        return in_memory(matrices, self.sites, escape(self.path), step=self.step, meta=self.meta)

    @contextmanager
    def opened(self) -> "Iterator[NamedStore]":
        """The file again, for ``connect`` and ``model``."""
        from birkhoff_cli.checkpoints.sites.names import NamedStore
        from birkhoff_cli.containers import open_store

        with open_store(self.typed_path or self.path) as store:
            store.expect(name for names in self.dtypes.values() for name in names)
            yield NamedStore(store, self.prefix)

    @property
    def meta(self) -> dict[str, Any]:
        """What a data file says about where its matrices come from."""
        return {
            "format": self.format,
            "method": self.method,
            "settings": {s.name: {"value": s.value, "source": s.source} for s in self.settings},
            "assumptions": list(self.assumptions),
            "convention": self.convention,
            "dtypes": sorted({d for names in self.dtypes.values() for d in names.values()}),
            "inputs": [dict(digest) for digest in self.inputs],
        }


def read(path: Path, settings: Mapping[str, str] | None = None) -> Checkpoint:
    """Read a checkpoint with the format that explains most of its mixing tensors.

    Args:
        path: a file, or a directory that holds one checkpoint.
        settings: the words of ``--set NAME=VALUE``.

    Raises:
        BadInput: not a checkpoint of a known format, damaged, or contradictory.
        Unsupported: a known format with something in it that cannot be read.
        UsageError: a setting that the format does not have.
    """
    from birkhoff_cli.containers import open_store

    typed_path = places.path_of(str(path))
    with open_store(typed_path) as store:
        checkpoint = interpret(store, settings or {})
    assumptions = (*checkpoint.assumptions, *step_doubts(typed_path, checkpoint.step))
    return replace(checkpoint, typed_path=typed_path, assumptions=assumptions)


def interpret(store: "Store", settings: Mapping[str, str]) -> Checkpoint:
    """What `read` does, of a store that is open."""
    from birkhoff_cli.checkpoints.sites.names import NamedStore

    named = NamedStore(store, settings.get("prefix"))
    format, left = (OWN, ()) if TENSORS in settings else _format_of(named)
    own = {name: word for name, word in settings.items() if name != "prefix"}
    checkpoint = read_with(format, named, own)
    return replace(
        checkpoint,
        assumptions=(
            *(*checkpoint.assumptions, *left, *_about_names(named)),
            *(*store.notes, *stored_doubts(store.config)),
        ),
        prefix=named.prefix,
        wrappers=named.wrappers,
        step=stored_step(store.config),
    )


def claiming(store: "NamedStore") -> dict[str, set[str]]:
    """Names of the mixing tensors that formats explain, by format; only those that explain any."""
    return _ask_formats(store)[0]


def _ask_formats(store: "NamedStore") -> tuple[dict[str, set[str]], list[Unusable]]:
    """What `claiming` returns, and why formats of other packages could not be asked."""
    claims: dict[str, set[str]] = {}
    failures = []
    for name in _possible(store):
        try:
            if tensors := claims_of(name, store):
                claims[name] = tensors
        except Unusable as error:  # no reason not to read a file that another format explains
            failures.append(error)
    return claims, failures


def _possible(store: "NamedStore") -> Iterator[str]:
    """Formats that this kind of file can hold, and of which a tensor has a mark."""
    text = "\n".join(store.tensors)
    # 100,000 names of a model are a few hundred without numbers, and most marks are in none
    frames = "\n".join({*text.translate(DIGITS).split("\n")})
    for name in discover.members(__name__):
        containers = discover.constant(__name__, name, "CONTAINERS") or CONTAINERS
        marks = discover.constant(__name__, name, "MARKS") or ()
        if store.container in containers and any(
            mark.translate(DIGITS) in frames and mark in text for mark in marks
        ):
            yield name


def _format_of(store: "NamedStore") -> tuple[str, tuple[str, ...]]:
    """The format that explains most, and what is said about tensors that only another explains.

    Raises:
        BadInput: none explains any, or two explain equally many; or two tensors have one name.
        Unusable: none explains any, and one of another package could not be asked.
    """
    claims, failures = _ask_formats(store)
    order = sorted(claims, key=lambda name: -len(claims[name]))
    if not order:
        raise failures[0] if failures else _unexplained(store)
    best = claims[order[0]]
    equal = [name for name in order if len(claims[name]) == len(best)]
    if len(equal) > 1:
        raise BadInput(_undecided(store, claims, equal))
    store.refuse_twice(best)
    store.expect(best)
    others = {name: claims[name] - best for name in order[1:] if claims[name] - best}
    return order[0], (*(_left_out(name, others[name]) for name in others), *map(str, failures))


def _unexplained(store: "NamedStore") -> BadInput | Unsupported:
    from birkhoff_cli.containers import where

    if isinstance(store.config.get(ADAPTER), dict):
        return Unsupported(
            f"{where(store.path)}: is an adapter that holds no mixing tensors, which are in its "
            f"base model; give that, or train with modules_to_save naming them"
        )
    from birkhoff_cli.checkpoints.sites.likely import advice

    contents = f"{len(store.tensors)} tensors ({_names(store.stored.values())})"
    todo = advice(store) or (
        "say which hold mixers by --set tensors='blocks.{layer}.NAME' --set as=matrices, or give "
        "its matrices as numpy.save, (samples, sites, d, d), writes them"
    )
    return BadInput(
        f"{where(store.path)}: holds {contents if store.tensors else 'no tensors'}, and none that "
        f"one of the {len(discover.members(__name__)) - 1} known formats explains; {todo}"
    )


def _undecided(store: "NamedStore", claims: Mapping[str, set[str]], formats: list[str]) -> str:
    from birkhoff_cli.containers import where

    shown = (f"{name} ({_names(sorted(claims[name]), 1)})" for name in formats[:MAX_NAMES])
    return (
        f"{where(store.path)}: {' and '.join(shown)} explain as many of its mixing tensors as one "
        f"another; save the model whole, or the part that you mean"
    )


def _left_out(format: str, names: set[str]) -> str:
    return f"{len(names)} tensors that {format} explains ({_names(sorted(names))}) are left out"


def _names(names: Any, shown: int = MAX_NAMES) -> str:
    from birkhoff_cli.containers import escape

    return ", ".join(f"'{escape(name, 40)}'" for name in list(names)[:shown])


def _about_names(store: "NamedStore") -> tuple[str, ...]:
    from birkhoff_cli.checkpoints.sites.names import ORDINARY

    unusual = [escape(word) for word in store.wrappers if word not in ORDINARY]
    return (f"names are read without {', '.join(unusual)}",) if unusual else ()
