"""tokenbender's hyper-connections: mHC, the same for every token, and HC, whose mixing is dropped.

Source: github.com/tokenbender/mHC-manifold-constrained-hyper-connections @ 088310e.
"""

from functools import partial

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.orthostochastic import A, B, C, Orthostochastic
from birkhoff_cli.checkpoints.modules import forks, tokenbender
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES
from birkhoff_cli.recording.libraries import _width as width
from birkhoff_cli.recording.libraries._module import ADD, Detach, Fill, Give, Module

ATTRIBUTES = ("width_connection", "static_alpha", "mhc")
MHC_NAMES = (tokenbender.LOGITS, tokenbender.PRE, tokenbender.POST)


def owns(module: Module) -> bool:
    """A module that says whether it is mHC."""
    return width.is_width(module) and isinstance(getattr(module, "mhc", None), bool)


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call."""
    n = module.num_residual_streams
    if not module.mhc:
        return width.attach(module, partial(forks.unconstrained, map_=HC(n)), HC_NAMES, give)
    features = len(module.norm.gamma)
    connect = partial(tokenbender.connection, map_=_map(module, n), width=features)
    return width.attach(module, connect, MHC_NAMES, give)


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token."""
    width.feed(module, len(module.norm.gamma), fill)


def _map(module: Module, n: int) -> Parameterization:
    if module.mhc_h_res_proj == "sinkhorn":
        iters, tau = module.sinkhorn_iters, module.sinkhorn_tau
        return MHC(n, variant="tokenbender", iters=iters, tau=float(tau))
    if [*module.ns_coeffs] != [A, B, C]:
        raise Unsupported(
            f"{type(module).__name__} has ns_coeffs other than {A:g}, {B:g}, {C:g}; {ADD}"
        )
    return Orthostochastic(n, steps=module.ns_steps, eps=float(module.ns_eps))
