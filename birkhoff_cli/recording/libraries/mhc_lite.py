"""mhc-lite and KromHC: mHC, mHC-lite and KromHC, which normalise all streams as one vector.

Their HC is that of lucidrains' package.

Source: github.com/FFTYYY/mhc-lite @ ea19775, github.com/wz1119/KromHC @ 7b15834.
"""

from functools import partial

from birkhoff_cli.checkpoints.modules.forks import MHC_NAMES
from birkhoff_cli.checkpoints.modules.mhc_lite import ITERS, LAYOUTS, connection
from birkhoff_cli.recording.libraries import _width as width
from birkhoff_cli.recording.libraries._module import Detach, Fill, Give, Module

ATTRIBUTES = ("width_connection", "static_alpha", "pre_branch_scale")
TYPES = ("mhc", "mhc_lite", "kromhc")


def owns(module: Module) -> bool:
    """One matrix gives all logits of a site."""
    if not width.is_width(module) or not hasattr(module, "pre_branch_scale"):
        return False
    n, fn = module.num_residual_streams, module.dynamic_alpha_fn
    return fn.ndim == 2 and _type(module) is not None and (module.static_alpha.ndim == 1 or n > 1)


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call."""
    type_ = str(_type(module))
    map_ = LAYOUTS[type_].map(module.num_residual_streams, getattr(module, "sinkhorn_iters", ITERS))
    connect = partial(connection, type_, map_=map_)
    return width.attach(module, connect, MHC_NAMES, give)


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token."""
    width.feed(module, len(module.norm.gamma) // module.num_residual_streams, fill)


def _type(module: Module) -> str | None:
    """The type whose ``static_alpha`` and ``dynamic_alpha_fn`` are of these shapes."""
    alpha, n = module.static_alpha, module.num_residual_streams
    fits = module.dynamic_alpha_fn.shape[-1] == alpha.numel()
    shape = tuple(alpha.shape)
    known = (t for t in TYPES if fits and LAYOUTS[t].alpha(n) == shape)
    return next(known, None)
