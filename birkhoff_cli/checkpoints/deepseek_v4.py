"""DeepSeek-V4 and its relatives, as transformers and the releases save them.

Every layer has two sites, attention and feed-forward; each of them holds ``fn``, ``base`` and
``scale`` for all of H_pre, H_post and ``comb``. The code applies ``x_out = comb^T x_in``, so
H = comb^T. Three namings of the same tensors are read:

- ``model.layers.N.attn_hc.fn``: the modules of transformers;
- ``model.layers.N.hc_attn_fn``: what ``save_pretrained`` writes by default;
- ``layers.N.hc_attn_fn``: the release.

GLM-5-next has the same tensors. HY-V4 has no ``comb``: its streams are never mixed.

What follows the streams is ``fn`` times all of them, one after another, over their root mean
square.

Source: transformers 5.23.0, ``models/deepseek_v4``, ``glm5_next`` and ``hy_v4``.
"""

import re
from collections.abc import Mapping
from functools import partial
from math import inf, isfinite, isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting, sites
from birkhoff_cli.checkpoints.sites import MAX_ITERS, NOT_ITS_CODE, Places
from birkhoff_cli.containers import Store, escape, where

SITE = (
    r"(?:hc_pre\.)?"
    r"(?=(?:hc_(?:attn|ffn)_|(?:attn|ffn|mlp)_hc\.|hc_(?:attn|mlp)_layer\.hc_)[a-z]+)"
    r"(?:hc_)?(attn|ffn|mlp)(?:_hc\.|_layer\.hc_|_)(fn|base|scale)"
)
TENSOR = re.compile(rf"(?:(?:model|language_model)\.)*layers\.([0-9]{{1,6}})\.{SITE}")
MTP = re.compile(rf"(?:model\.)?mtp(?:_layers)?\.(?:layers\.)?([0-9]{{1,6}})\.{SITE}")
ANY_LAYER = re.compile(rf"(?:(?:model|language_model)\.)*layers\.[^.]*\.{SITE}")
"""A site of whatever layer, so that one with a strange number is refused and not left out."""

ASIDE = re.compile(
    r"(?:.*\.)?mtp(?:_layers)?\..*|(?:\w+\.)*hc_head[._](?:hc_)?(?:head_)?(?:fn|base|scale)"
)
"""Hyper-connections of multi-token prediction, and the sum of the streams at the end."""

BRANCHES = ("attn", "mlp")
CALLED = {"ffn": "mlp"}
MAX_STREAMS = 1024
ITERS, EPS, MAGNITUDE = 20, 1e-6, 2.0


class Real(NamedTuple):
    """A real number that no tensor holds: its key in ``config.json``, and what it is if absent."""

    key: str
    default: float
    below: float


WITH_COMB = (
    "stores logits of comb, base[2n:], row by row, applies x_out = comb^T x_in; transposed here; "
    "the model rounds comb to the dtype of its activations, here it is float32"
)
WITHOUT_COMB = "stores no mixing matrix, applies x_out = x_in + H_post branch; H = I"

Array = NDArray[np.float32]


def recognises(store: Store) -> bool:
    """Layers with the sites of one of the namings."""
    return any(ANY_LAYER.fullmatch(name) for name in map(sites.bare, store.tensors))


def read(store: Store, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read one tensor per site."""
    config = _config(store)
    places = _places(store, config)
    n, width, comb = _sizes(store, places)
    rows = n * (n + 2) if comb else 2 * n
    shapes = {"fn": (rows, n * width), "base": (rows,), "scale": (3 if comb else 2,)}
    sites.check_shapes(store, places, shapes)
    sites.agree(store, config, "hc_mult", n)
    sites.agree(store, config, "hidden_size", width)
    chosen = _chosen(store, config, settings, comb)
    numbers = {s.name: s.value for s in chosen}
    return Checkpoint(
        path=store.path,
        format="deepseek_v4",
        method="mhc" if comb else "identity",
        map=_map(n, numbers["iters"], numbers["eps"]) if comb else None,
        theta=_theta(sites.values(store, places, "base"), n) if comb else _nothing(places),
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(Setting("hc_mult", n, "stored"), *chosen),
        convention=WITH_COMB if comb else WITHOUT_COMB,
        assumptions=_assumptions(store, chosen, _depth(config)),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=partial(
            sites.connections, places=places, shapes=shapes, make=partial(connection, **numbers)
        ),
    )


def connection(
    tensors: Mapping[str, Any],
    *,
    eps: float = EPS,
    rms_norm_eps: float = EPS,
    iters: int = ITERS,
    magnitude: float = MAGNITUDE,
) -> Connection:
    """The site that ``fn``, ``base`` and ``scale`` of one module describe.

    Args:
        tensors: those three, by name.
        eps: added to H_pre and in every step of Sinkhorn.
        rms_norm_eps: added to the mean square of the streams.
        iters: steps of Sinkhorn.
        magnitude: largest H_post, of HY-V4; twice a sigmoid in the others.
    """
    fn, base, scale = (tensors[name] for name in ("fn", "base", "scale"))
    comb = scale.shape[0] == 3
    n = _streams(fn.shape[0], comb)
    index = np.arange(fn.shape[0])
    pre, post = index[None, :n], index[None, n : 2 * n]
    turned = index[2 * n :].reshape(-1, n).T.reshape(1, -1)
    return Connection(
        map=_map(n, iters, eps) if comb else None,
        d=n,
        width=fn.shape[1] // n,
        mixing=Gate(base[turned[0]], scale[2], turned) if comb else Gate(base[:0]),
        pre=Gate(base[:n], scale[0], pre, (eps, 1)),
        post=Gate(base[n : 2 * n], scale[1], post, (0, 2) if comb else (eps, magnitude)),
        weight=fn.T,
        norm=Norm("inside", rms_norm_eps),
    )


def _map(n: int, iters: int, eps: float) -> MHC:
    return MHC(n, "deepseek-v4", iters, eps=eps)


def _streams(rows: int, comb: bool) -> int:
    """Streams by the rows of ``fn``, which are ``n (n + 2)``, or 2n without ``comb``."""
    return isqrt(rows + 1) - 1 if comb else rows // 2


def _config(store: Store) -> Mapping[str, Any]:
    """``config.json``; of a model of several parts, the part about text."""
    config = store.config.get("config.json")
    if not isinstance(config, dict):
        return {}
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _places(store: Store, config: Mapping[str, Any]) -> Places:
    for name in map(sites.bare, store.tensors):
        if ANY_LAYER.fullmatch(name) and not TENSOR.fullmatch(name):
            raise BadInput(f"{where(store.path)}: '{escape(name)}' is no layer; {NOT_ITS_CODE}")
    places = sites.by_depth(store, TENSOR, BRANCHES, CALLED, _depth(config))
    sites.agree(store, config, "num_hidden_layers", len(places) // len(BRANCHES))
    return places


def _depth(config: Mapping[str, Any]) -> float:
    """Layers of the model; GLM-5-next keeps multi-token prediction as one layer more."""
    layers = config.get("num_hidden_layers")
    return layers if _is_glm(config) and type(layers) is int and layers > 0 else inf


def _is_glm(config: Mapping[str, Any]) -> bool:
    return str(config.get("model_type", "")).startswith("glm5_next")


def _sizes(store: Store, places: Places) -> tuple[int, int, bool]:
    """Streams, width, and whether there is a ``comb``, by the shapes at the first site."""
    site, names = next(iter(places.items()))
    here = sites.at(store, site)
    found = {tensor: store.tensors[name].shape for tensor, name in names.items()}
    for tensor, axes in (("fn", 2), ("base", 1), ("scale", 1)):
        if len(found.get(tensor, ())) != axes:
            raise BadInput(f"{here} has no {tensor} of {axes} axes; {NOT_ITS_CODE}")
    comb = found["scale"] != (2,)
    rows, wide = found["fn"]
    n = _streams(rows, comb)
    if not 1 <= n <= MAX_STREAMS or rows != (n * (n + 2) if comb else 2 * n) or wide % n:
        raise BadInput(
            f"{here}: fn of shape {escape(found['fn'], 40)} is that of no number of streams up "
            f"to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return n, wide // n, comb


def _theta(base: Array, n: int) -> Array:
    """Parameters of the static H of all sites."""
    logits = base[:, 2 * n :].reshape(-1, n, n)
    return np.ascontiguousarray(logits.swapaxes(1, 2).reshape(-1, n * n))


def _nothing(places: Places) -> Array:
    return np.zeros((len(places), 0), np.float32)


def _chosen(
    store: Store, config: Mapping[str, Any], settings: Mapping[str, str], comb: bool
) -> tuple[Setting, ...]:
    """What the site needs beyond its tensors, and where each comes from."""
    reals = _reals(config, comb)
    method = "mhc" if comb else "identity"
    sites.refuse_unknown(settings, ("iters", *reals) if comb else tuple(reals), method)
    found = [_iters(store, config, settings)] if comb else []
    found += [_real(store, config, settings, name, real) for name, real in reals.items()]
    return tuple(found)


def _reals(config: Mapping[str, Any], comb: bool) -> dict[str, Real]:
    """Real numbers by name, with the defaults of this member of the family."""
    norm = 1e-5 if _is_glm(config) or not comb else EPS
    found = {"eps": Real("hc_eps", EPS, 1), "rms_norm_eps": Real("rms_norm_eps", norm, 1)}
    return found if comb else found | {"magnitude": Real("hc_magnitude", MAGNITUDE, 1000)}


def _iters(store: Store, config: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    chosen = sites.iterations(settings, ITERS)
    if chosen.source == "set" or "hc_sinkhorn_iters" not in config:
        return chosen
    value = config["hc_sinkhorn_iters"]
    if type(value) is not int or not 0 <= value <= MAX_ITERS:
        raise _out_of_range(store, "hc_sinkhorn_iters", value, f"a number, 0 to {MAX_ITERS}")
    return Setting("iters", value, "config")


def _real(
    store: Store, config: Mapping[str, Any], settings: Mapping[str, str], name: str, real: Real
) -> Setting:
    if (word := settings.get(name)) is not None:
        return Setting(name, _number(name, word, real.below), "set")
    if real.key not in config:
        return Setting(name, real.default, "default")
    value = config[real.key]
    if type(value) not in (int, float) or not 0 <= value < real.below:
        raise _out_of_range(store, real.key, value, f"a number from 0 to below {real.below}")
    return Setting(name, float(value), "config")


def _number(name: str, word: str, below: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not isfinite(value) or not 0 <= value < below:
        raise UsageError(
            f"--set {name}={escape(word, 20)}: expected a number from 0 to below {below}"
        )
    return value


def _out_of_range(store: Store, key: str, value: Any, expected: str) -> BadInput:
    return BadInput(
        f"{where(store.path)}: its configuration says {key} = {escape(repr(value), 20)}, expected "
        f"{expected}; correct config.json"
    )


def _assumptions(store: Store, chosen: tuple[Setting, ...], depth: float) -> tuple[str, ...]:
    found = [
        f"{s.name} {s.value:g} (transformers' default; no config.json says it); "
        f"--set {s.name}=VALUE overrides"
        for s in chosen
        if s.source == "default"
    ]
    names = list(map(sites.bare, store.tensors))
    beside = {m.groups()[:2] for m in map(MTP.fullmatch, names) if m}
    beyond = {m.groups()[:2] for m in map(TENSOR.fullmatch, names) if m and int(m[1]) >= depth}
    if mtp := len(beside) + len(beyond):
        found.append(
            f"{mtp} mtp sites (multi-token prediction) are left out: the model's own depth "
            f"does not pass through them"
        )
    return tuple(found)
