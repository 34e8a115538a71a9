"""nanoGPT as tokenbender's repository saves it: static mHC, or HC whose mixing is dropped.

Every layer has two sites, ``transformer.h.N.hc_attn`` and ``.hc_mlp``. A site of mHC is its
``H_res_logits``; the HC tensors beside them are never used. The code builds a matrix M and
applies its transpose, so H = M^T. Without mHC the mixed streams are computed and dropped: H = I.

Source: github.com/tokenbender/mHC-manifold-constrained-hyper-connections @ 088310e.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt import forward
from birkhoff_cli.checkpoints.gpt.layout import (
    dialect,
    layers_of,
    site_tensors,
    sites_of,
)
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES
from birkhoff_cli.checkpoints.modules.tokenbender import LOGITS, POST, PRE, connection, shapes
from birkhoff_cli.checkpoints.sites.depth import Sites
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import (
    Number,
    defaults,
    number,
    part_of,
    refuse_unknown,
    word,
)
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("transformer.h.",)
ASIDE = re.compile(r".*\.(?:(?:static|dynamic)_(?:alpha|beta)(?:_fn|_scale)?|norm\.gamma)")
"""Tensors of HC, which this code's mHC has as well and never uses."""

NAMES = frozenset((LOGITS, PRE, POST))
PROJECTION = "mhc_h_res_proj"
PROJECTIONS = ("sinkhorn", "orthostochastic")
SWEEPS = Number("iters", ("sinkhorn_iters",), 10, least=1)
TAU = Number("tau", ("sinkhorn_tau",), 0.05, 1e-6, 1e6)
STEPS = Number("ns_steps", ("ns_steps",), 5)
EPS = Number("ns_eps", ("ns_eps",), 1e-7, 1e-30, 1)

CONVENTION = "stores logits of M, H_res_logits, applies x_out = M^T x_in; transposed here"
DROPPED = "computes M = static_alpha[:, 1:] and drops the mixed streams; H = I"


def claims(store: NamedStore) -> set[str]:
    """All tensors of sites in nanoGPT's layers where one has logits of its own, or it says so."""
    own = site_tensors(store, NAMES)
    if not own and dialect(store) != "streams":
        return set()
    return own | site_tensors(store, frozenset(HC_NAMES))


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check shapes against the configuration; then read one tensor per site, or none."""
    config = part_of(store, "config")
    sites = sites_of(store)
    if config.get("hc_num_fracs", 1) != 1:
        fracs = escape(config["hc_num_fracs"], 20)
        raise Unsupported(
            f"{where(store.path)}: hc_num_fracs = {fracs} is not known here; only 1 can be read"
        )
    mixed = any(LOGITS in names for names in sites.values())
    if "mhc" in config and bool(config["mhc"]) is not mixed:
        raise BadInput(
            f"{where(store.path)}: its configuration says mhc = {escape(config['mhc'], 20)}, but "
            f"there are {'' if mixed else 'no '}{LOGITS}; {NOT_ITS_CODE}"
        )
    own = forward.others(settings, config)
    checkpoint = (_mixed if mixed else _dropped)(store, own, config, sites)
    return forward.runnable(checkpoint, config, settings)


def _mixed(
    store: NamedStore, settings: Mapping[str, str], config: Mapping[str, Any], sites: Sites
) -> Checkpoint:
    n = _first(store, sites, LOGITS, 2)
    check_shapes(store, sites, expected := shapes(n))
    layers, assumed = layers_of(store, sites, config)
    projection = _projection(store, settings, config)
    chosen = _sinkhorn if projection.value == "sinkhorn" else _orthostochastic
    map_, settings_of_map = chosen(store, settings, config, projection, n)
    logits = values(store, sites, LOGITS)
    width = _width(store, config, sites, n)
    if any(ASIDE.fullmatch(name) for names in sites.values() for name in names.values()):
        # no matrix has them, and a file has them of every site or was cleared of them
        check_shapes(store, sites, forks.shapes_apart(n, width))
    return Checkpoint(
        path=store.path,
        format="tokenbender",
        method=map_.name,
        map=map_,
        theta=np.ascontiguousarray(logits.swapaxes(1, 2).reshape(-1, n * n)),
        sites=tuple(sites),
        d=n,
        layers=layers,
        width=width,
        settings=(projection, *settings_of_map),
        convention=CONVENTION,
        assumptions=(
            *defaults(
                (projection, *settings_of_map), "tokenbender's", ("ns_steps", "ns_eps", "ns_coeffs")
            ),
            *assumed,
        ),
        dtypes=dtypes(store, sites, expected),
        inputs=(store.digest(),),
        connect=lambda store: connections(
            store, sites, expected, lambda tensors: connection(tensors, map_, width)
        ),
    )


def _dropped(
    store: NamedStore, settings: Mapping[str, str], config: Mapping[str, Any], sites: Sites
) -> Checkpoint:
    n = _first(store, sites, "static_beta", 1)
    width = _width(store, config, sites, n)
    check_shapes(store, sites, expected := forks.shapes_apart(n, width))
    layers, assumed = layers_of(store, sites, config)
    refuse_unknown(settings, (), "tokenbender's hc")
    values(store, sites, "static_alpha")  # a diverged run is refused, though H = I
    return Checkpoint(
        path=store.path,
        format="tokenbender",
        method="hc",
        map=None,
        theta=np.zeros((len(sites), 0), np.float32),
        sites=tuple(sites),
        d=n,
        layers=layers,
        width=width,
        settings=(Setting("mhc", False, "config"),),
        convention=DROPPED,
        assumptions=(
            "H = I at every site: this code computes the mixed streams and drops them",
            *assumed,
        ),
        dtypes=dtypes(store, sites, expected),
        inputs=(store.digest(),),
        connect=lambda store: connections(
            store, sites, expected, lambda tensors: forks.unconstrained(tensors, None)
        ),
    )


def _first(store: NamedStore, sites: Sites, tensor: str, axes: int) -> int:
    """Streams, by the shape at the first site of a tensor that says how many there are."""
    site, names = next(iter(sites.items()))
    shape = store.tensors[names[tensor]].shape if tensor in names else ()
    if len(shape) != axes or not 1 <= shape[0] <= MAX_STREAMS:
        problem = f"has {tensor} of shape {escape(shape, 40)}" if shape else f"has no {tensor}"
        raise BadInput(f"{at(store, site)} {problem}; {NOT_ITS_CODE}")
    return shape[0]


def _width(store: NamedStore, config: Mapping[str, Any], sites: Sites, n: int) -> int:
    """Length of one stream by the norm's gain, which mHC carries unused; 0 if nothing says it."""
    agree(store, config, "hc_num_streams", n)
    name = next(iter(sites.values())).get("norm.gamma", "")
    if name and (shape := store.tensors[name].shape):
        agree(store, config, "n_embd", shape[0])
        return shape[0]
    width = config.get("n_embd")
    return width if type(width) is int and width > 0 else 0


def _projection(
    store: NamedStore, settings: Mapping[str, str], config: Mapping[str, Any]
) -> Setting:
    """What turns logits to a matrix; ``--set`` may say it where no configuration does."""
    stored = config.get(PROJECTION)
    if stored is None:
        projection = word(settings, PROJECTION, PROJECTIONS)
        return Setting(PROJECTION, projection or PROJECTIONS[0], "set" if projection else "default")
    if stored not in PROJECTIONS:
        raise Unsupported(
            f"{where(store.path)}: {PROJECTION} '{escape(stored, 40)}' is not known here; "
            f"known: {', '.join(PROJECTIONS)}"
        )
    return Setting(PROJECTION, stored, "config")


Chosen = tuple[Parameterization, tuple[Setting, ...]]


def _sinkhorn(
    store: NamedStore,
    settings: Mapping[str, str],
    config: Mapping[str, Any],
    projection: Setting,
    n: int,
) -> Chosen:
    from birkhoff_cli.analyses.parameterizations.mhc import MHC

    _refuse_unknown(settings, ("iters", "tau"), projection, "mhc")
    iters, tau = (number(store, config, settings, of) for of in (SWEEPS, TAU))
    return MHC(n, variant="tokenbender", iters=iters.value, tau=tau.value), (iters, tau)


def _orthostochastic(
    store: NamedStore,
    settings: Mapping[str, str],
    config: Mapping[str, Any],
    projection: Setting,
    n: int,
) -> Chosen:
    from birkhoff_cli.analyses.parameterizations.orthostochastic import A, B, C, Orthostochastic

    _refuse_unknown(settings, (), projection, "orthostochastic")
    steps, eps = (number(store, config, {}, of) for of in (STEPS, EPS))
    coeffs = config.get("ns_coeffs", [A, B, C])
    if not isinstance(coeffs, list | tuple) or [*coeffs] != [A, B, C]:
        raise Unsupported(
            f"{where(store.path)}: ns_coeffs {escape(coeffs, 40)} are not the published "
            f"{A:g}, {B:g}, {C:g}; only those can be read"
        )
    coefficients = Setting("ns_coeffs", [A, B, C], "config" if "ns_coeffs" in config else "default")
    return Orthostochastic(n, steps=steps.value, eps=eps.value), (steps, eps, coefficients)


def _refuse_unknown(
    settings: Mapping[str, str], known: tuple[str, ...], projection: Setting, method: str
) -> None:
    more = () if projection.source == "config" else (PROJECTION,)
    refuse_unknown(settings, (*known, *more), f"tokenbender's {method}")
