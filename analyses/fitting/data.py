"""Data of stream mixing, ``y = T x + noise``, as the second moments on which its loss depends.

``noise = Xi x + xi``: the entries of xi are uniform on [0, eps], those of the projector noise Xi
Gaussian and new for every data point. The residual of a matrix W is ``(W - T) x - noise``, so the
mean square over any number of points is a quadratic in W - T whose coefficients are computed once.

Source: go-mHC, arXiv:2604.02309, eq. 13-15 and B.2; sparsity as in Elhage et al., arXiv:2209.10652.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import require, require_scale

Distribution = Literal["gaussian", "uniform"]
MOMENTS = {"gaussian": (0.0, 1.0), "uniform": (1 / 2, 1 / 3)}
"""First and second moment of a feature that is not zero."""

MAX_EXAMPLES = 100_000_000
"""Points of data, all of which are drawn before a fit begins."""

BLOCK = 2_000_000
"""Numbers drawn at a time."""


class Moments(NamedTuple):
    """Means over data points: ``x x^T``, ``noise x^T`` and ``|noise|^2``."""

    gram: Array
    """``(d, d)``"""
    cross: Array
    """``(batch, outputs, d)``"""
    power: Array
    """``(batch,)``"""


@dataclass(frozen=True)
class Data:
    """How data points are drawn; they are shared by all targets, their noise is not."""

    examples: int = 100
    features: Distribution = "gaussian"
    sparsity: float = 0.0
    noise: float = 0.1
    projector_noise: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that no data has."""
        fits = 1 <= self.examples <= MAX_EXAMPLES
        require(fits, f"--examples {self.examples}", f"1 to {MAX_EXAMPLES:,}")
        require(0 <= self.sparsity < 1, f"--sparsity {self.sparsity:g}", "0 or more, below 1")
        require_scale(self.noise, "--noise")
        require_scale(self.projector_noise, "--projector-noise")

    def blocks(self, batch: int, d: int, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Features ``(n, d)`` with their noise ``(n, batch, d)``, all points block by block."""
        most = max(1, BLOCK // (batch * d))
        for start in range(0, self.examples, most):
            n = min(most, self.examples - start)
            draw = rng.standard_normal if self.features == "gaussian" else rng.random
            x = draw((n, d)) * (rng.random((n, d)) >= self.sparsity)
            noise = self.noise * rng.random((n, batch, d))
            if self.projector_noise:  # Xi x is Gaussian, of variance |x|^2
                length = self.projector_noise * np.sqrt(np.square(x).sum(1))
                noise += length[:, None, None] * rng.standard_normal(noise.shape)
            yield x, noise

    def moments(self, batch: int, d: int, rng: np.random.Generator, read: Array | None) -> Moments:
        """Those of points that are drawn.

        Args:
            batch: number of targets.
            d: number of streams.
            rng: the only source of randomness.
            read: ``(batch, d)`` if only this combination of the streams is seen.
        """
        outputs = d if read is None else 1
        gram, cross, power = np.zeros((d, d)), np.zeros((batch * outputs, d)), np.zeros(batch)
        for x, noise in self.blocks(batch, d, rng):
            if read is not None:
                noise = np.einsum("nbi,bi->nb", noise, read)[..., None]
            gram += x.T @ x
            cross += noise.reshape(len(x), -1).T @ x
            power += np.einsum("nbi,nbi->b", noise, noise)
        n = self.examples
        return Moments(gram / n, cross.reshape(batch, outputs, d) / n, power / n)

    def expected(self, batch: int, d: int, read: Array | None) -> Moments:
        """Those of the population."""
        mean, square = (m * (1 - self.sparsity) for m in MOMENTS[self.features])
        gram = np.full((d, d), mean**2) + (square - mean**2) * np.eye(d)
        variance = self.noise**2 / 12 + self.projector_noise**2 * d * square
        offset = self.noise / 2
        see = np.eye(d)[None] if read is None else read[:, None]
        total = see.sum(-1)
        power = variance * np.square(see).sum((-2, -1)) + np.square(offset * total).sum(-1)
        cross = np.broadcast_to((offset * mean * total)[..., None], (len(see), total.shape[1], d))
        shape = (batch, *cross.shape[1:])
        return Moments(gram, np.broadcast_to(cross, shape), np.broadcast_to(power, batch))
