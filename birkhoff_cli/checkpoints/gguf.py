"""GGUF conversions of models with hyper-connections, by their architecture and never by names.

``blk.N.hc_{attn,ffn}_{fn,base,scale}.weight`` are the tensors of DeepSeek-V4's site, and other
architectures keep other mathematics under the same names and shapes: which it is, says the key
``general.architecture``, and one that is not known here is refused. Blocks of multi-token
prediction behind the trunk are left out.

Source: ggml's GGUF specification; public converters, as measured on their files.
"""

import re
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules import deepseek
from birkhoff_cli.checkpoints.sites.depth import Places, anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    agree,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    values,
)
from birkhoff_cli.containers import escape, where

CONTAINERS = ("gguf",)
MARKS = ("hc_", "altup_", "mhc_")
BRANCHES = ("attn", "mlp")
CALLED = {"ffn": "mlp"}

SITE = anchored(
    r"blk\.(?P<layer>[0-9]{1,6})\.hc_(?P<branch>attn|ffn)_(?P<tensor>fn|base|scale)(?:\.weight)?"
)
ASIDE = re.compile(r"output_hc_(?:fn|base|scale)(?:\.weight)?|blk\.[0-9]+\.nextn\..*")
"""The sum of the streams at the end, and what only multi-token prediction has."""

LIKE = re.compile(r"blk\.[0-9]{1,6}\.(?:m?hc_|altup_).*")
"""Tensors of a residual connection of several streams, of whatever architecture."""


class Kind(NamedTuple):
    """What an architecture computes.

    Attributes:
        comb: whether a site has a mixing matrix.
        norm: what is added to the mean square if no key says it.
        about: a sentence on its gates, where they are not those of DeepSeek-V4.
    """

    comb: bool = True
    norm: float = deepseek.EPS
    about: str = ""


ARCHITECTURES: Mapping[str, Kind] = {
    "deepseek4": Kind(),
    "deepseek41": Kind(about="H_pre of a site is computed one site before; H is not affected"),
    "glm5-next": Kind(norm=1e-5),
    "glm5next": Kind(norm=1e-5),
    "hy_v4": Kind(comb=False, norm=1e-5),
}
"""Architectures that are read."""

KNOWN = {
    "xing4_0": "clamps its logits, normalises rows first and does not transpose",
    "motif3": "clips its logits, normalises rows first and does not transpose",
    "gemma3n": "mixes by AltUp, H = I + W m of the streams",
    "qwen4exp": "does not mix its streams, H = I",
}
"""Architectures whose mathematics are known, and that are not read from GGUF."""

SWEEPS = Number("iters", ("sinkhorn_iterations",), 20)
EPS = Number("eps", ("epsilon",), deepseek.EPS, 0, 1)
MAGNITUDE = Number("magnitude", ("magnitude",), deepseek.MAGNITUDE, 0, 1000)


def claims(store: NamedStore) -> set[str]:
    """Tensors of residual streams in the blocks, of known and unknown architectures."""
    return {name for name in store.tensors if LIKE.fullmatch(name)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check shapes and keys; then read one tensor per site."""
    keys = store.config.get("gguf", {})
    kind = _kind(store, keys)
    trunk, left_out = _trunk(store, keys)
    places = by_depth(store, SITE, BRANCHES, CALLED, trunk)
    if not places:
        raise BadInput(
            f"{where(store.path)}: holds no block of the model itself, only of multi-token "
            f"prediction; give the model's file"
        )
    layers = len(places) // len(BRANCHES)
    n, width = _sizes(store, places, kind)
    rows = n * (n + 2) if kind.comb else 2 * n
    shapes = {"fn": (rows, n * width), "base": (rows,), "scale": (3 if kind.comb else 2,)}
    check_shapes(store, places, shapes)
    config = _config(keys)
    for key, found in (("count", n), ("embedding_length", width)):
        agree(store, config, key, found)
    if trunk < inf:
        agree(store, {"block_count": trunk}, "block_count", layers)
    chosen = _chosen(store, config, settings, kind)
    numbers = {s.name: s.value for s in chosen}
    comb = kind.comb
    return Checkpoint(
        path=store.path,
        format="gguf",
        method="mhc" if comb else "identity",
        map=deepseek.sinkhorn(n, numbers["iters"], numbers["eps"]) if comb else None,
        theta=deepseek.theta(values(store, places, "base"), n)
        if comb
        else np.zeros((len(places), 0), np.float32),
        sites=tuple(places),
        d=n,
        layers=layers,
        width=width,
        settings=(
            Setting("architecture", keys.get("general.architecture"), "config"),
            Setting("hc_mult", n, "stored"),
            *chosen,
        ),
        convention=deepseek.CONVENTION if comb else deepseek.UNMIXED,
        assumptions=(
            *defaults(chosen, "the original model's"),
            *left_out,
            *filter(None, [kind.about]),
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


def _kind(store: NamedStore, keys: Mapping[str, Any]) -> Kind:
    """What the architecture computes.

    Raises:
        Unsupported: it is not known, or known and not read.
    """
    name = keys.get("general.architecture")
    if kind := ARCHITECTURES.get(str(name)):
        return kind
    if name in KNOWN:
        raise Unsupported(
            f"{where(store.path)}: its architecture {name} {KNOWN[name]}, which this version does "
            f"not read from GGUF; give the checkpoint that it was converted from"
        )
    raise Unsupported(
        f"{where(store.path)}: its architecture '{escape(name, 40)}' is not known here, and the "
        f"same names hold other mathematics in others (known: {', '.join(ARCHITECTURES)}); give "
        f"its matrices as numpy.save writes them"
    )


def _trunk(store: NamedStore, keys: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    """Blocks of the model itself, and what is said about those of multi-token prediction.

    The count of blocks includes them only if a tensor of such a block is there: converters do not
    agree about it.
    """
    blocks = _whole(_key(keys, "block_count"))
    if blocks is None:
        return inf, ()
    drafts = _whole(_key(keys, "nextn_predict_layers")) or 0
    trunk = blocks - drafts
    names = {f"blk.{trunk}.nextn.eh_proj.weight", f"blk.{trunk}.nextn.eh_proj"}
    if not drafts or trunk < 0 or not names & set(store.tensors):
        return blocks, ()
    beyond = {m["layer"] for _, m in matches(store, SITE) if int(m["layer"]) >= trunk}
    said = (
        f"{drafts} of {blocks} blocks ({len(beyond)} with sites) are multi-token prediction and "
        f"left out: the model's own depth does not pass through them"
    )
    return trunk, (said,)


def _sizes(store: NamedStore, places: Places, kind: Kind) -> tuple[int, int]:
    """Streams and width, by the shape of ``fn`` at the first site."""
    site, names = next(iter(places.items()))
    fn = shapes_at(store, names).get("fn", ())
    n = deepseek.streams(fn[0], kind.comb) if len(fn) == 2 else 0
    if not 1 <= n <= MAX_STREAMS or fn[0] != (n * (n + 2) if kind.comb else 2 * n) or fn[1] % n:
        raise BadInput(
            f"{at(store, site)}: fn of shape {escape(fn, 40)} is that of no number of streams up "
            f"to {MAX_STREAMS}; convert the model again"
        )
    return n, fn[1] // n


def _chosen(
    store: NamedStore, config: Mapping[str, Any], settings: Mapping[str, str], kind: Kind
) -> tuple[Setting, ...]:
    """What the site needs beyond its tensors, and where each comes from."""
    known = [EPS, Number("rms_norm_eps", ("layer_norm_rms_epsilon",), kind.norm, 0, 1)]
    known = [SWEEPS, *known] if kind.comb else [*known, MAGNITUDE]
    refuse_unknown(settings, (of.name for of in known), "mhc" if kind.comb else "identity")
    return tuple(number(store, config, settings, of) for of in known)


def _config(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that count, by their last word; numbers of any type of GGUF."""
    found = {
        "sinkhorn_iterations": _whole(_key(keys, "hyper_connection.sinkhorn_iterations")),
        "count": _whole(_key(keys, "hyper_connection.count")),
        "embedding_length": _whole(_key(keys, "embedding_length")),
        "epsilon": _real(_key(keys, "hyper_connection.epsilon")),
        "magnitude": _real(_key(keys, "hyper_connection.magnitude")),
        "layer_norm_rms_epsilon": _real(_key(keys, "attention.layer_norm_rms_epsilon")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _key(keys: Mapping[str, Any], name: str) -> Any:
    return keys.get(f"{keys.get('general.architecture')}.{name}")


def _whole(value: Any) -> Any:
    """A whole number, also if it is kept as a float; anything else as it is."""
    return int(value) if type(value) is float and value.is_integer() else value


def _real(value: Any) -> Any:
    """A number as it was written: GGUF keeps 1e-6 as the nearest float32."""
    return float(str(np.float32(value))) if type(value) in (int, float) else value
