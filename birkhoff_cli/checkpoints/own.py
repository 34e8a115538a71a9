"""A layout of one's own: tensors by ``--set tensors=``, and by ``--set as=`` what they hold.

It explains nothing by itself: it reads what somebody says it is. ``as`` is ``matrices``, ``logits``
for Sinkhorn-Knopp, or the name of a method, whose parameters the tensors are; the method's options
are settings of the same names. ``transpose=true`` exchanges rows and columns of what is stored: of
a matrix, of its logits; of a method whose parameters are no entries, of the matrix that it makes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt
from typing import Any

import numpy as np

from birkhoff_cli import methods, values
from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints import TENSORS, Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.own import Stored, Transposed, squares, streams_of
from birkhoff_cli.checkpoints.sites import paths
from birkhoff_cli.checkpoints.sites.config import ITERS, model_config, unknown_settings
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.patterns import sites_of
from birkhoff_cli.checkpoints.sites.settings import CALLED, Number, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import Array, dtypes, finite
from birkhoff_cli.containers import escape, where

MARKS = ()
AS, TRANSPOSE = "as", "transpose"
MATRICES, LOGITS, SINKHORN = "matrices", "logits", "mhc"
SWEEPS = Number("iters", ITERS, 20)
SETTINGS = ("variant", "iters", "tau")
"""Options of Sinkhorn-Knopp that no tensor holds, and that are always said."""

Rows = tuple[Array, Parameterization]
"""Parameters ``(k, p)`` of the sites in one tensor, and their map."""


def claims(store: NamedStore) -> set[str]:
    """Nothing: names that are not known say nothing."""
    del store
    return set()


@dataclass(frozen=True)
class Reading:
    """How tensors become parameters.

    Attributes:
        word: of ``--set as=``.
        transpose: of ``--set transpose=``.
        method: the method, without streams; None for matrices.
        options: its options as far as they are known, by name.
        configured: names of those that a configuration says.
    """

    word: str
    transpose: bool
    method: methods.Specification | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    configured: tuple[str, ...] = ()

    @cached_property
    def entries(self) -> bool:
        """Whether parameters are those of entries, row by row."""
        return self.method is None or self.method.name == SINKHORN

    def build(self, d: int) -> Parameterization:
        """The map for so many streams."""
        return Stored(d) if self.method is None else self.method.build(d)

    def rows(self, array: Array, stacked: bool) -> Rows | None:
        """What a tensor holds; None if its shape is none of this."""
        if self.entries:
            matrices = squares(array, stacked, behind=self.method is not None)
            if matrices is None:
                return None
            turned = matrices.swapaxes(1, 2) if self.transpose else matrices
            d = matrices.shape[-1]
            return np.ascontiguousarray(turned).reshape(-1, d * d), self.build(d)
        method = streams_of(self.build, array.shape, stacked)
        if method is None:
            return None
        map_ = Transposed(method.d, method) if self.transpose else method
        return array.reshape(-1, method.parameters), map_


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Find the tensors by their pattern, and read all of them."""
    config = model_config(store)
    reading = _reading(store, config, settings)
    named = sites_of(store, settings[TENSORS].split(","))
    store.refuse_twice(named.values())
    stacked = len(named) == len({site.branch for site in named})  # no layers in the names
    rows_of = {site: _rows(store, name, reading, stacked) for site, name in named.items()}
    map_ = _one_map(store, named, {site: own for site, (_, own) in rows_of.items()})
    tensors = {Site(*site): {reading.word: name} for site, name in named.items()}
    sites, theta = _in_order({site: rows for site, (rows, _) in rows_of.items()})
    return Checkpoint(
        path=store.path,
        format="own",
        method=MATRICES if reading.method is None else reading.method.name,
        map=map_,
        theta=theta,
        sites=sites,
        d=map_.d,
        layers=len({site.layer for site in sites}),
        width=0,
        settings=(*_override(settings, reading), *_of_method(map_, reading)),
        convention=_convention(reading),
        assumptions=(
            *_assumptions(store, reading, map_, named, sites),
            *unknown_settings(config, ITERS if reading.configured else ()),
        ),
        dtypes=dtypes(store, tensors, (reading.word,)),
        inputs=(store.digest(),),
        ungated="what --set tensors= names are mixing matrices, without H_pre and H_post",
    )


def _reading(store: NamedStore, config: Mapping[str, Any], settings: Mapping[str, str]) -> Reading:
    """What ``--set`` says, and the configuration of how often Sinkhorn-Knopp sweeps.

    Raises:
        UsageError: what tensors hold is not said, or something that has no meaning is.
    """
    text = settings.get(AS, "")
    word, colon, rest = text.partition(":")
    word = methods.normalise(word)
    names = (MATRICES, LOGITS, *parameterizations.names())
    if word not in names:
        what = unknown(escape(text), names, "words for what tensors hold") if text else "is missing"
        raise UsageError(
            f"--set as= {what}; say --set as=matrices, --set as=logits or a method's name"
        )
    transpose = values.read(bool, settings.get(TRANSPOSE, "no"), f"--set {TRANSPOSE}")
    own = {k: v for k, v in settings.items() if k not in (TENSORS, AS, TRANSPOSE)}
    if word == MATRICES:
        refuse_unknown(own, (), MATRICES)
        return Reading(word, transpose)
    name = SINKHORN if word == LOGITS else word
    method = methods.parse(f"{name}{colon}{rest}")
    refuse_unknown(own, methods.fields(method.method), f"--set as={word}")
    typed = {**method.options, **own}
    stored = {}
    if name == SINKHORN and SWEEPS.name not in typed:
        sweeps = number(store, config, {}, SWEEPS)
        stored = {SWEEPS.name: str(sweeps.value)} if sweeps.source == "config" else {}
    options = {**stored, **typed}
    parts = ",".join(f"{key}={value}" for key, value in options.items())
    specification = methods.parse(f"{name}:{parts}" if parts else name)
    return Reading(word, transpose, specification, options, tuple(stored))


def _rows(store: NamedStore, name: str, reading: Reading, stacked: bool) -> Rows:
    here = f"{where(store.path)}: '{escape(store.stored[name])}'"
    rows = reading.rows(finite(store, name, here), stacked)
    if rows is None:
        shape = escape(store.tensors[name].shape, 40)
        raise BadInput(
            f"{here} has shape {shape}, which is none of {_expected(reading)}; choose other "
            f"tensors, or another --set as="
        )
    return rows


def _expected(reading: Reading) -> str:
    if reading.entries:
        more = ", (d * (d + 2))" if reading.method else ""
        return f"{reading.word}, (d, d) or (d * d){more}, or without {{layer}} a row of them"
    return f"the parameters of {reading.word} for any number of streams"


def _one_map(
    store: NamedStore, named: Mapping[Site, str], maps: Mapping[Site, Parameterization]
) -> Parameterization:
    """That of all sites.

    Raises:
        BadInput: two have other numbers of streams.
    """
    (first, map_), *others = maps.items()
    for site, other in others:
        if other.d != map_.d:
            raise BadInput(
                f"{where(store.path)}: '{escape(store.stored[named[site]])}' is of {other.d} "
                f"streams and '{escape(store.stored[named[first]])}' of {map_.d}; give a narrower "
                f"pattern"
            )
    return map_


def _in_order(rows: Mapping[Site, Array]) -> tuple[tuple[Site, ...], Array]:
    """Sites in order and their parameters; what one tensor holds of several are layers."""
    if all(len(several) == 1 for several in rows.values()):
        return tuple(rows), np.ascontiguousarray(np.concatenate(list(rows.values())))
    order = [
        (Site(k, site.branch, f"{site.name}.{k}"), several[k])
        for k in range(max(map(len, rows.values())))
        for site, several in rows.items()
        if k < len(several)
    ]
    return tuple(site for site, _ in order), np.stack([row for _, row in order])


def _override(settings: Mapping[str, str], reading: Reading) -> Iterator[Setting]:
    yield Setting(TENSORS, settings[TENSORS], "set")
    yield Setting(AS, settings[AS], "set")
    source: Any = "set" if TRANSPOSE in settings else "default"
    yield Setting(TRANSPOSE, reading.transpose, source)


def _of_method(map_: Parameterization, reading: Reading) -> Iterator[Setting]:
    """Options of the method: those that were said, and of Sinkhorn-Knopp what the variant says."""
    known = getattr(map_, "settings", None)
    for name in dict.fromkeys([*(SETTINGS if known else ()), *reading.options]):
        value = getattr(known, name, None) if known else None
        value = getattr(map_, name, reading.options.get(name)) if value is None else value
        if name not in reading.options:
            yield Setting(name, value, "default")
        else:
            yield Setting(name, value, "config" if name in reading.configured else "set")


def _convention(reading: Reading) -> str:
    turned = "transposed here" if reading.transpose else "as stored"
    what = {MATRICES: "matrices", LOGITS: "logits"}.get(reading.word, f"theta of {reading.word}")
    return f"holds {what} in tensors that --set names, applies x_out = H x_in; {turned}"


def _assumptions(
    store: NamedStore,
    reading: Reading,
    map_: Parameterization,
    named: Mapping[Site, str],
    sites: tuple[Site, ...],
) -> Iterator[str]:
    yield f"what the tensors hold is as --set says: {reading.word}"
    for setting in _of_method(map_, reading):
        if setting.source == "default":
            yield (
                f"{CALLED.get(setting.name, setting.name)} {setting.value} (not stored in the "
                f"file); --set {setting.name}=VALUE overrides"
            )
    if not reading.transpose:
        yield "rows are outputs, x_out = H x_in; --set transpose=true if the code applies H^T x_in"
    branches = list(dict.fromkeys(site.branch for site in sites))
    if len(branches) > 1:
        yield f"the order of a layer's sites, {', '.join(branches[:4])}, is by their names"
    if reading.entries:
        yield from _as_one(store, named)
    if len(sites) > len(named):
        yield "the first axis counts layers, in order"
    else:
        yield from paths.gaps([tuple(name.split(".")) for name in named.values()], store.tensors)


def _as_one(store: NamedStore, named: Mapping[Site, str]) -> Iterator[str]:
    """The sentence about a square tensor that rows of smaller matrices, a layer each, fill too."""
    if len(named) > len({site.branch for site in named}):  # names say the layers
        return
    for name in named.values():
        shape = store.tensors[name].shape
        d = isqrt(shape[0]) if shape else 0
        if d > 1 and shape == (d * d, d * d):
            yield (
                f"'{escape(store.stored[name], 60)}' is one matrix of {d * d} x {d * d}, and not "
                f"{d * d} layers of {d} x {d}, one in each row"
            )
