"""Moves of several matrices at once, of which an average or a Kronecker product is taken."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import iadd

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.charts import Chart, split
from birkhoff_cli.analyses.geometry.lanes import kron


@dataclass(frozen=True)
class Composite(Chart):
    """Several charts; the state is their states, flat, one after the other."""

    parts: tuple[Chart, ...]

    @property
    def longest(self) -> float:  # type: ignore[override]
        """The shortest of theirs."""
        return min(part.longest for part in self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """All of theirs."""
        return (sum(prod(part.shape) for part in self.parts),)

    @property
    def directions(self) -> int:
        """All of theirs."""
        return sum(part.directions for part in self.parts)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Independent starts."""
        return _joined([part.start(n, rng) for part in self.parts])

    def slopes(self, state: Array, gradient: Array) -> Array:
        """Each by its own part of the derivative."""
        states = self.states(state)
        gradients = self.gradients(self._factors(states), gradient)
        return np.concatenate(
            [p.slopes(x, g) for p, x, g in zip(self.parts, states, gradients, strict=True)], 1
        )

    def moved(self, state: Array, step: Array) -> Array:
        """Each by its own part of the step."""
        return _joined([p.moved(x, dx) for p, x, dx in self._walks(state, step)])

    def lowest(self, state: Array) -> Array | None:
        """Theirs; -inf for those without walls."""
        lowest = [p.lowest(x) for p, x in zip(self.parts, self.states(state), strict=True)]
        if all(low is None for low in lowest):
            return None
        open_ = [np.full((part.directions, state.shape[-1]), -np.inf) for part in self.parts]
        return np.concatenate([o if x is None else x for x, o in zip(lowest, open_, strict=True)])

    @abstractmethod
    def gradients(self, factors: list[Array], gradient: Array) -> list[Array]:
        """Derivative in each of the matrices, from that in what they make up."""

    def states(self, state: Array) -> list[Array]:
        """State of every part."""
        rows = np.split(state, np.cumsum([prod(part.shape) for part in self.parts])[:-1])
        return [x.reshape(*p.shape, -1) for p, x in zip(self.parts, rows, strict=True)]

    def _factors(self, states: list[Array]) -> list[Array]:
        return [part.matrices(x) for part, x in zip(self.parts, states, strict=True)]

    def _walks(self, state: Array, step: Array) -> list[tuple[Chart, Array, Array]]:
        steps = np.split(step, np.cumsum([part.directions for part in self.parts])[:-1])
        return list(zip(self.parts, self.states(state), steps, strict=True))


@dataclass(frozen=True)
class Kronecker(Composite):
    """Kronecker products; the first factor has the slowest index."""

    def matrices(self, state: Array) -> Array:
        """The product."""
        return kron(self._factors(self.states(state)))

    def gradients(self, factors: list[Array], gradient: Array) -> list[Array]:
        """Contracted with the factors before and after."""
        sides = [len(factor) for factor in factors]
        gradients = []
        for k, side in enumerate(sides):
            before, after = (_product(f) for f in (factors[:k], factors[k + 1 :]))
            shape = (len(before), side, len(after)) * 2
            split_up = gradient.reshape(*shape, -1)
            gradients.append(np.einsum("lirmjsb,lmb,rsb->ijb", split_up, before, after))
        return gradients


@dataclass(frozen=True)
class Roots(Chart):
    """Convex weights, as columns ``(k, 1, batch)``; the state is their square roots.

    These lie on a sphere, where a weight near 0 moves as easily as another.
    """

    k: int
    longest = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """One root for every weight."""
        return (self.k,)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Uniform weights."""
        roots = np.sqrt(rng.standard_exponential((self.k, n)))
        return roots / np.sqrt((roots * roots).sum(0))

    def matrices(self, state: Array) -> Array:
        """The weights."""
        return (state.real**2)[:, None]

    def slopes(self, state: Array, gradient: Array) -> Array:
        """Along the sphere."""
        u = state.real
        slopes = 2 * u * split(gradient)
        slopes -= np.einsum("kb,xkb->xb", u, slopes)[:, None] * u
        return slopes

    def moved(self, state: Array, step: Array) -> Array:
        """Back onto the sphere."""
        u = state.real + step
        return u / np.sqrt((u * u).sum(0))


@dataclass(frozen=True)
class Average(Composite):
    """Convex combinations; the last part is the weights."""

    def matrices(self, state: Array) -> Array:
        """The combination."""
        *terms, weights = self._factors(self.states(state))
        return reduce(iadd, (h * w for h, w in zip(terms, weights, strict=True)))

    def gradients(self, factors: list[Array], gradient: Array) -> list[Array]:
        """Of a term, by its weight; of a weight, along its term."""
        *terms, weights = factors
        along = [np.einsum("ijb,ijb->b", gradient, h) for h in terms]
        return [*(gradient * w for w in weights), np.stack(along)[:, None]]


def average(terms: tuple[Chart, ...]) -> Chart:
    """Of terms with weights that move too."""
    return Average((*terms, Roots(len(terms)))) if len(terms) > 1 else terms[0]


def _product(factors: list[Array]) -> Array:
    return kron(factors) if factors else np.ones((1, 1, 1))


def _joined(states: list[Array]) -> Array:
    return np.concatenate([x.reshape(prod(x.shape[:-1]), x.shape[-1]) for x in states])
