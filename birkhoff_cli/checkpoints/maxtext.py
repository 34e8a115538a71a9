"""MaxText: DeepSeek-V4's sites as arrays of JAX, exported flat, one layer each or stacked.

A layer has two sites, ``mhc_attention`` and ``mhc_mlp``, with ``pre``, ``post`` and ``res`` apart:
``_alpha`` (n width, k), ``_beta`` and ``_alpha_scale``, and the norm's scale. Words of a name are
joined by a hyphen, a dot or a slash. Layers that were scanned share one array each, with an axis of
layers in the second place. The code applies ``x_out = res^T x_in``.

Source: github.com/AI-Hypercomputer/maxtext, ``layers/mhc.py``.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.connection import Connection, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, stacked
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import (
    Sites,
    anchored,
    by_depth,
    depth_facts,
    in_one_model,
    matches,
)
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import (
    NOT_ITS_CODE,
    Array,
    check_shapes,
    dtypes,
    shapes_at,
    value,
)
from birkhoff_cli.containers import where

MARKS = ("mhc_attention", "mhc_mlp")
TENSORS = (
    r"mhc_(?P<branch>attention|mlp)[-./]"
    r"(?P<tensor>(?:pre|post|res)_(?:alpha|alpha_scale|beta)|mhc_norm[-./]scale)"
)
BEGIN = r"(?:params[-./])*decoder[-./]"
SITE = anchored(rf"{BEGIN}layers_(?P<layer>[0-9]{{1,6}})[-./]{TENSORS}")
SCANNED = anchored(rf"{BEGIN}(?:\w+_)?layers[-./]{TENSORS}")
CALLED = {"attention": "attn"}
BRANCHES = ("attn", "mlp")
PARTS = ("pre", "post", "res")
GAIN = "mhc_norm-scale"
LAYOUT = Layout(
    sizes=lambda shapes: (shapes["pre_beta"][0], shapes["pre_alpha"][0] // shapes["pre_beta"][0]),
    shapes=lambda n, width: {
        **{f"{part}_alpha": (n * width, k) for part, k in zip(PARTS, (n, n, n * n), strict=True)},
        **{"pre_beta": (n,), "post_beta": (n,), "res_beta": (n, n)},
        **{f"{part}_alpha_scale": (1,) for part in PARTS},
        GAIN: (n * width,),
    },
    fn=lambda tensors: stacked(*(tensors[f"{part}_alpha"].T for part in PARTS)) * tensors[GAIN],
    base=lambda tensors: stacked(*(tensors[f"{part}_beta"].reshape(-1) for part in PARTS)),
    scale=lambda tensors: [tensors[f"{part}_alpha_scale"][0] for part in PARTS],
    base_from=tuple(f"{part}_beta" for part in PARTS),
)
SWEEPS = Number("iters", configured.ITERS, 20)
EPS = Number("eps", configured.EPS, 1e-6, 0, 1)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)
LAYERS = ("num_decoder_layers", "base_num_decoder_layers", *configured.LAYERS)


def claims(store: NamedStore) -> set[str]:
    """Arrays of ``mhc_attention`` and ``mhc_mlp`` in the decoder's layers."""
    return {name for pattern in (SITE, SCANNED) for name, _ in matches(store, pattern)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read three arrays per site."""
    config = model_config(store)
    known = (SWEEPS, EPS, NORM)
    refuse_unknown(settings, (of.name for of in known), "MaxText")
    sites, scanned = _find_sites(store)
    layers, shapes = len(sites) // 2, _shapes_of_one(store, sites, scanned)
    if scanned:
        layers = shapes.pop("layers")[0]
    n, width = LAYOUT.sizes(shapes)
    expected = {t: _with_layers(s, layers, scanned) for t, s in LAYOUT.shapes(n, width).items()}
    check_shapes(store, sites, expected)
    configured.agree_on(store, config, configured.STREAMS, n)
    chosen = tuple(number(store, config, settings, of) for of in known)
    iters, eps, norm = (setting.value for setting in chosen)
    module = Module(
        MHC(n, "deepseek-v4", iters, eps=eps),
        transposed=True,
        pre=(eps, 1.0),
        norm=Norm("inside", norm),
    )
    bases = [LAYOUT.base(shapes) for shapes in _sites(store, sites, scanned, LAYOUT.base_from)]
    deep = () if scanned else depth_facts(store, SITE, layers, config, LAYERS)
    return Checkpoint(
        path=store.path,
        format="maxtext",
        method="mhc",
        map=module.map,
        theta=np.ascontiguousarray(np.stack(bases)[:, module.mixing]),
        sites=tuple(Site(i, b, f"layers.{i}.{b}") for i in range(layers) for b in BRANCHES),
        d=n,
        layers=layers,
        width=width,
        settings=(Setting("streams", n, "stored"), *chosen),
        convention="stores logits of res, res_beta, applies x_out = res^T x_in; transposed here",
        assumptions=(*defaults(chosen, "MaxText's"), *deep),
        dtypes=dtypes(store, sites, expected),
        inputs=(store.digest(),),
        connect=partial(_connections, sites=sites, scanned=scanned, module=module),
    )


def _connections(
    store: NamedStore, *, sites: Sites, scanned: bool, module: Module
) -> Iterator[Connection]:
    names = tuple(LAYOUT.shapes(1, 1))
    return (module.connection(LAYOUT, site) for site in _sites(store, sites, scanned, names))


def _find_sites(store: NamedStore) -> tuple[Sites, bool]:
    """Arrays by site, and whether layers are stacked: then by branch, as if there were one."""
    alone = by_depth(store, SITE, BRANCHES, CALLED)
    stacks: Sites = {Site(0, branch, branch): {} for branch in BRANCHES}
    for name, match in in_one_model(store, SCANNED).items():
        branch = CALLED.get(match["branch"], match["branch"])
        stacks[Site(0, branch, branch)][match["tensor"]] = name
    scanned = any(stacks.values())
    if scanned and alone:
        raise BadInput(
            f"{where(store.path)}: its layers are both stacked and apart; {NOT_ITS_CODE}"
        )
    shapes = stacks if scanned else alone
    return {
        site: {re.sub("[./]", "-", tensor): name for tensor, name in names.items()}
        for site, names in shapes.items()
    }, scanned


def _shapes_of_one(store: NamedStore, sites: Sites, scanned: bool) -> dict[str, tuple[int, ...]]:
    """Shapes at the first site without the axis of layers, whose length is under ``layers``."""
    site, names = next(iter(sites.items()))
    shapes = shapes_at(store, names)
    if any(name not in shapes for name in ("pre_beta", "pre_alpha")) or (
        scanned and any(len(shape) < 2 for shape in shapes.values())
    ):
        raise BadInput(f"{where(store.path)}: {site.branch} lacks pre_alpha or pre_beta")
    if not scanned:
        return shapes
    alone = {name: (*shape[:1], *shape[2:]) for name, shape in shapes.items()}
    return {**alone, "layers": shapes["pre_beta"][1:2]}


def _with_layers(shape: tuple[int, ...], layers: int, scanned: bool) -> tuple[int, ...]:
    return (*shape[:1], layers, *shape[1:]) if scanned else shape


def _sites(
    store: NamedStore, sites: Sites, scanned: bool, names: tuple[str, ...]
) -> Iterator[Mapping[str, Array]]:
    """Arrays of one site after the other, in order of depth."""
    if not scanned:
        for site, own in sites.items():
            yield {name: value(store, site, own, name) for name in names}
        return
    stacks = [{t: value(store, s, own, t) for t in names} for s, own in sites.items()]
    for layer in range(stacks[0][names[0]].shape[1]):
        for stack in stacks:
            yield {name: array[:, layer] for name, array in stack.items()}
