"""Megatron-LM's ``HyperConnectionModule``, by its attributes: the h_res that it returns.

A site returns ``aggregated, h_res, h_post`` and, in later versions, the streams. Whether a layer
applies h_res or its transpose, which the branches do not agree on, is what the module's own
``apply_h_res`` does with one matrix that is not symmetric. Streams are one after another in the
last axis. What the branch reads, and the logits of h_res, are computed anew.

Source: github.com/NVIDIA/Megatron-LM, main @ d98e8a64, dev @ d48bd6be, 023f5cf.
"""

from functools import partial
from inspect import signature
from typing import Any

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints.modules.megatron import connection
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

ATTRIBUTES = ("mapping_proj", "alpha_res", "apply_h_res", "bias")
TENSORS = ("mapping_proj.weight", "bias", "alpha_pre", "alpha_post", "alpha_res")
ALLOWED = 1e-3
"""How far the sums of columns, which are normalised last, may be off beside rounding."""


def owns(module: Module) -> bool:
    """The tensors of a site fit together."""
    rows, n = module.mapping_proj.weight.shape[0], getattr(module, "n", None)
    return isinstance(n, int) and rows == n * (n + 2) == module.bias.shape[0]


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call.

    Raises:
        Unsupported: its ``apply_h_res`` does something else.
    """
    return attach_hook(module, give, partial(_applied, turned=_is_turned(module)))


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token; early versions ask for them twice."""
    like = module.mapping_proj.weight.detach()
    needed = [p for p in signature(module.forward).parameters.values() if p.default is p.empty]
    module(*[fill(like.new_empty((1, 1, like.shape[1])))] * len(needed))


def _is_turned(module: Module) -> bool:
    """Whether x_out = h_res^T x_in: by what the module makes of a shift of its streams."""
    import torch

    n, like = module.n, module.mapping_proj.weight.detach()
    shift = torch.eye(n, device=like.device).roll(1, 0)
    x = torch.arange(1.0, n * n + 1, device=like.device).reshape(n, n) ** 2
    wide = x.repeat_interleave(like.shape[1] // n // n + 1, -1)[:, : like.shape[1] // n]
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        made = module.apply_h_res(shift[None, None], wide.reshape(1, 1, -1)).reshape(n, -1)
    same, turned = (torch.allclose(made, h @ wide) for h in (shift, shift.T))
    if not (same or turned):
        raise Unsupported(f"{type(module).__name__} applies neither h_res nor h_res^T; {ADD}")
    return not same


def _applied(module: Module, streams: Array, output: Any, pick: Pick, *, turned: bool) -> Seen:
    """H ``(tokens, n, n)`` of one call, and what its branch reads and writes.

    Raises:
        Unsupported: no h_res of this shape.
    """
    from torch import finfo

    n, count = module.n, streams.numel() // module.mapping_proj.weight.shape[1]
    if len(output) < 3 or output[1].numel() != count * n * n:
        raise Unsupported(f"{type(module).__name__} returns no h_res where it is known to; {ADD}")
    h_res = pick(output[1].detach().reshape(-1, n, n)).float()
    post = pick(output[2].detach().reshape(-1, n))
    allowed = ALLOWED + 2 * n * finfo(output[1].dtype).eps
    off = (h_res.sum(-2) - 1).abs().max() / allowed
    pre, logits = None, None
    if (known := gates.tensors(module, TENSORS)) is not None:  # a single pass reads by other gates
        site = connection(known, "dev" if turned else "main")
        picked = pick(streams.detach().reshape(count, n, -1)).float()
        read = pick(output[0].detach().reshape(count, -1))
        pre, logits = gates.reading(site, picked, read)
    h = h_res.mT if turned else h_res
    return Seen(h, pre, post, logits, off, lambda off: _other(module, off * allowed))


def _other(module: Module, off: float) -> Unsupported:
    """The error for an h_res whose columns are not what is normalised last."""
    return Unsupported(
        f"{type(module).__name__} returns an h_res whose columns sum to 1 within {off:.1e} only, "
        f"though they are normalised last: another version; {ADD}"
    )
