"""nanoGPT with hyper-connections, as the mhc-lite and KromHC repositories save it.

Every layer has two sites, ``transformer.h.N.hc_attn`` and ``.hc_mlp``. The code builds a matrix
M and applies its transpose, ``x_out = M^T x_in``, so H = M^T.

Source: github.com/FFTYYY/mhc-lite @ ea19775, github.com/wz1119/KromHC @ 7b15834.
"""

import re
from collections.abc import Callable, Mapping
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.geometry.permutations import inverse_order, refuse_too_many
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.checkpoints import Checkpoint, Setting, gpt, sites
from birkhoff_cli.checkpoints.sites import NOT_ITS_CODE, Places, forks
from birkhoff_cli.checkpoints.sites.forks import Entries, Tensors
from birkhoff_cli.containers import Store, escape, where

LAYERS = "transformer.h."
TENSOR = re.compile(r"transformer\.h\.([0-9]{1,6})\.hc_(attn|mlp)\.(?!branch\.)(.+)")
BRANCHES = ("attn", "mlp")
MAX_STREAMS = 1024
ITERS = 20
OPTIONS = "hyper_conn_options"
"""In ``model_args`` of a checkpoint that `birkhoff train` wrote in its own way, and of no other."""

Array = NDArray[np.float32]


class Kind(NamedTuple):
    """One ``hyper_conn_type``: the shape of ``static_alpha``, what in it is what, and what H is.

    ``map(n, iters)`` takes the ``entries`` of mixing in their order; what it has beyond, the
    dynamic half of HC, stays zero.
    """

    method: str
    alpha: Callable[[int], tuple[int, ...]]
    entries: Callable[[int], Entries]
    map: Callable[[int, int], Parameterization]
    convention: str


def _square(n: int) -> tuple[int, ...]:
    return (n, n + 1)


def _permutations(n: int) -> tuple[int, ...]:
    return (n + factorial(min(n, 20)),)  # no file holds 20! of anything


def _inverse(n: int) -> Entries:
    return Entries(np.arange(n), n + inverse_order(n))


def _pairs(n: int) -> tuple[int, ...]:
    """Two coefficients per 2 x 2 factor; a shape that nothing has if n is no power of 2."""
    return (n + 2 * (n.bit_length() - 1) if n > 1 and n.bit_count() == 1 else -1,)


def _in_order(n: int) -> Entries:
    return Entries(np.arange(n), np.arange(n, _pairs(n)[0]))


KINDS: Mapping[str, Kind] = {
    "hc": Kind(
        "hc",
        _square,
        forks.square,
        lambda n, _: HC(n),
        "stores M = static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc": Kind(
        "mhc",
        _square,
        forks.square,
        lambda n, iters: MHC(n, variant="mhc-lite", iters=iters),
        "stores logits of M, static_alpha[:, 1:], applies x_out = M^T x_in; transposed here",
    ),
    "mhc_lite": Kind(
        "mhc-lite",
        _permutations,
        _inverse,
        lambda n, _: MHCLite(n),
        "stores logits of permutations, static_alpha[n:], applies x_out = M^T x_in; "
        "every permutation is replaced by its inverse here",
    ),
    "kromhc": Kind(
        "kromhc",
        _pairs,
        _in_order,
        lambda n, _: KromHC(n, factors=(2,) * (n.bit_length() - 1)),
        "stores logit pairs of 2 x 2 factors, static_alpha[n:]; M is symmetric, nothing is turned",
    ),
}
SAME_AS = {"analysis": "mhc"}
TYPES = (*KINDS, *SAME_AS)


def recognises(store: Store) -> bool:
    """Layers named as nanoGPT names them, and none of the marks of tokenbender's code."""
    config = store.config.get("config")
    tokenbender = isinstance(config, dict) and "hc_num_streams" in config
    ours = OPTIONS in arguments(store)
    layers = [name for name in map(sites.bare, store.tensors) if name.startswith(LAYERS)]
    others = ours or tokenbender or any("H_res_logits" in n for n in layers)
    return bool(layers) and not others


def arguments(store: Store) -> Mapping[str, Any]:
    """``model_args``, empty if the file has none."""
    args = store.config.get("model_args")
    return args if isinstance(args, dict) else {}


def read(store: Store, settings: Mapping[str, str]) -> Checkpoint:
    """Identify the type and check all shapes; then read one tensor per site."""
    args = arguments(store)
    stored = _stored_type(store, args)
    places = places_of(store, args)
    type_, n, width = _identify(store, places, stored, args)
    kind, shapes = KINDS[type_], _shapes(type_, n, width)
    sites.check_shapes(store, places, shapes)
    own = gpt.others(settings, args)
    sites.refuse_unknown(own, ("iters",) if kind.method == "mhc" else (), kind.method)
    iters = sites.iterations(settings, ITERS)
    map_ = kind.map(n, iters.value)
    theta = _theta(kind, sites.values(store, places, "static_alpha"), map_)
    said = Setting("hyper_conn_type", stored or type_, "config" if stored else "stored")
    found = Checkpoint(
        path=store.path,
        format="nanogpt",
        method=kind.method,
        map=map_,
        theta=theta,
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(said, *_settings(kind, n, iters, store.config.get("iter_num"))),
        convention=kind.convention,
        assumptions=_assumptions(kind, n, iters, stored),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=lambda store: sites.connections(
            store, places, shapes, lambda tensors: connection(type_, tensors, map_)
        ),
    )
    return gpt.runnable(found, args, settings)


def connection(type_: str, tensors: Tensors, map_: Parameterization) -> Connection:
    """The site of one type: its tensors, by their names in the code, and the map of H."""
    if type_ == "hc":
        return forks.unconstrained(tensors, map_)
    return forks.together(tensors, map_, KINDS[type_].entries(map_.d))


def _theta(kind: Kind, alpha: Array, map_: Parameterization) -> Array:
    """Parameters ``(sites, p)``, of every site's ``static_alpha``."""
    theta = alpha.reshape(len(alpha), -1)[:, kind.entries(map_.d).mixing]
    more = map_.parameters - theta.shape[1]
    return np.ascontiguousarray(np.pad(theta, ((0, 0), (0, more))))


def _stored_type(store: Store, args: Mapping[str, Any]) -> str:
    """``hyper_conn_type``, empty if it is not stored.

    Raises:
        Unsupported: a type whose matrices are not known here, or ``none``.
    """
    stored = args.get("hyper_conn_type", "")
    if stored == "none":
        raise Unsupported(
            f"{where(store.path)}: was trained with hyper_conn_type 'none' and has nothing to "
            f"mix; give a checkpoint with hyper-connections"
        )
    if stored and stored not in TYPES:
        raise Unsupported(
            f"{where(store.path)}: hyper_conn_type '{escape(stored, 40)}' is not known here; "
            f"known: {', '.join(TYPES)}"
        )
    return str(stored) if stored else ""


def places_of(store: Store, args: Mapping[str, Any]) -> Places:
    """Every site's tensors, in order of depth.

    Raises:
        BadInput: a layer or branch is missing, or is none.
        Unsupported: there are none at all.
    """
    for name in map(sites.bare, store.tensors):
        if ".hc_" in name and name.endswith(".static_alpha") and not TENSOR.fullmatch(name):
            raise BadInput(f"{where(store.path)}: '{escape(name)}' is no layer; {NOT_ITS_CODE}")
    places = sites.by_depth(store, TENSOR, BRANCHES)
    if not places:
        raise Unsupported(
            f"{where(store.path)}: is a GPT whose layers have no hyper-connection tensors; "
            f"give a checkpoint with hyper-connections"
        )
    sites.agree(store, args, "n_layer", len(places) // len(BRANCHES))
    return places


def _identify(
    store: Store, places: Places, stored: str, args: Mapping[str, Any]
) -> tuple[str, int, int]:
    """Type, streams and width by the shapes at the first site, which ``model_args`` confirm."""
    site, names = next(iter(places.items()))
    here = sites.at(store, site)
    found = {tensor: store.tensors[name].shape for tensor, name in names.items()}
    for tensor in ("static_alpha", "static_beta", "norm.gamma"):
        if not found.get(tensor):
            raise BadInput(f"{here} has no {tensor} with axes; {NOT_ITS_CODE}")
    n = found["static_beta"][0]
    if not 1 <= n <= MAX_STREAMS:
        raise BadInput(f"{here} has {n} streams, not 1 to {MAX_STREAMS}; {NOT_ITS_CODE}")
    sites.agree(store, args, "hyper_conn_n", n)
    width = found["norm.gamma"][0] // (1 if "dynamic_alpha_scale" in found else n)
    sites.agree(store, args, "n_embd", width)
    fitting = [t for t in KINDS if _shapes(t, n, width).items() <= found.items()]
    type_ = SAME_AS.get(stored, stored) or next(iter(fitting), "")
    if type_ not in fitting:
        said = f"hyper_conn_type '{stored}'" if stored else "any type"
        shape = escape(found["static_alpha"], 40)
        raise BadInput(
            f"{here}: n = {n} and static_alpha of shape {shape} are not "
            f"those of {said}{f' but of {fitting[0]}' if fitting else ''}; {NOT_ITS_CODE}"
        )
    if type_ == "mhc_lite":
        _refuse_too_many(store, n)
    return type_, n, width


def _refuse_too_many(store: Store, n: int) -> None:
    try:
        refuse_too_many(n)
    except TooLarge as error:
        raise TooLarge(f"{where(store.path)}: {error}") from error


def _shapes(type_: str, n: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a site's tensors; ``hc`` normalises every stream, the others all at once."""
    alpha = KINDS[type_].alpha(n)
    if type_ == "hc":
        return {
            **{"norm.gamma": (width,), "static_alpha": alpha, "static_beta": (n,)},
            **{"dynamic_alpha_fn": (width, n + 1), "dynamic_beta_fn": (width,)},
            **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
        }
    return together(alpha, n, width)


def together(alpha: tuple[int, ...], n: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a site that normalises all streams as one vector."""
    wide = n * width
    return {
        **{"norm.gamma": (wide,), "static_alpha": alpha, "static_beta": (n,)},
        **{"dynamic_alpha_fn": (wide, prod(alpha)), "dynamic_beta_fn": (wide, n)},
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }


def _settings(kind: Kind, n: int, iters: Setting, step: Any) -> list[Setting]:
    found = [Setting("hyper_conn_n", n, "stored")]
    found += [iters] if kind.method == "mhc" else []
    return found + ([Setting("iter_num", step, "stored")] if type(step) is int else [])


def _assumptions(kind: Kind, n: int, iters: Setting, stored: str) -> tuple[str, ...]:
    found = []
    if kind.method == "mhc" and iters.source == "default":
        found.append(
            f"sinkhorn iterations {ITERS} (mhc-lite's default; not stored in the file); "
            f"--set iters=N overrides"
        )
    if not stored:
        found.append(f"{kind.method} with {n} streams, by the shapes of the tensors; no model_args")
    if not stored and n == 2 and kind.method == "mhc-lite":
        found.append("for 2 streams kromhc has the same tensors and the same matrices")
    return tuple(found)
