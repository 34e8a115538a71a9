"""Moves over convex combinations of fixed matrices."""

from dataclasses import dataclass
from math import isqrt

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.charts import Chart, split

SPARSEST = 30.0
"""Largest power to which random weights are raised: of most, all but one or two are then 0."""


@dataclass(frozen=True, eq=False)
class Mixture(Chart):
    """Convex combinations of matrices in the columns ``(d * d, k)``; the state is the weights.

    The weights themselves move, not logits: no vertex or edge is infinitely far. Weights at 0 that
    a step would make negative stay out of it.
    """

    columns: Array
    longest = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """One weight for every matrix."""
        return (self.columns.shape[1],)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Weights of every sparsity, from all alike to an edge between two."""
        return sparse_weights(self.shape[0], n, rng)

    def matrices(self, state: Array) -> Array:
        """The combinations."""
        d = isqrt(len(self.columns))
        return (self.columns @ state).reshape(d, d, -1)

    def slopes(self, state: Array, gradient: Array) -> Array:
        """Of weights that are then scaled to the sum 1."""
        slopes = np.stack([self.columns.T @ part for part in split(gradient)])
        slopes -= np.einsum("kb,xkb->xb", state, slopes)[:, None]
        return slopes

    def moved(self, state: Array, step: Array) -> Array:
        """What would be negative is 0; scaled to the sum 1."""
        w = np.maximum(state + step, 0)
        total = w.sum(0)
        return np.divide(w, total, out=state.copy(), where=total > 0)  # 0: a step to nowhere

    def blend(self, first: Array, second: Array, share: Array) -> Array:
        """The mean of the weights."""
        return share * first + (1 - share) * second

    def lowest(self, state: Array) -> Array:
        """No weight is negative."""
        return -state


def sparse_weights(k: int, n: int, rng: np.random.Generator) -> Array:
    """Weights ``(k, n)`` of sum 1, of every sparsity: from all alike to an edge between two."""
    power = np.exp(rng.uniform(0, np.log(SPARSEST), n))
    w = rng.standard_exponential((k, n)) ** power
    return w / w.sum(0)
