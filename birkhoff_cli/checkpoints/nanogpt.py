"""nanoGPT with hyper-connections, as the mhc-lite and KromHC repositories save it.

Every layer has two sites, ``transformer.h.N.hc_attn`` and ``.hc_mlp``. The code builds a matrix
M and applies its transpose, ``x_out = M^T x_in``, so H = M^T.

Source: github.com/FFTYYY/mhc-lite @ ea19775, github.com/wz1119/KromHC @ 7b15834.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported
from birkhoff_cli.analyses.geometry.permutations import refuse_too_many
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt import forward
from birkhoff_cli.checkpoints.gpt.layout import (
    arguments,
    dialect,
    layers_of,
    site_tensors,
    sites_of,
)
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES, MHC_NAMES
from birkhoff_cli.checkpoints.modules.mhc_lite import ITERS, LAYOUTS, connection, shapes, theta
from birkhoff_cli.checkpoints.sites.depth import Sites
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("transformer.h.",)
SAME_AS = {"analysis": "mhc"}
TYPES = (*LAYOUTS, *SAME_AS)
SWEEPS = Number("iters", (), ITERS)


def claims(store: NamedStore) -> set[str]:
    """Tensors of sites in nanoGPT's layers, unless the file speaks another program's dialect.

    One matrix has all logits of a site: where it has not, the class is another one's.
    """
    if dialect(store) not in ("", "type"):
        return set()
    names = site_tensors(store, frozenset((*HC_NAMES, *MHC_NAMES)))
    return {name for name in names if not _is_of_one_stream(store, name)}


def _is_of_one_stream(store: NamedStore, name: str) -> bool:
    """Whether it is a ``dynamic_alpha_fn`` with the logits of one stream, in a site of mHC."""
    owner, tensor, _ = name.rpartition("dynamic_alpha_fn")
    alpha = store.tensors.get(f"{owner}static_alpha")
    if not tensor or alpha is None or f"{owner}dynamic_alpha_scale" in store.tensors:
        return False
    return store.tensors[name].shape[1:] != (prod(alpha.shape),)


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Identify the type and check all shapes; then read one tensor per site."""
    args = arguments(store)
    stored = _stored_type(store, args)
    sites = sites_of(store)
    layers, assumed = layers_of(store, sites, args)
    type_, n, width = _identify(store, sites, stored, args)
    layout, expected = LAYOUTS[type_], shapes(type_, n, width)
    check_shapes(store, sites, expected)
    swept = layout.method == "mhc"
    refuse_unknown(forward.others(settings, args), ("iters",) if swept else (), layout.method)
    iters = number(store, {}, settings, SWEEPS)
    map_ = layout.map(n, iters.value)
    setting = Setting("hyper_conn_type", stored or type_, "config" if stored else "stored")
    checkpoint = Checkpoint(
        path=store.path,
        format="nanogpt",
        method=layout.method,
        map=map_,
        theta=theta(layout, values(store, sites, "static_alpha"), map_),
        sites=tuple(sites),
        d=n,
        layers=layers,
        width=width,
        settings=(setting, Setting("hyper_conn_n", n, "stored"), *([iters] if swept else [])),
        convention=layout.convention,
        assumptions=(
            *(defaults([iters], "mhc-lite's") if swept else ()),
            *_by_shapes(layout.method, n, stored),
            *assumed,
        ),
        dtypes=dtypes(store, sites, expected),
        inputs=(store.digest(),),
        connect=lambda store: connections(
            store, sites, expected, lambda tensors: connection(type_, tensors, map_)
        ),
    )
    return forward.runnable(checkpoint, args, settings)


def _stored_type(store: NamedStore, args: Mapping[str, Any]) -> str:
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


def _identify(
    store: NamedStore, sites: Sites, stored: str, args: Mapping[str, Any]
) -> tuple[str, int, int]:
    """Type, streams and width by the shapes at the first site, which ``model_args`` confirm."""
    site, names = next(iter(sites.items()))
    here, stored_shapes = at(store, site), shapes_at(store, names)
    for tensor in ("static_alpha", "static_beta", "norm.gamma"):
        if not stored_shapes.get(tensor):
            raise BadInput(f"{here} has no {tensor} with axes; {NOT_ITS_CODE}")
    n = stored_shapes["static_beta"][0]
    if not 1 <= n <= MAX_STREAMS:
        raise BadInput(f"{here} has {n} streams, not 1 to {MAX_STREAMS}; {NOT_ITS_CODE}")
    agree(store, args, "hyper_conn_n", n)
    width = stored_shapes["norm.gamma"][0] // (1 if "dynamic_alpha_scale" in stored_shapes else n)
    agree(store, args, "n_embd", width)
    fitting = [t for t in LAYOUTS if shapes(t, n, width).items() <= stored_shapes.items()]
    type_ = SAME_AS.get(stored, stored) or next(iter(fitting), "")
    if type_ not in fitting:
        expected_type = f"hyper_conn_type '{stored}'" if stored else "any type"
        shape = escape(stored_shapes["static_alpha"], 40)
        raise BadInput(
            f"{here}: n = {n} and static_alpha of shape {shape} are not "
            f"those of {expected_type}{f' but of {fitting[0]}' if fitting else ''}; {NOT_ITS_CODE}"
        )
    if type_ == "mhc_lite":
        _refuse_too_many(store, n)
    return type_, n, width


def _refuse_too_many(store: NamedStore, n: int) -> None:
    try:
        refuse_too_many(n)
    except TooLarge as error:
        raise TooLarge(f"{where(store.path)}: {error}") from error


def _by_shapes(method: str, n: int, stored: str) -> tuple[str, ...]:
    if stored:
        return ()
    sentence = f"{method} with {n} streams, by the shapes of the tensors; no model_args"
    twin = "for 2 streams kromhc has the same tensors and the same matrices"
    return (sentence, twin) if n == 2 and method == "mhc-lite" else (sentence,)
