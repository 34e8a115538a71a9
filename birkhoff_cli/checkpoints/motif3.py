"""Motif-3, as its release saves it: tensors for H_pre, H_post and H_res apart.

Every layer has two sites, ``mhc_attn`` and ``mhc_ffn``. Logits of H_res are clipped to [-20, 20],
exponentiated and swept, rows first; the code applies ``x_out = M x_in``.

Source: the published modelling code and configuration of Motif-3.
"""

from collections.abc import Mapping

from birkhoff_cli.analyses.networks.connection import Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, checkpoint, stacked
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown

MARKS = (".mhc_attn.", ".mhc_ffn.")
TENSORS = (
    r"mhc_(?P<branch>attn|ffn)\."
    r"(?P<tensor>proj_(?:pre|post|res)\.weight|(?:bias|alpha)_(?:pre|post|res)|rms_norm\.weight)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
PROJECTIONS = tuple(f"proj_{kind}.weight" for kind in ("pre", "post", "res"))
BIASES = ("bias_pre", "bias_post", "bias_res")
SCALES = ("alpha_pre", "alpha_post", "alpha_res")
GAIN = "rms_norm.weight"
LAYOUT = Layout(
    sizes=lambda found: (found[BIASES[0]][0], found[GAIN][0] // found[BIASES[0]][0]),
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
SWEEPS = Number("iters", configured.ITERS, 20)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)
CLIP = 10.0
"""Largest argument of the sigmoids of H_pre and H_post."""


def claims(store: NamedStore) -> set[str]:
    """Tensors of ``mhc_attn`` and ``mhc_ffn`` in numbered layers."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the configuration says; then read three vectors per site."""
    config = model_config(store)
    refuse_unknown(settings, (SWEEPS.name, NORM.name), "Motif-3")
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config)
    places = by_depth(store, SITE, ("attn", "mlp"), {"ffn": "mlp"}, end)
    n, width, _ = LAYOUT.measured(store, places)
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
        places,
        LAYOUT,
        module,
        width,
        format="motif3",
        settings=(iters, eps),
        convention="stores logits of M, bias_res, applies x_out = M x_in; as stored",
        assumptions=(
            *defaults((iters, eps), "Motif-3's"),
            *configured.depth_of(store, SITE, len(places) // 2, config, end),
            *configured.unknown_settings(config, SWEEPS.keys),
        ),
    )
