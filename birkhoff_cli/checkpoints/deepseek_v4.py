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
from functools import partial
from math import inf
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules import deepseek
from birkhoff_cli.checkpoints.sites.depth import (
    DRAFT,
    Places,
    anchored,
    by_depth,
    depth_facts,
    matches,
)
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    Array,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    values,
)
from birkhoff_cli.containers import escape, where

MARKS = ("hc_", "_hc.")
TENSORS = (
    r"(?:hc_pre\.)?"
    r"(?=(?:hc_(?:attn|ffn)_|(?:attn|ffn|mlp)_hc\.|hc_(?:attn|mlp)_layer\.hc_)[a-z]+)"
    r"(?:hc_)?(?P<branch>attn|ffn|mlp)(?:_hc\.|_layer\.hc_|_)(?P<tensor>fn|base|scale)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
MTP = anchored(rf"(?:mtp|mtp_layers)\.(?:layers\.)?(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
"""A site of whatever layer, so that one with a strange number is refused and not left out."""

ASIDE = re.compile(rf".*{DRAFT.pattern}.*|(?:\w+\.)*hc_head[._](?:hc_)?(?:head_)?(?:fn|base|scale)")
"""Hyper-connections of multi-token prediction, and the sum of the streams at the end."""

BRANCHES = ("attn", "mlp")
CALLED = {"ffn": "mlp"}
SWEEPS = Number("iters", ("hc_sinkhorn_iters",), 20)
EPS = Number("eps", ("hc_eps",), deepseek.EPS, 0, 1)
MAGNITUDE = Number("magnitude", ("hc_magnitude",), deepseek.MAGNITUDE, 0, 1000)


def claims(store: NamedStore) -> set[str]:
    """Layers with the sites of one of the namings."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read one tensor per site."""
    config = _config(store)
    places = _places(store, config)
    layers = len(places) // len(BRANCHES)
    deep = depth_facts(store, SITE, layers, config, ("num_hidden_layers",))
    n, width, comb = _sizes(store, places)
    rows = n * (n + 2) if comb else 2 * n
    shapes = {"fn": (rows, n * width), "base": (rows,), "scale": (3 if comb else 2,)}
    check_shapes(store, places, shapes)
    agree(store, config, "hc_mult", n)
    agree(store, config, "hidden_size", width)
    chosen = _chosen(store, config, settings, comb)
    numbers = {s.name: s.value for s in chosen}
    return Checkpoint(
        path=store.path,
        format="deepseek_v4",
        method="mhc" if comb else "identity",
        map=deepseek.sinkhorn(n, numbers["iters"], numbers["eps"]) if comb else None,
        theta=deepseek.theta(values(store, places, "base"), n) if comb else _nothing(places),
        sites=tuple(places),
        d=n,
        layers=layers,
        width=width,
        settings=(Setting("hc_mult", n, "stored"), *chosen),
        convention=deepseek.CONVENTION if comb else deepseek.UNMIXED,
        assumptions=(
            *defaults(chosen, "transformers'"),
            *_left_out(store, _depth(config)),
            *deep,
        ),
        dtypes=dtypes(store, places, shapes),
        inputs=(store.digest(),),
        connect=partial(
            connections,
            places=places,
            shapes=shapes,
            make=partial(deepseek.connection, **numbers),
        ),
    )


def _config(store: NamedStore) -> Mapping[str, Any]:
    """``config.json``; of a model of several parts, the part about text."""
    config = store.config.get("config.json")
    if not isinstance(config, dict):
        return {}
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _places(store: NamedStore, config: Mapping[str, Any]) -> Places:
    for name, _ in matches(store, ANY_LAYER):
        if not SITE.fullmatch(name):
            raise BadInput(
                f"{where(store.path)}: '{escape(store.stored[name])}' is no layer; {NOT_ITS_CODE}"
            )
    return by_depth(store, SITE, BRANCHES, CALLED, _depth(config))


def _depth(config: Mapping[str, Any]) -> float:
    """Layers of the model; GLM-5-next keeps multi-token prediction as one layer more."""
    layers = config.get("num_hidden_layers")
    return layers if _is_glm(config) and type(layers) is int and layers > 0 else inf


def _is_glm(config: Mapping[str, Any]) -> bool:
    return str(config.get("model_type", "")).startswith("glm5_next")


def _sizes(store: NamedStore, places: Places) -> tuple[int, int, bool]:
    """Streams, width, and whether there is a ``comb``, by the shapes at the first site."""
    site, names = next(iter(places.items()))
    here, found = at(store, site), shapes_at(store, names)
    for tensor, axes in (("fn", 2), ("base", 1), ("scale", 1)):
        if len(found.get(tensor, ())) != axes:
            raise BadInput(f"{here} has no {tensor} of {axes} axes; {NOT_ITS_CODE}")
    comb = found["scale"] != (2,)
    rows, wide = found["fn"]
    n = deepseek.streams(rows, comb)
    if not 1 <= n <= MAX_STREAMS or rows != (n * (n + 2) if comb else 2 * n) or wide % n:
        raise BadInput(
            f"{here}: fn of shape {escape(found['fn'], 40)} is that of no number of streams up "
            f"to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return n, wide // n, comb


def _nothing(places: Places) -> Array:
    return np.zeros((len(places), 0), np.float32)


def _chosen(
    store: NamedStore, config: Mapping[str, Any], settings: Mapping[str, str], comb: bool
) -> tuple[Setting, ...]:
    """What the site needs beyond its tensors, and where each comes from."""
    norm = 1e-5 if _is_glm(config) or not comb else deepseek.EPS
    known = [EPS, Number("rms_norm_eps", ("rms_norm_eps",), norm, 0, 1)]
    known = [SWEEPS, *known] if comb else [*known, MAGNITUDE]
    refuse_unknown(settings, (of.name for of in known), "mhc" if comb else "identity")
    return tuple(number(store, config, settings, of) for of in known)


def _left_out(store: NamedStore, depth: float) -> tuple[str, ...]:
    """What is said about sites of multi-token prediction."""
    beside = {(m["layer"], m["branch"]) for m in map(MTP.fullmatch, store.tensors) if m}
    sites = {(m["layer"], m["branch"]) for _, m in matches(store, SITE)}
    beyond = [layer for layer, _ in sites if int(layer) >= depth]
    if not (mtp := len(beside) + len(beyond)):
        return ()
    return (
        f"{mtp} mtp sites (multi-token prediction) are left out: the model's own depth "
        f"does not pass through them",
    )
