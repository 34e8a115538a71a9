"""What a module does not hand out: its gates and logits, computed anew from its own tensors.

What they say the branch reads is held against what it was given: a version that computes
otherwise gives NaN, and a module whose tensors lie in parts on several devices gives nothing.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.recording.libraries._module import Module

AGREE = 2.0**-6
"""Relative distance of two vectors that bfloat16 and TF32 explain and another formula does not."""

NO_LENGTH = 1e-30
"""A branch that reads zeros agrees with one that does."""


def tensors(module: Module, names: Iterable[str]) -> Mapping[str, Any] | None:
    """Parameters by their paths in a module, float32; None if one is in parts, as a DTensor."""
    values = {name: module.get_parameter(name).detach() for name in names}
    if any(hasattr(value, "device_mesh") for value in values.values()):
        return None
    return {name: value.float() for name, value in values.items()}


def logits_of(site: Connection, z: Array | None) -> Array | None:
    """What Sinkhorn balances, in nats; None where there is none, or it is no matter of streams."""
    tau = None if site.map is None else _temperature(site.map)
    return None if tau is None else site.parameters(z) / tau


@cache
def _temperature(map_: Parameterization) -> float | None:
    balancing = map_.balancing()
    return None if balancing is None else balancing.tau


def reading(site: Connection, streams: Array, read: Array) -> tuple[Array, Array | None]:
    """What the branch reads of every stream ``(n, d)``, and the logits.

    Args:
        site: as its tensors describe it.
        streams: ``(n, d, width)`` float32.
        read: what the branch was given ``(n, width)``.
    """
    z = site.logits(streams)
    pre, _ = site.gates(z)
    made = (pre.unsqueeze(-1) * streams).sum(-2)
    off = (made - read.float()).norm() / (AGREE * read.float().norm() + NO_LENGTH)
    unknown = off.new_full((), float("nan")).where(~(off <= 1), off.new_zeros(()))
    logits = logits_of(site, z)
    return pre + unknown, None if logits is None else logits + unknown
