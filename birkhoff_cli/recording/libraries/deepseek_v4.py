"""DeepSeek-V4 and its relatives in transformers: the module's own ``comb``, transposed.

A site returns ``post, comb, collapsed``; its layer rounds comb to the dtype of the streams and
applies ``comb^T``. GLM-5-next has the same module. HY-V4's returns no comb: its layer adds to
unmixed streams, H = I. What the branch reads, and the logits of comb, are computed anew.

Source: transformers 5.23.0, ``models/deepseek_v4``, ``glm5_next`` and ``hy_v4``.
"""

from typing import Any

from torch import finfo

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints.modules.deepseek import connection
from birkhoff_cli.recording.libraries import _gates as gates
from birkhoff_cli.recording.libraries._module import (
    ADD,
    Detach,
    Fill,
    Give,
    Module,
    Pick,
    Seen,
    attach_hook,
)

ATTRIBUTES = ("fn", "base", "scale", "hc_mult", "hc_eps", "input_norm")
ROUNDINGS = 16
"""Of a sum of n numbers in float32, in units of its precision."""


def owns(module: Module) -> bool:
    """The tensors of a site, in one of the two sizes."""
    if not all(hasattr(module, name) for name in ATTRIBUTES):
        return False
    rows = module.fn.shape[0]
    return rows in (2 * module.hc_mult, module.hc_mult * (module.hc_mult + 2))


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call."""
    return attach_hook(module, give, _applied)


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token."""
    n, like = module.hc_mult, module.fn
    module(fill(like.detach().new_empty((1, 1, n, like.shape[1] // n))))


def _applied(module: Module, streams: Array, output: Any, pick: Pick) -> Seen:
    """H ``(tokens, n, n)`` of one call, and what it writes.

    Raises:
        Unsupported: no comb of this shape.
    """
    n, rows = module.hc_mult, module.fn.shape[0]
    post = pick(output[0].detach().reshape(-1, n))
    pre, logits = _reading(module, pick(streams.detach().flatten(0, -3)), pick, output[-1])
    if rows == 2 * n and len(output) == 2:
        return Seen(streams.new_ones(n).diag().expand(len(post), -1, -1), pre, post)
    if len(output) != 3 or output[1].shape != (*streams.shape[:-1], n):
        raise Unsupported(f"{type(module).__name__} returns no comb where it is known to be; {ADD}")
    comb = pick(output[1].detach().flatten(0, -3))
    allowed = 2 * n * module.hc_eps + ROUNDINGS * finfo(comb.dtype).eps
    off = (comb.sum(-2) - 1).abs().max() / allowed
    h = comb.to(streams.dtype).transpose(-1, -2)
    return Seen(h, pre, post, logits, off, lambda off: _other(module, off * allowed))


def _reading(
    module: Module, streams: Array, pick: Pick, read: Array
) -> tuple[Array | None, Array | None]:
    """What the branch reads of every stream, and the logits; None where tensors are in parts."""
    known = gates.tensors(module, ("fn", "base", "scale"))
    if known is None or not hasattr(module.input_norm, "eps"):
        return None, None
    site = connection(known, eps=module.hc_eps, rms_norm_eps=module.input_norm.eps)
    return gates.reading(site, streams.float(), pick(read.detach().flatten(0, -2)))


def _other(module: Module, off: float) -> Unsupported:
    """The error for a comb whose columns are not what is normalised last."""
    return Unsupported(
        f"{type(module).__name__} returns a comb whose columns sum to 1 within {off:.1e} only, "
        f"though they are normalised last: another version; {ADD}"
    )
