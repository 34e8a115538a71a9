"""Qwen4-Exp in transformers: gates alone; its layer adds to unmixed streams, H = I.

A site returns what the branch reads, the streams as they came, and how much of the branch each
receives. It reads every channel of every stream with a gate of its own; of a stream their mean
over channels is taken, as `birkhoff gates` does.

Source: transformers 5.23.0, ``models/qwen4_exp``.
"""

from typing import Any

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.checkpoints.modules.qwen4 import DOWN, INJECT, NORM, UP, connection
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

ATTRIBUTES = ("hc_count", "hc_norm", "input_mix_weight_down", "block_inject_weight")


def owns(module: Module) -> bool:
    """A site that writes back; the last sum of the streams does not."""
    return module.block_inject_weight is not None


def attach(module: Module, give: Give) -> Detach:
    """Hand over H of every call."""
    return attach_hook(module, give, _applied)


def feed(module: Module, fill: Fill) -> None:
    """Mix the streams of one token."""
    like = module.input_mix_weight_down.weight.detach()
    module(fill(like.new_empty((1, 1, like.shape[1]))))


def _applied(module: Module, streams: Array, output: Any, pick: Pick) -> Seen:
    """H = I, and what the branch reads and writes.

    Raises:
        Unsupported: the streams are not returned as they came.
    """
    n = module.hc_count
    if len(output) != 3 or output[1] is not streams or output[2].shape[-1] != n:
        raise Unsupported(f"{type(module).__name__} changes its streams itself; {ADD}")
    post = pick(output[2].detach().reshape(-1, n))
    eye = post.new_ones(n).diag()
    known = gates.tensors(module, (NORM, DOWN, UP, INJECT))
    pre = None
    if known is not None:
        site = connection(known, n, module.hc_norm.eps)
        picked = pick(streams.detach().flatten(0, -2)).float().unflatten(-1, (n, -1))
        pre, _ = site.gates(site.logits(picked))
    return Seen(eye.expand(len(post), -1, -1), pre, post)
