"""Xing4.0, as its releases save it: the tensors of DeepSeek-V4's sites, and other mathematics.

Every layer has two sites, ``attn_hc`` and ``ffn_hc``, with ``hc_fn``, ``hc_base`` and ``hc_scale``,
or with ``mapping_weight``, ``bias`` and three scales. Logits are clamped and exponentiated, and
``eps`` is added to every sum of the sweeps; the code applies ``x_out = M x_in``. Multi-token
prediction is one layer more.

Source: the published modelling code and configuration of Xing4.0.
"""

from collections.abc import Mapping
from typing import Any

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.networks.connection import Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, checkpoint, sizes_of
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import Sites, anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.containers import escape, where

MARKS = ("attn_hc.", "ffn_hc.")
TENSORS = (
    r"(?P<branch>attn|ffn)_hc\."
    r"(?P<tensor>hc_fn|hc_base|hc_scale|mapping_weight|bias|alpha_(?:pre|post|res))"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
SCALES = ("alpha_pre", "alpha_post", "alpha_res")
TOGETHER = Layout(
    sizes=lambda shapes: sizes_of(shapes["hc_fn"]),
    shapes=lambda n, width: {
        "hc_fn": (n * (n + 2), n * width),
        "hc_base": (n * (n + 2),),
        "hc_scale": (3,),
    },
    fn=lambda tensors: tensors["hc_fn"],
    base=lambda tensors: tensors["hc_base"],
    scale=lambda tensors: tensors["hc_scale"],
    base_from=("hc_base",),
)
APART = Layout(
    sizes=lambda shapes: sizes_of(shapes["mapping_weight"]),
    shapes=lambda n, width: {
        "mapping_weight": (n * (n + 2), n * width),
        "bias": (n * (n + 2),),
        **dict.fromkeys(SCALES, (1,)),
    },
    fn=lambda tensors: tensors["mapping_weight"],
    base=lambda tensors: tensors["bias"],
    scale=lambda tensors: [tensors[name][0] for name in SCALES],
    base_from=("bias",),
)
SWEEPS = Number("iters", configured.ITERS, 20)
EPS = Number("eps", configured.EPS, 1e-6, 0, 1)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)
CLAMPS = ("mhc_h_res_clamp_min", "mhc_h_res_clamp_max")
CLIP = Number("clip", CLAMPS[1:], 30.0, 1e-6, 1e6)


def claims(store: NamedStore) -> set[str]:
    """Tensors of ``attn_hc`` and ``ffn_hc`` under these names."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read one vector per site."""
    config = model_config(store)
    known = (SWEEPS, EPS, NORM, CLIP)
    refuse_unknown(settings, (of.name for of in known), "Xing4.0")
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config, drafts=True)
    sites = by_depth(store, SITE, ("attn", "mlp"), {"ffn": "mlp"}, end)
    layout = _layout(sites)
    n, width, _ = layout.measured(store, sites)
    configured.agree_on(store, config, configured.STREAMS, n)
    configured.agree_on(store, config, configured.WIDTH, width)
    _check_clamps(store, config)
    chosen = tuple(number(store, config, settings, of) for of in known)
    return checkpoint(
        store,
        sites,
        layout,
        _module(n, chosen),
        width,
        format="xing4",
        settings=chosen,
        convention=f"stores logits of M, {layout.base_from[0]}[2n:], row by row, applies "
        f"x_out = M x_in; as stored",
        assumptions=(
            *defaults(chosen, "Xing4.0's"),
            *configured.depth_of(store, SITE, len(sites) // 2, config, end),
            *configured.unknown_settings(config, (*SWEEPS.keys, *EPS.keys, *CLAMPS)),
        ),
    )


def _module(n: int, chosen: tuple[Setting, ...]) -> Module:
    iters, eps, norm, clip = (setting.value for setting in chosen)
    return Module(
        MHC(n, "xing", iters, eps=eps, clip=clip),
        transposed=False,
        pre=(eps, 1.0),
        norm=Norm("inside", norm),
    )


def _layout(sites: Sites) -> Layout:
    """The one of the two whose tensors the first site has."""
    return TOGETHER if "hc_fn" in next(iter(sites.values())) else APART


def _check_clamps(store: NamedStore, config: Mapping[str, Any]) -> None:
    low, high = (config.get(key) for key in CLAMPS)
    if low is not None and high is not None and low != -high:
        raise Unsupported(
            f"{where(store.path)}: clamps logits to [{escape(low, 20)}, {escape(high, 20)}]; only "
            f"bounds of one size can be read"
        )
