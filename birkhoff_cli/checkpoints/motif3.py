"""Motif-3, as its release saves it: tensors for H_pre, H_post and H_res apart.

Converters join them into one matrix, or keep one tensor for all scales.

Every layer has two sites, ``mhc_attn`` and ``mhc_ffn``. Logits of H_res are clipped to [-20, 20],
exponentiated and swept, rows first; the code applies ``x_out = M x_in``.

Source: the published modelling code and configuration of Motif-3.
"""

from collections.abc import Mapping

from birkhoff_cli.analyses.networks.connection import Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, checkpoint, sizes_of, stacked
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import Sites, anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown
from birkhoff_cli.checkpoints.sites.values import shapes_at

MARKS = (".mhc_attn.", ".mhc_ffn.")
TENSORS = (
    r"mhc_(?P<branch>attn|ffn)\."
    r"(?P<tensor>proj_(?:pre|post|res)\.weight|(?:bias|alpha)_(?:pre|post|res)|rms_norm\.weight"
    r"|fn|base|scale|norm|(?:pre|post|res)(?:\.bias)?|alpha)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
PROJECTIONS = tuple(f"proj_{part}.weight" for part in ("pre", "post", "res"))
BIASES = ("bias_pre", "bias_post", "bias_res")
SCALES = ("alpha_pre", "alpha_post", "alpha_res")
GAIN = "rms_norm.weight"
APART = Layout(
    sizes=lambda shapes: (shapes[BIASES[0]][0], shapes[GAIN][0] // shapes[BIASES[0]][0]),
    shapes=lambda n, width: {
        **dict(zip(PROJECTIONS, ((k, n * width) for k in (n, n, n * n)), strict=True)),
        **{"bias_pre": (n,), "bias_post": (n,), "bias_res": (n, n)},
        **dict.fromkeys(SCALES, (1,)),
        GAIN: (n * width,),
    },
    fn=lambda tensors: stacked(*(tensors[name] for name in PROJECTIONS)) * tensors[GAIN],
    base=lambda tensors: stacked(*(tensors[name].reshape(-1) for name in BIASES)),
    scale=lambda tensors: [tensors[name][0] for name in SCALES],
    base_from=BIASES,
)
SHORT = ("pre", "post", "res")
NORM_GAIN = "norm"


def _fused(gained: bool) -> Layout:
    """One matrix of all logits, as some converters write it; the gain may be in its columns."""
    return Layout(
        sizes=lambda shapes: sizes_of(shapes["fn"]),
        shapes=lambda n, width: {
            **{"fn": (n * (n + 2), n * width), "base": (n * (n + 2),), "scale": (3,)},
            **({NORM_GAIN: (n * width,)} if gained else {}),
        },
        fn=lambda tensors: tensors["fn"] * (tensors[NORM_GAIN] if gained else 1),
        base=lambda tensors: tensors["base"],
        scale=lambda tensors: tensors["scale"],
        base_from=("base",),
    )


def _converted(gained: bool, square: bool) -> Layout:
    """Three matrices with biases and one tensor of scales, as other converters write it."""
    biases = tuple(f"{part}.bias" for part in SHORT)
    return Layout(
        sizes=lambda shapes: (shapes["pre"][0], shapes["pre"][1] // shapes["pre"][0]),
        shapes=lambda n, width: {
            **dict(zip(SHORT, ((k, n * width) for k in (n, n, n * n)), strict=True)),
            **dict(zip(biases, ((n,), (n,), (n, n) if square else (n * n,)), strict=True)),
            **{"alpha": (3,), **({NORM_GAIN: (n * width,)} if gained else {})},
        },
        fn=lambda tensors: (
            stacked(*(tensors[part] for part in SHORT)) * (tensors[NORM_GAIN] if gained else 1)
        ),
        base=lambda tensors: stacked(*(tensors[name].reshape(-1) for name in biases)),
        scale=lambda tensors: tensors["alpha"],
        base_from=biases,
    )


SWEEPS = Number("iters", configured.ITERS, 20)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)
CLIP = 10.0
"""Largest argument of the sigmoids of H_pre and H_post."""


def _layout(store: NamedStore, sites: Sites) -> Layout:
    """That whose tensors the first site has."""
    shapes = shapes_at(store, next(iter(sites.values())))
    if "fn" in shapes:
        return _fused(NORM_GAIN in shapes)
    if "pre" in shapes:
        return _converted(NORM_GAIN in shapes, len(shapes.get("res.bias", ())) == 2)
    return APART


def claims(store: NamedStore) -> set[str]:
    """Tensors of ``mhc_attn`` and ``mhc_ffn`` in numbered layers."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read three vectors per site."""
    config = model_config(store)
    refuse_unknown(settings, (SWEEPS.name, NORM.name), "Motif-3")
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config)
    sites = by_depth(store, SITE, ("attn", "mlp"), {"ffn": "mlp"}, end)
    layout = _layout(store, sites)
    n, width, _ = layout.measured(store, sites)
    configured.agree_on(store, config, configured.STREAMS, n)
    configured.agree_on(store, config, configured.WIDTH, width)
    iters, eps = (number(store, config, settings, of) for of in (SWEEPS, NORM))
    module = Module(
        MHC(n, "motif", iters.value),
        transposed=False,
        post=(0.0, 1.0),
        norm=Norm("inside", eps.value),
        clip=CLIP,
    )
    return checkpoint(
        store,
        sites,
        layout,
        module,
        width,
        format="motif3",
        settings=(iters, eps),
        convention=f"stores logits of M, {layout.base_from[-1]}, applies x_out = M x_in; as stored",
        assumptions=(
            *defaults((iters, eps), "Motif-3's"),
            *configured.depth_of(store, SITE, len(sites) // 2, config, end),
            *configured.unknown_settings(config, SWEEPS.keys),
        ),
    )
