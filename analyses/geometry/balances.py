"""Moves over positive matrices that Sinkhorn-Knopp then balances.

Half-sweeps are kept as the factors of ``u_i K_ij v_j``: each changes one vector, u or v in turn,
and the gradient goes back through the vectors.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.charts import Chart, Slopes
from birkhoff_cli.analyses.geometry.lanes import Where, select
from birkhoff_cli.analyses.geometry.mixtures import sparse_weights
from birkhoff_cli.analyses.geometry.sinkhorn import Guard

SMALLEST = 1e-30
"""Smallest entry: its square is a normal number."""

WIDEST = (1e-8, 1e8)
"""Range of the vector."""

SUMS = ("ijb,ib->jb", "ijb,jb->ib")
"""Sums over columns and over rows, of K with the factor of the other side."""

BACK = ("ijb,xjb->xib", "ijb,xib->xjb")
"""From derivatives in these sums to those in the factor of the other side."""


@dataclass(frozen=True)
class Balanced(Chart):
    """Sinkhorn-Knopp of positive matrices K, which are a nearly balanced one times a vector.

    The state is that matrix, and below it the vector, by which the side is scaled that is not
    summed first. The entries themselves move: an entry near 0 comes back as easily as another,
    where a logit far down has no gradient; and those of a balanced matrix, which are of the size
    of those of its result. What is summed first may be scaled freely: it sums to 1.

    Attributes:
        d: side.
        axes: what the half-sweeps sum over, in turn: 0 makes columns sum to 1, 1 rows; at least
            one.
        guard: what keeps a sum from being 0.
        eps: size of the guard.
        softmax: whether the first half-sweep has no guard, and eps is added to what it leaves.
        largest: the largest entry of what is swept; None: 1 in everything that is summed first.
        least: the smallest entry of a state.
    """

    d: int
    axes: tuple[int, ...]
    guard: Guard = "log"
    eps: float = 0.0
    softmax: bool = False
    largest: float | None = None
    least: float = SMALLEST
    longest = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, and a row for the vector."""
        return (self.d + 1, self.d)

    @property
    def directions(self) -> int:
        """The entries of the matrix."""
        return self.d**2

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Mixtures of d permutations each, or exponentials of random spread."""
        mixed = np.zeros((self.d, self.d, n))
        for weight in sparse_weights(self.d, n, rng):
            permutation = rng.random((self.d, n)).argsort(0)
            mixed[np.arange(self.d)[:, None], permutation, np.arange(n)] += weight
        z = rng.standard_normal(mixed.shape) * np.exp(rng.uniform(-1, 2, n))
        k = np.where(rng.random(n) < 0.5, mixed, np.exp(z))
        return self._swept_once(k, np.ones((self.d, n)))

    def matrices(self, state: Array) -> Array:
        """Balanced."""
        return self.linearised(state)[0]

    def slopes(self, state: Array, gradient: Array) -> Array:
        """Back through all half-sweeps; what only scales, the first of them undoes."""
        return self.linearised(state)[1](gradient, slice(None))

    def linearised(self, state: Array) -> tuple[Array, Slopes]:
        """Forth and back through the same factors."""
        k, powers, scale = self._begun(state)
        factors = self._factors(k)
        u, v = self._sides(factors)

        def slopes(gradient: Array, of: Where) -> Array:
            both = np.stack([gradient.real, gradient.imag])
            slope = self._pullback(select(k, of), select(factors, of), both)
            if self.softmax:
                slope -= (slope * select(powers, of)).sum(1 + self.axes[0], keepdims=True)
            slope *= select(scale, of)
            return slope.reshape(2, self.directions, -1)

        return u[:, None] * k * v, slopes

    def moved(self, state: Array, step: Array) -> Array:
        """Entries plus the step."""
        return self._swept_once(state[:-1] + step.reshape(self.d, self.d, -1), state[-1])

    def blend(self, first: Array, second: Array, share: Array) -> Array:
        """The mean of the matrices and of the vectors."""
        both = share * first + (1 - share) * second
        return self._swept_once(both[:-1], both[-1])

    def lowest(self, state: Array) -> Array:
        """No entry is less than the smallest."""
        return (self.least - state[:-1]).reshape(self.directions, -1)

    def _swept_once(self, k: Array, vector: Array) -> Array:
        """The state of a matrix times a vector: the same product, up to what is summed first."""
        k = np.maximum(k, self.least)
        total = k.sum(1 - self.axes[0], keepdims=True)
        k /= total
        k /= k.sum(self.axes[0], keepdims=True)
        vector = np.clip(vector * total.reshape(vector.shape), *WIDEST)
        return np.concatenate([np.maximum(k, self.least), (vector / vector.max(0))[None]])

    def _begun(self, state: Array) -> tuple[Array, Array, Array]:
        """What is swept, of which powers it is made, and what these are to the state."""
        scale = np.expand_dims(state[-1], 1 - self.axes[0])
        powers = state[:-1] * scale
        if self.softmax:
            total = powers.sum(self.axes[0], keepdims=True)
        elif self.largest is None:
            total = powers.max(self.axes[0], keepdims=True)
        else:
            total = powers.max((0, 1)) / self.largest
        powers /= total
        return powers + self.eps if self.softmax else powers, powers, scale / total

    @cached_property
    def _swept(self) -> tuple[int, ...]:
        """The half-sweeps that follow."""
        return self.axes[self.softmax :]

    def _factors(self, k: Array) -> Array:
        """``(2 + half-sweeps, d, batch)``: two rows of ones, and what each half-sweep makes.

        A floor that no sum is below changes nothing, and is rarely reached.
        """
        if self.guard != "floor":
            return self._half_sweeps(k, self.guard)
        factors = self._half_sweeps(k, "log")
        low = (factors[:-2] <= self.eps * factors[2:]).any()
        return self._half_sweeps(k, "floor") if low else factors

    def _half_sweeps(self, k: Array, guard: Guard) -> Array:
        """A half-sweep changes the row two before, of its own side, by the row before."""
        factors = np.empty((2 + len(self._swept), *k.shape[1:]))
        factors[:2] = 1
        rows = list(factors)
        for t, axis in enumerate(self._swept):
            old, new = rows[t], rows[t + 2]
            np.einsum(SUMS[axis], k, rows[t + 1], out=new)
            if guard == "add":
                new *= old
                new += self.eps
                np.divide(old, new, out=new)
            elif guard == "floor":
                new[:] = np.where(old * new <= self.eps, old / self.eps, 1 / new)
            else:
                np.divide(1, new, out=new)
        return factors

    def _sides(self, factors: Array) -> tuple[Array, Array]:
        """The factors u of rows and v of columns after the last half-sweep."""
        u, v = factors[-2:] if (self.axes[-1] == 0) else factors[:-3:-1]
        return u, v

    def _pullback(self, k: Array, factors: Array, gradient: Array) -> Array:
        """Gradients ``(2, d, d, batch)`` in K, from those in ``u_i K_ij v_j``."""
        u, v = self._sides(factors)
        weighted = gradient * k
        slopes: list[Array | float] = [
            np.einsum("xijb,ib->xjb", weighted, u),
            np.einsum("xijb,jb->xib", weighted, v),
        ]
        of_old, of_sum = self._derivatives(factors)
        of_sums = np.empty((len(of_sum), 2, *of_sum.shape[1:]))
        for t in range(len(of_sum) - 1, -1, -1):
            axis = self._swept[t]
            np.multiply(of_sum[t], slopes[axis], out=of_sums[t])
            slopes[axis] = 0.0 if of_old is None else of_old[t] * slopes[axis]
            slopes[1 - axis] += np.einsum(BACK[axis], k, of_sums[t])
        total = gradient * (u[:, None] * v)
        for axis, pairs in ((0, "tib,txjb->xijb"), (1, "tjb,txib->xijb")):
            which = np.flatnonzero(np.equal(self._swept, axis))
            total += np.einsum(pairs, factors[1 + which], of_sums[which])
        return total

    def _derivatives(self, factors: Array) -> tuple[Array | None, Array]:
        """Of what every half-sweep makes: in what was there before (None: none), in its sum."""
        old, new = factors[:-2], factors[2:]
        of_sum = -new * new
        if self.guard == "add":
            return self.eps * (new / old) ** 2, of_sum
        if self.guard == "floor" and (low := new == old / self.eps).any():
            return low / self.eps, np.where(low, 0, of_sum)
        return None, of_sum
