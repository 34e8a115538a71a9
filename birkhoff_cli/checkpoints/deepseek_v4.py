"""DeepSeek-V4 and its relatives, as transformers and the releases save them.

Every layer has two sites, attention and feed-forward; each of them holds ``fn``, ``base`` and
``scale`` for all of H_pre, H_post and ``comb``. The code applies ``x_out = comb^T x_in``, so
H = comb^T. Three namings of the same tensors are read:

- ``model.layers.N.attn_hc.fn``: the modules of transformers;
- ``model.layers.N.hc_attn_fn``: what ``save_pretrained`` writes by default;
- ``layers.N.hc_attn_fn``: the release.

GLM-5-next has the same tensors. HY-V4 has no ``comb``: its streams are never mixed.

Source: transformers 5.23.0, ``models/deepseek_v4``, ``glm5_next`` and ``hy_v4``.
"""

import re
from collections.abc import Mapping
from math import isfinite, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyses.core.errors import BadInput, UsageError
from analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting, sites
from birkhoff_cli.checkpoints.sites import MAX_ITERS, NOT_ITS_CODE, Places
from birkhoff_cli.containers import Store, escape, where

SITE = (
    r"(?=(?:hc_(?:attn|ffn)_|(?:attn|ffn|mlp)_hc\.|hc_(?:attn|mlp)_layer\.hc_)[a-z]+)"
    r"(?:hc_)?(attn|ffn|mlp)(?:_hc\.|_layer\.hc_|_)(fn|base|scale)"
)
TENSOR = re.compile(rf"(?:(?:model|language_model)\.)*layers\.([0-9]{{1,6}})\.{SITE}")
MTP = re.compile(rf"(?:model\.)?mtp\.(?:layers\.)?([0-9]{{1,6}})\.{SITE}")
ANY_LAYER = re.compile(rf"(?:(?:model|language_model)\.)*layers\.[^.]*\.{SITE}")
"""A site of whatever layer, so that one with a strange number is refused and not left out."""

BRANCHES = ("attn", "mlp")
CALLED = {"ffn": "mlp"}
MAX_STREAMS = 1024
ITERS, EPS = 20, 1e-6

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
    method = "mhc" if comb else "identity"
    sites.refuse_unknown(settings, ("iters", "eps") if comb else (), method)
    chosen = (_iters(store, config, settings), _eps(store, config, settings)) if comb else ()
    return Checkpoint(
        path=store.path,
        format="deepseek_v4",
        method=method,
        map=MHC(n, "deepseek-v4", chosen[0].value, eps=chosen[1].value) if chosen else None,
        theta=_theta(store, places, n) if comb else np.zeros((len(places), 0), np.float32),
        sites=tuple(places),
        d=n,
        layers=len(places) // len(BRANCHES),
        width=width,
        settings=(Setting("hc_mult", n, "stored"), *chosen),
        convention=WITH_COMB if comb else WITHOUT_COMB,
        assumptions=_assumptions(store, chosen),
        dtypes=sites.dtypes(store, places, shapes),
        inputs=(store.digest(),),
    )


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
    places = sites.by_depth(store, TENSOR, BRANCHES, CALLED)
    sites.agree(store, config, "num_hidden_layers", len(places) // len(BRANCHES))
    return places


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
    n = isqrt(rows + 1) - 1 if comb else rows // 2
    if not 1 <= n <= MAX_STREAMS or rows != (n * (n + 2) if comb else 2 * n) or wide % n:
        raise BadInput(
            f"{here}: fn of shape {escape(found['fn'], 40)} is that of no number of streams up "
            f"to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return n, wide // n, comb


def _theta(store: Store, places: Places, n: int) -> Array:
    logits = sites.values(store, places, "base")[:, 2 * n :].reshape(-1, n, n)
    return np.ascontiguousarray(logits.swapaxes(1, 2).reshape(-1, n * n))


def _iters(store: Store, config: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    chosen = sites.iterations(settings, ITERS)
    if chosen.source == "set" or "hc_sinkhorn_iters" not in config:
        return chosen
    value = config["hc_sinkhorn_iters"]
    if type(value) is not int or not 0 <= value <= MAX_ITERS:
        raise _out_of_range(store, "hc_sinkhorn_iters", value, f"a number, 0 to {MAX_ITERS}")
    return Setting("iters", value, "config")


def _eps(store: Store, config: Mapping[str, Any], settings: Mapping[str, str]) -> Setting:
    if (word := settings.get("eps")) is not None:
        return Setting("eps", _eps_of(word), "set")
    if "hc_eps" not in config:
        return Setting("eps", EPS, "default")
    value = config["hc_eps"]
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise _out_of_range(store, "hc_eps", value, "a number from 0 to below 1")
    return Setting("eps", float(value), "config")


def _eps_of(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not isfinite(value) or not 0 <= value < 1:
        raise UsageError(f"--set eps={escape(word, 20)}: expected a number from 0 to below 1")
    return value


def _out_of_range(store: Store, key: str, value: Any, expected: str) -> BadInput:
    return BadInput(
        f"{where(store.path)}: its configuration says {key} = {escape(repr(value), 20)}, expected "
        f"{expected}; correct config.json"
    )


def _assumptions(store: Store, chosen: tuple[Setting, ...]) -> tuple[str, ...]:
    found = [
        f"{s.name} {s.value:g} (DeepSeek-V4's default; no config.json says it); "
        f"--set {s.name}=VALUE overrides"
        for s in chosen
        if s.source == "default"
    ]
    matches = filter(None, (MTP.fullmatch(sites.bare(name)) for name in store.tensors))
    if mtp := len({(match[1], match[2]) for match in matches}):
        found.append(
            f"{mtp} mtp sites (multi-token prediction) are left out: the model's own depth "
            f"does not pass through them"
        )
    return tuple(found)
