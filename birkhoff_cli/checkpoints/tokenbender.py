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

from birkhoff_cli.analyses.core.arrays import Array, namespace
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.orthostochastic import A, B, C, Orthostochastic
from birkhoff_cli.checkpoints import Checkpoint, Setting, gpt, sites
from birkhoff_cli.checkpoints.nanogpt import BRANCHES, LAYERS, MAX_STREAMS, TENSOR
from birkhoff_cli.checkpoints.sites import NOT_ITS_CODE, Places, forks
from birkhoff_cli.checkpoints.sites.forks import Tensors
from birkhoff_cli.containers import Store, escape, where

LOGITS = "H_res_logits"
ASIDE = re.compile(r".*\.(?:(?:static|dynamic)_(?:alpha|beta)(?:_fn|_scale)?|norm\.gamma)")
"""Tensors of HC, which this code's mHC has as well and never uses."""

PROJECTION = "mhc_h_res_proj"
PROJECTIONS = ("sinkhorn", "orthostochastic")
ITERS, TAU, STEPS, EPS = 10, 0.05, 5, 1e-7
TINY, HUGE = 1e-6, 1e6
DEFAULTS: Mapping[str, Any] = {
    **{PROJECTION: "sinkhorn", "sinkhorn_iters": ITERS, "sinkhorn_tau": TAU},
    **{"ns_steps": STEPS, "ns_eps": EPS, "ns_coeffs": [A, B, C]},
}

CONVENTION = "stores logits of M, H_res_logits, applies x_out = M^T x_in; transposed here"
DROPPED = "computes M = static_alpha[:, 1:] and drops the mixed streams; H = I"


def recognises(store: Store) -> bool:
    """Layers of nanoGPT with this code's tensors or configuration, or its tensors anywhere."""
    names = [sites.bare(name) for name in store.tensors]
    layers = [name for name in names if name.startswith(LAYERS)]
    if any(LOGITS in name for name in layers or names):
        return True
    return bool(layers) and "hc_num_streams" in _config(store)


def read(store: Store, settings: Mapping[str, str]) -> Checkpoint:
    """Check shapes against the configuration; then read one tensor per site, or none."""
    config = _config(store)
    places = _places(store, config)
    mixed = any(LOGITS in names for names in places.values())
    if "mhc" in config and bool(config["mhc"]) is not mixed:
        raise BadInput(
            f"{where(store.path)}: its configuration says mhc = {escape(config['mhc'], 20)}, but "
            f"there are {'' if mixed else 'no '}{LOGITS}; {NOT_ITS_CODE}"
        )
    own = gpt.others(settings, config)
    found = (_mixed if mixed else _dropped)(store, own, config, places)
    return gpt.runnable(found, config, settings)


def _config(store: Store) -> Mapping[str, Any]:
    config = store.config.get("config")
    return config if isinstance(config, dict) else {}


def _places(store: Store, config: Mapping[str, Any]) -> Places:
    for name in map(sites.bare, store.tensors):
        if name.endswith((f".{LOGITS}", ".static_alpha")) and not TENSOR.fullmatch(name):
            raise Unsupported(
                f"{where(store.path)}: '{escape(name)}' is not in a layer of tokenbender's "
                f"nanoGPT; rename it to transformer.h.N.hc_attn or .hc_mlp"
            )
    places = sites.by_depth(store, TENSOR, BRANCHES)
    if not places:
        raise Unsupported(
            f"{where(store.path)}: is a GPT whose layers have no hyper-connection tensors; "
            f"give a checkpoint with hyper-connections"
        )
    if config.get("hc_num_fracs", 1) != 1:
        fracs = escape(config["hc_num_fracs"], 20)
        raise Unsupported(
            f"{where(store.path)}: hc_num_fracs = {fracs} is not known here; only 1 can be read"
        )
    sites.agree(store, config, "n_layer", len(places) // len(BRANCHES))
    return places


def _first(store: Store, places: Places, tensor: str, axes: int) -> tuple[int, ...]:
    """Shape at the first site of a tensor that says how many streams there are."""
    site, names = next(iter(places.items()))
    shape = store.tensors[names[tensor]].shape if tensor in names else ()
    if len(shape) != axes or not 1 <= shape[0] <= MAX_STREAMS:
        held = f"has {tensor} of shape {escape(shape, 40)}" if shape else f"has no {tensor}"
        raise BadInput(f"{sites.at(store, site)} {held}; {NOT_ITS_CODE}")
    return shape


def _mixed(
    store: Store, settings: Mapping[str, str], config: Mapping[str, Any], places: Places
) -> Checkpoint:
    n = _first(store, places, LOGITS, 2)[0]
    shapes = {LOGITS: (n, n), "H_pre_logits": (n,), "H_post_logits": (n,)}
    sites.check_shapes(store, places, shapes)
    projection = _projection(store, settings, config)
    chosen = _sinkhorn if projection.value == "sinkhorn" else _orthostochastic
    method, map_, found = chosen(store, settings, config, projection, n)
    logits = sites.values(store, places, LOGITS)
    width = _width(store, config, places, n)
    return Checkpoint(
        path=store.path,
        format="tokenbender",
        method=method,
        map=map_,
        theta=np.ascontiguousarray(logits.swapaxes(1, 2).reshape(-1, n * n)),
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(projection, *found, *_step(store)),
        convention=CONVENTION,
        assumptions=_defaults((projection, *found)),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=lambda store: sites.connections(
            store, places, shapes, lambda tensors: connection(tensors, map_, width)
        ),
    )


def connection(tensors: Tensors, map_: Parameterization, width: int) -> Connection:
    """A site of mHC, which no stream changes: H_res, H_pre and H_post of their logits."""
    logits = tensors[LOGITS]
    pre, post = (Gate(_softmax(tensors[k])) for k in ("H_pre_logits", "H_post_logits"))
    return Connection(map_, len(logits), width, Gate(logits.T.reshape(-1)), pre, post)


def _softmax(logits: Array) -> Array:
    xp = namespace(logits)
    powers = xp.exp(logits - xp.max(logits))
    return powers / powers.sum()


def _dropped(
    store: Store, settings: Mapping[str, str], config: Mapping[str, Any], places: Places
) -> Checkpoint:
    n = _first(store, places, "static_beta", 1)[0]
    width = _width(store, config, places, n)
    shapes = {
        **{"norm.gamma": (width,), "static_alpha": (n, n + 1), "static_beta": (n,)},
        **{"dynamic_alpha_fn": (width, n + 1), "dynamic_beta_fn": (width,)},
        **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
    }
    sites.check_shapes(store, places, shapes)
    sites.refuse_unknown(settings, (), "tokenbender's hc")
    sites.values(store, places, "static_alpha")  # a diverged run is refused, though H = I
    return Checkpoint(
        path=store.path,
        format="tokenbender",
        method="hc",
        map=None,
        theta=np.zeros((len(places), 0), np.float32),
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(Setting("mhc", False, "config"), *_step(store)),
        convention=DROPPED,
        assumptions=("H = I at every site: this code computes the mixed streams and drops them",),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=lambda store: sites.connections(
            store, places, shapes, lambda tensors: forks.unconstrained(tensors, None)
        ),
    )


def _width(store: Store, config: Mapping[str, Any], places: Places, n: int) -> int:
    """Length of one stream by the norm's gain, which mHC carries unused; 0 if nothing says it."""
    sites.agree(store, config, "hc_num_streams", n)
    name = next(iter(places.values())).get("norm.gamma", "")
    if name and (shape := store.tensors[name].shape):
        sites.agree(store, config, "n_embd", shape[0])
        return shape[0]
    width = config.get("n_embd")
    return width if type(width) is int and width > 0 else 0


def _projection(store: Store, settings: Mapping[str, str], config: Mapping[str, Any]) -> Setting:
    """What turns logits to a matrix; ``--set`` may say it where no configuration does."""
    found = _stored(config, PROJECTION, PROJECTION)
    word = settings.get(PROJECTION)
    if word is not None and found.source == "default":
        if word not in PROJECTIONS:
            raise UsageError(
                f"--set {PROJECTION}={escape(word, 40)}: expected {' or '.join(PROJECTIONS)}"
            )
        return Setting(PROJECTION, word, "set")
    if found.value not in PROJECTIONS:
        raise Unsupported(
            f"{where(store.path)}: {PROJECTION} '{escape(found.value, 40)}' is not known here; "
            f"known: {', '.join(PROJECTIONS)}"
        )
    return found


def _stored(config: Mapping[str, Any], key: str, name: str) -> Setting:
    return Setting(name, config.get(key, DEFAULTS[key]), "config" if key in config else "default")


Chosen = tuple[str, Parameterization, tuple[Setting, ...]]


def _sinkhorn(
    store: Store,
    settings: Mapping[str, str],
    config: Mapping[str, Any],
    projection: Setting,
    n: int,
) -> Chosen:
    _refuse_unknown(settings, ("iters", "tau"), projection, "mhc")
    iters = sites.iterations(settings, ITERS, least=1)
    if iters.source == "default":
        iters = _stored(config, "sinkhorn_iters", "iters")
        _require(store, "sinkhorn_iters", iters, _whole(iters.value, 1), f"1 to {sites.MAX_ITERS}")
    tau = _tau(settings) or _stored(config, "sinkhorn_tau", "tau")
    _require(store, "sinkhorn_tau", tau, _between(tau.value, TINY, HUGE), f"{TINY:g} to {HUGE:g}")
    map_ = MHC(n, variant="tokenbender", iters=iters.value, tau=float(tau.value))
    return "mhc", map_, (iters, tau)


def _orthostochastic(
    store: Store,
    settings: Mapping[str, str],
    config: Mapping[str, Any],
    projection: Setting,
    n: int,
) -> Chosen:
    _refuse_unknown(settings, (), projection, "orthostochastic")
    steps, eps, coeffs = (_stored(config, k, k) for k in ("ns_steps", "ns_eps", "ns_coeffs"))
    _require(store, "ns_steps", steps, _whole(steps.value, 0), f"0 to {sites.MAX_ITERS}")
    _require(store, "ns_eps", eps, _between(eps.value, 1e-30, 1), "1e-30 to 1")
    if not isinstance(coeffs.value, list | tuple) or [*coeffs.value] != [A, B, C]:
        raise Unsupported(
            f"{where(store.path)}: ns_coeffs {escape(coeffs.value, 40)} are not the published "
            f"{A:g}, {B:g}, {C:g}; only those can be read"
        )
    coeffs = Setting("ns_coeffs", [A, B, C], coeffs.source)
    map_ = Orthostochastic(n, steps=steps.value, eps=float(eps.value))
    return "orthostochastic", map_, (steps, eps, coeffs)


def _refuse_unknown(
    settings: Mapping[str, str], known: tuple[str, ...], projection: Setting, method: str
) -> None:
    more = () if projection.source == "config" else (PROJECTION,)
    sites.refuse_unknown(settings, (*known, *more), f"tokenbender's {method}")


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= sites.MAX_ITERS


def _between(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most


def _require(store: Store, key: str, found: Setting, holds: bool, expected: str) -> None:
    if not holds:
        raise BadInput(
            f"{where(store.path)}: its configuration says {key} = {escape(repr(found.value), 20)}, "
            f"expected {expected}; {NOT_ITS_CODE}"
        )


def _tau(settings: Mapping[str, str]) -> Setting | None:
    word = settings.get("tau")
    if word is None:
        return None
    number = r"([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?"
    if not re.fullmatch(number, word) or not TINY <= float(word) <= HUGE:
        raise UsageError(f"--set tau={escape(word, 20)}: expected a number, {TINY:g} to {HUGE:g}")
    return Setting("tau", float(word), "set")


def _step(store: Store) -> tuple[Setting, ...]:
    step = store.config.get("iter_num")
    return (Setting("iter_num", step, "stored"),) if type(step) is int else ()


def _defaults(found: tuple[Setting, ...]) -> tuple[str, ...]:
    """One sentence for every number that the configuration does not have."""
    words = {PROJECTION: "orthostochastic", "iters": "N", "tau": "X"}
    return tuple(
        f"{s.name} {s.value} (tokenbender's default; not stored in the file)"
        + (f"; --set {s.name}={words[s.name]} overrides" if s.name in words else "")
        for s in found
        if s.source == "default"
    )
