"""GLM as it is trained in Megatron: the sites of DeepSeek-V4 with a gain, under Megatron's names.

Every layer has two sites, ``self_attention_hyper_connection`` and ``mlp_hyper_connection``, with
``mapping_proj.weight``, ``bias``, one ``scale`` for all three parts, and ``norm.weight``. The code
applies ``x_out = comb^T x_in``, so H = comb^T.

Source: GLM's training code; transformers 5.23.0, ``models/glm5_next``.
"""

from collections.abc import Mapping

from birkhoff_cli.analyses.networks.connection import Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.modules.deepseek import CONVENTION
from birkhoff_cli.checkpoints.modules.fused import Layout, Module, checkpoint, sizes_of
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.config import model_config
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, depth_facts, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.settings import (
    Number,
    defaults,
    number,
    part_of,
    refuse_unknown,
)

MARKS = ("hyper_connection.scale", "hyper_connection.norm.")
TENSORS = (
    r"(?P<branch>self_attention|mlp)_hyper_connection\."
    r"(?P<tensor>mapping_proj\.weight|bias|scale|norm\.weight)"
)
SITE = anchored(rf"decoder\.layers\.(?P<layer>[0-9]{{1,6}})\.{TENSORS}")
FN, GAIN = "mapping_proj.weight", "norm.weight"
LAYOUT = Layout(
    sizes=lambda shapes: sizes_of(shapes[FN]),
    shapes=lambda n, width: {
        FN: (n * (n + 2), n * width),
        "bias": (n * (n + 2),),
        "scale": (3,),
        GAIN: (n * width,),
    },
    fn=lambda tensors: tensors[FN] * tensors[GAIN],
    base=lambda tensors: tensors["bias"],
    scale=lambda tensors: tensors["scale"],
    base_from=("bias",),
)
SWEEPS = Number("iters", configured.ITERS, 20)
EPS = Number("eps", configured.EPS, 1e-6, 0, 1)
NORM = Number("rms_norm_eps", configured.NORM, 1e-5, 0, 1)
LAYERS = "num_layers"


def claims(store: NamedStore) -> set[str]:
    """Tensors of sites with a scale and a norm of their own, in numbered layers."""
    return {name for name, _ in matches(store, SITE)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check all shapes and what the arguments say; then read one vector per site."""
    config = {**model_config(store), **part_of(store, "args")}
    known = (SWEEPS, EPS, NORM)
    refuse_unknown(settings, (of.name for of in known), "GLM's Megatron")
    sites = by_depth(store, SITE, ("attn", "mlp"), {"self_attention": "attn"})
    n, width, _ = LAYOUT.measured(store, sites)
    configured.agree_on(store, config, configured.STREAMS, n)
    configured.agree_on(store, config, configured.WIDTH, width)
    chosen = tuple(number(store, config, settings, of) for of in known)
    iters, eps, norm = (setting.value for setting in chosen)
    module = Module(
        MHC(n, "deepseek-v4", iters, eps=eps),
        transposed=True,
        pre=(eps, 1.0),
        norm=Norm("inside", norm),
    )
    return checkpoint(
        store,
        sites,
        LAYOUT,
        module,
        width,
        format="glm_megatron",
        settings=chosen,
        convention=CONVENTION.replace("base[2n:]", "bias[2n:]"),
        assumptions=(
            "the mathematics of GLM-5-next, whose training layout has these names",
            *defaults(chosen, "transformers'"),
            *depth_facts(store, SITE, len(sites) // 2, config, (LAYERS, *configured.LAYERS)),
        ),
    )
