"""The site of Qwen4-Exp: gates of low rank that read every channel of every stream; H = I.

Streams y are normalised one by one, times a gain that is stored less 1. With n streams, the branch
reads the mean over streams of ``sigmoid(up silu(down y / n)) y``, a gate for every channel, and
each stream receives ``2 sigmoid(inject y / n)`` of what it makes.

Source: the published modelling code of Qwen4-Exp.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, namespace
from birkhoff_cli.analyses.networks.connection import (
    Connection,
    Draw,
    Gate,
    Norm,
    Weights,
    normalised,
    random_logits,
    triangle,
)
from birkhoff_cli.checkpoints.sites.values import Shape

NORM, DOWN, UP, INJECT = (
    f"{name}.weight"
    for name in ("hc_norm", "input_mix_weight_down", "input_mix_weight_up", "block_inject_weight")
)


def shapes(streams: int, width: int, rank: int) -> dict[str, Shape]:
    """Shapes of a site's tensors."""
    wide = streams * width
    return {NORM: (wide,), DOWN: (rank, wide), UP: (wide, rank), INJECT: (streams, wide)}


@dataclass(frozen=True, eq=False)
class GatedResidual(Connection):
    """A site whose weight has the rows of all streams, which are normalised one by one.

    H_pre of a stream is the mean over its channels of the gate, over the number of streams.

    Attributes:
        up: ``(d * width, rank)``.
    """

    up: Array = None

    @property
    def rank(self) -> int:
        """Numbers between the two halves of what is read."""
        return int(self.up.shape[1])

    def logits(self, streams: Array) -> Array:
        """``(..., rank + d)`` of streams ``(..., d, width)``."""
        flat = normalised(streams, self.norm)
        return flat.reshape((*streams.shape[:-2], -1)) @ self.weight

    def without_weight(self) -> tuple[Connection, Draw]:
        """Of streams whose directions are uniform, each in its own space."""
        assert self.weight is not None
        parts = np.asarray(self.weight).reshape(self.d, self.width, -1)
        triangles, width = [triangle(part) for part in parts], self.width

        def draw(n: int, rng: np.random.Generator) -> Array:
            return sum(random_logits(r, width, 1, n, rng) for r in triangles)

        return replace(self, weight=None), draw

    def gates(self, z: Array | None) -> tuple[Array, Array]:
        """What the branch reads and writes, of logits; None are those of no streams."""
        z = np.zeros(self.rank + self.d, np.float32) if z is None else z
        xp = namespace(z)
        low, inject = z[..., : self.rank] / self.d, z[..., self.rank :] / self.d
        silu = xp.astype(low * _sigmoid(low), self.up.dtype)
        gate = _sigmoid(silu @ self.up.T).reshape((*z.shape[:-1], self.d, self.width))
        return gate.mean(-1) / self.d, 2 * _sigmoid(inject)

    def weights(self, z: Array | None) -> Weights:
        """H = I, and gates of logits; None are those of no streams."""
        pre, post = self.gates(z)
        xp, batch = namespace(pre), pre.shape[:-1]
        eye = xp.broadcast_to(xp.eye(self.d, dtype=pre.dtype), (*batch, self.d, self.d))
        return Weights(eye, pre, post)

    def converted(self, convert: Callable[[Array], Array]) -> "GatedResidual":
        """Every array replaced."""
        moved = {name: convert(getattr(self, name)) for name in ("weight", "up")}
        return replace(self, **moved)


def connection(tensors: Mapping[str, Any], streams: int, eps: float) -> Connection:
    """The site that the tensors of one module describe.

    Args:
        tensors: by their names, of `shapes`.
        streams: how many.
        eps: added to the mean square of a stream.
    """
    gain, down, inject = 1 + tensors[NORM], tensors[DOWN], tensors[INJECT]
    xp = namespace(down)
    none = Gate(xp.zeros(streams, dtype=down.dtype))
    return GatedResidual(
        map=None,
        d=streams,
        width=len(gain) // streams,
        mixing=Gate(gain[:0]),
        pre=none,
        post=none,
        weight=gain[:, None] * xp.concat([down, inject], axis=0).T,
        norm=Norm("inside", eps),
        up=tensors[UP],
    )


def _sigmoid(x: Array) -> Array:
    return (1 + namespace(x).tanh(x / 2)) / 2  # never overflows
