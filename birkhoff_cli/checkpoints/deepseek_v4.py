"""DeepSeek-V4 and its relatives, as transformers, trainers and the releases save them.

Every layer has two sites, attention and feed-forward; each of them holds ``fn``, ``base`` and
``scale`` for all of H_pre, H_post and ``comb``. The code applies ``x_out = comb^T x_in``, so
H = comb^T. These namings of the same tensors are read:

- ``model.layers.N.attn_hc.fn``: the modules of transformers;
- ``model.layers.N.hc_attn_fn``: what ``save_pretrained`` writes by default;
- ``layers.N.hc_attn_fn``: the release;
- ``layers.N.hc_attn_pre.hc_fn``: torchtitan;
- ``model.layers.N.hc_attn_layer.hc_pre.hc_fn``: the release of HY-V4.

GLM-5-next has the same tensors. HY-V4 has no ``comb``: its streams are never mixed. Kernels want
``fn`` in tiles, so a file may hold more rows of it than there are outputs.

Source: transformers 5.23.0, ``models/deepseek_v4``, ``glm5_next`` and ``hy_v4``.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules import deepseek
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import DRAFT, Sites, anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    MAX_STREAMS,
    NOT_ITS_CODE,
    Array,
    at,
    check_shapes,
    connections,
    dtypes,
    shapes_at,
    values,
)
from birkhoff_cli.containers import escape

MARKS = ("_hc.", "hc_attn_", "hc_ffn_", "hc_mlp_", "hc_pre.")
TENSORS = (
    r"(?=hc_(?:attn|ffn|mlp|pre)|(?:attn|ffn|mlp)_hc\.)(?:hc_pre\.)?(?:hc_)?"
    r"(?P<branch>attn|ffn|mlp)(?:_hc\.|_layer\.(?:hc_pre\.)?hc_|_pre\.hc_|_)"
    r"(?P<tensor>fn|base|scale)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
MTP = anchored(rf"(?:mtp|mtp_layers)\.(?:layers\.)?(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
"""A site of whatever layer, so that one with a strange number is refused and not left out."""

ASIDE = re.compile(rf".*{DRAFT.pattern}.*|(?:\w+\.)*hc_head[._](?:hc_)?(?:head_)?(?:fn|base|scale)")
"""Hyper-connections of multi-token prediction, and the sum of the streams at the end."""

BRANCHES = ("attn", "mlp")
CALLED = {"ffn": "mlp"}
SWEEPS = Number("iters", configured.ITERS, 20)
EPS = Number("eps", configured.EPS, deepseek.EPS, 0, 1)
MAGNITUDE = Number("magnitude", configured.POST, deepseek.MAGNITUDE, 0, 1000)


def claims(store: NamedStore) -> set[str]:
    """Layers with the sites of one of the namings."""
    for pattern in (ANY_LAYER, SITE, MTP):  # few of 100,000 names have a mark
        store.matching(pattern, MARKS)
    return {name for name, _ in matches(store, ANY_LAYER)}


class Sizes(NamedTuple):
    """What the shapes at the first site say, and ``config.json`` where they leave it open."""

    streams: int
    width: int
    comb: bool
    fn_rows: int
    base_rows: int

    @property
    def rows(self) -> int:
        """Rows of ``fn`` that are used, and numbers of ``base``."""
        return self.streams * (self.streams + 2) if self.comb else 2 * self.streams

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every site's tensors."""
        fn = (self.fn_rows, self.streams * self.width)
        return {"fn": fn, "base": (self.base_rows,), "scale": (3 if self.comb else 2,)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read one tensor per site."""
    config = model_config(store)
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config, drafts=_is_glm(config))
    sites = by_depth(store, SITE, BRANCHES, CALLED, end)
    layers = len(sites) // len(BRANCHES)
    deep = configured.depth_of(store, SITE, layers, config, end, [MTP])
    sizes = _sizes(store, sites, config)
    check_shapes(store, sites, sizes.shapes)
    configured.agree_on(store, config, configured.STREAMS, sizes.streams)
    configured.agree_on(store, config, configured.WIDTH, sizes.width)
    chosen = _chosen(store, config, settings, sizes.comb)
    numbers = {s.name: s.value for s in chosen}
    return Checkpoint(
        path=store.path,
        format="deepseek_v4",
        method="mhc" if sizes.comb else "identity",
        map=_map(sizes, numbers),
        theta=_theta(store, sites, sizes),
        sites=tuple(sites),
        d=sizes.streams,
        layers=layers,
        width=sizes.width,
        settings=(Setting("hc_mult", sizes.streams, "stored"), *chosen),
        convention=deepseek.CONVENTION if sizes.comb else deepseek.UNMIXED,
        assumptions=(
            *defaults(chosen, "transformers'"),
            *deep,
            *_padding(sizes),
            *_family(config),
            *configured.unknown_settings(config, _known(sizes.comb)),
        ),
        dtypes=dtypes(store, sites, sizes.shapes),
        inputs=(store.digest(),),
        connect=partial(
            connections,
            sites=sites,
            shapes=sizes.shapes,
            make=partial(_connection, rows=sizes.rows, numbers=numbers),
        ),
    )


def _connection(
    tensors: Mapping[str, Array], *, rows: int, numbers: Mapping[str, Any]
) -> Connection:
    used = {"fn": tensors["fn"][:rows], "base": tensors["base"][:rows], "scale": tensors["scale"]}
    return deepseek.connection(used, **numbers)


def _map(sizes: Sizes, numbers: Mapping[str, Any]) -> Parameterization | None:
    if not sizes.comb:
        return None
    return deepseek.sinkhorn(sizes.streams, numbers["iters"], numbers["eps"])


def _theta(store: NamedStore, sites: Sites, sizes: Sizes) -> Array:
    if not sizes.comb:
        return np.zeros((len(sites), 0), np.float32)
    return deepseek.theta(values(store, sites, "base")[:, : sizes.rows], sizes.streams)


def _sizes(store: NamedStore, sites: Sites, config: Mapping[str, Any]) -> Sizes:
    site, names = next(iter(sites.items()))
    here, shapes = at(store, site), shapes_at(store, names)
    for tensor, axes in (("fn", 2), ("base", 1), ("scale", 1)):
        if len(shapes.get(tensor, ())) != axes:
            raise BadInput(f"{here} has no {tensor} of {axes} axes; {NOT_ITS_CODE}")
    comb = shapes["scale"] != (2,)
    (rows, wide), (base,) = shapes["fn"], shapes["base"]
    n = _configured_streams(config, wide) or deepseek.streams(min(base, rows), comb)
    sizes = Sizes(n, wide // n if n else 0, comb, rows, base)
    fits = 1 <= n <= MAX_STREAMS and wide == n * sizes.width and sizes.rows <= min(rows, base)
    padded = fits and (n == _configured_streams(config, wide) or sizes.rows == base)
    if not fits or not (padded or sizes.rows == rows):
        raise BadInput(
            f"{here}: fn of shape {escape(shapes['fn'], 40)} is that of no number of streams up "
            f"to {MAX_STREAMS}; {NOT_ITS_CODE}"
        )
    return sizes


def _configured_streams(config: Mapping[str, Any], wide: int) -> int:
    """Streams as the configuration has them, if it has the width of one as well, and both fit."""
    for key in configured.STREAMS:
        for width in configured.WIDTH:
            n, d = config.get(key), config.get(width)
            if type(n) is int and type(d) is int and n * d == wide:
                return n
    return 0


def _padding(sizes: Sizes) -> tuple[str, ...]:
    if sizes.rows == sizes.fn_rows:
        return ()
    return (
        f"fn has {sizes.fn_rows} rows, of which the first {sizes.rows} are read: "
        f"{sizes.streams} streams have no more",
    )


def _is_glm(config: Mapping[str, Any]) -> bool:
    """GLM-5-next keeps multi-token prediction as one layer more, and says it nowhere."""
    return str(config.get("model_type", "")).startswith("glm5_next")


def _family(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What is assumed about a model of another name."""
    name = str(config.get("model_type", ""))
    if re.fullmatch(r"(?:deepseek|glm5_next|hy_v4).*|", name):
        return ()
    return (
        f"the mathematics of DeepSeek-V4, by the names of tensors; model_type "
        f"'{escape(name, 40)}' is not known here",
    )


def _chosen(
    store: NamedStore, config: Mapping[str, Any], settings: Mapping[str, str], comb: bool
) -> tuple[Setting, ...]:
    """What the site needs beyond its tensors, and where each comes from."""
    norm = 1e-5 if _is_glm(config) or not comb else deepseek.EPS
    known = [EPS, Number("rms_norm_eps", configured.NORM, norm, 0, 1)]
    known = [SWEEPS, *known] if comb else [*known, MAGNITUDE]
    if comb and any(key in config for key in configured.POST):  # V4 itself has none: twice
        known.append(MAGNITUDE)
    refuse_unknown(settings, (of.name for of in known), "mhc" if comb else "identity")
    return tuple(number(store, config, settings, of) for of in known)


def _known(comb: bool) -> set[str]:
    """Keys of ``config.json`` that are used."""
    used = {*EPS.keys, *MAGNITUDE.keys}
    return used | {*SWEEPS.keys} if comb else used
