"""openPangu-2.0: the sites of DeepSeek-V4 under other names, of an orientation that is disputed.

Every layer has two sites, ``attn_mhc_module`` and ``mlp_mhc_module``. Of three public sources two
apply the transpose of h_res and one h_res itself: ``--set orientation=`` says which.

Source: the published modelling code of openPangu-2.0, and two inference engines.
"""

import re
from collections.abc import Mapping

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.networks.connection import Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, checkpoint, sizes_of
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import Number, defaults, number, refuse_unknown, word
from birkhoff_cli.containers import where

MARKS = ("_mhc_module.",)
TENSORS = (
    r"(?P<branch>attn|mlp)_mhc_module\."
    r"(?P<tensor>phi\.weight|norm_gamma|branch_alpha|branch_beta)"
)
SITE = anchored(rf"layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
ANY_LAYER = anchored(rf"layers\.[^.]*\.{TENSORS}")
ASIDE = re.compile(r"(?:.*\.)?merge_mhc_module\..*")
"""The sum of the streams at the end."""

PHI, GAIN, SCALE, BASE = "phi.weight", "norm_gamma", "branch_alpha", "branch_beta"
SWEEPS = Number("iters", configured.ITERS, 20)
EPS = Number("eps", configured.EPS, 1e-6, 0, 1)
NORM = Number("rms_norm_eps", configured.NORM, 1e-6, 0, 1)
ORIENTATIONS = {"transposed": "h_res^T x_in; transposed", "stored": "h_res x_in; as stored"}
GAINED, NORMED = "mhc_use_gamma", "block_post_layernorm_idx"


def claims(store: NamedStore) -> set[str]:
    """Tensors of ``attn_mhc_module`` and ``mlp_mhc_module`` in numbered layers."""
    return {name for name, _ in matches(store, ANY_LAYER)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Hold that somebody said the orientation; check all shapes; read one vector per site."""
    config = model_config(store)
    refuse_unknown(settings, ("orientation", "iters", "eps", "rms_norm_eps"), "openPangu-2.0")
    orientation = _orientation(store, settings)
    configured.refuse_odd_layers(store, ANY_LAYER, SITE)
    end = configured.trunk(store, SITE, config)
    sites = by_depth(store, SITE, ("attn", "mlp"), below=end)
    gained = config.get(GAINED, True) is not False
    layout = _layout(gained)
    n, width, _ = layout.measured(store, sites)
    configured.agree_on(store, config, configured.STREAMS, n)
    configured.agree_on(store, config, configured.WIDTH, width)
    chosen = tuple(number(store, config, settings, of) for of in (SWEEPS, EPS, NORM))
    iters, eps, norm = (setting.value for setting in chosen)
    turned = orientation.value == "transposed"
    module = Module(
        MHC(n, "deepseek-v4", iters, last="rows" if turned else "columns", eps=eps),
        transposed=turned,
        pre=(eps, 1.0),
        norm=Norm("inside", norm),
    )
    between = (
        (f"{NORMED}: some layers normalise all streams, so the product over depth is no composite",)
        if config.get(NORMED)
        else ()
    )
    return checkpoint(
        store,
        sites,
        layout,
        module,
        width,
        format="openpangu2",
        settings=(orientation, *chosen),
        convention=f"stores logits of h_res, {BASE}[2n:], row by row, applies "
        f"x_out = {ORIENTATIONS[orientation.value]} here",
        assumptions=(
            *defaults(chosen, "openPangu-2.0's"),
            *between,
            *configured.depth_of(store, SITE, len(sites) // 2, config, end),
            *configured.unknown_settings(config, (*SWEEPS.keys, *EPS.keys, GAINED)),
        ),
    )


def _layout(gained: bool) -> Layout:
    """The tensors of a site, with the gain of its norm or without."""
    gain = {GAIN: 1} if gained else {}
    return Layout(
        sizes=lambda shapes: sizes_of(shapes[PHI]),
        shapes=lambda n, width: {
            PHI: (n * (n + 2), n * width),
            BASE: (n * (n + 2),),
            SCALE: (3,),
            **dict.fromkeys(gain, (n * width,)),
        },
        fn=lambda tensors: tensors[PHI] * (tensors[GAIN] if gained else 1),
        base=lambda tensors: tensors[BASE],
        scale=lambda tensors: tensors[SCALE],
        base_from=(BASE,),
    )


def _orientation(store: NamedStore, settings: Mapping[str, str]) -> Setting:
    """Which of the two the code applies.

    Raises:
        Unsupported: nobody has said it.
    """
    if orientation := word(settings, "orientation", ORIENTATIONS):
        return Setting("orientation", orientation, "set")
    raise Unsupported(
        f"{where(store.path)}: openPangu-2.0's orientation is disputed: two public sources apply "
        f"h_res^T, one h_res; give --set orientation=transposed or --set orientation=stored"
    )
