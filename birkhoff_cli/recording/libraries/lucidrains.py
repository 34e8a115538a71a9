"""lucidrains' hyper-connections: HC, mHC and mHCv2, and the HC of repositories made from it.

Versions that compute the mixing and drop it (0.1.7 to 0.3.9) return the streams they were given:
H = I is recorded.

Source: github.com/lucidrains/hyper-connections @ 4775103 (0.4.9).
"""

from functools import partial

from torch import nn

from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.parameterizations.hc import HC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints.modules import forks
from birkhoff_cli.checkpoints.modules.forks import HC_NAMES, MHC_NAMES
from birkhoff_cli.recording.libraries import _width as width
from birkhoff_cli.recording.libraries._module import ADD, Detach, Fill, Give, Module

ATTRIBUTES = ("width_connection", "static_alpha", "dynamic_alpha_fn")


def owns(module: Module) -> bool:
    """Every stream is normalised on its own, and the code is not tokenbender's."""
    if not width.is_width(module) or hasattr(module, "mhc"):
        return False
    alpha, fn = module.static_alpha, module.dynamic_alpha_fn
    return bool(alpha.ndim == 2 and fn.shape[-1] == alpha.shape[-1])


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call."""
    n = module.num_residual_streams
    if hasattr(module, "dynamic_alpha_scale"):
        tanh = isinstance(getattr(module, "act", None), nn.Tanh)
        connect = partial(forks.unconstrained, map_=HC(n), tanh=tanh)
        return width.attach(module, connect, HC_NAMES, give)
    map_ = MHC(n, variant="lucidrains", iters=_iterations(module))
    return width.attach(module, partial(forks.apart, map_=map_), MHC_NAMES, give)


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token."""
    width.feed(module, len(module.norm.gamma), fill)


def _iterations(module: Module) -> int:
    """Of the package's own Sinkhorn.

    Raises:
        Unsupported: another constraint.
    """
    constraint = getattr(module, "residual_mix_constraint_fn", None)
    if constraint is None:
        return int(module.sinkhorn_iters)
    if isinstance(constraint, partial) and "iters" in constraint.keywords:
        return int(constraint.keywords["iters"])
    raise Unsupported(f"{type(module).__name__} has a residual_mix_constraint_fn of its own; {ADD}")
