"""Ways to move a matrix within the image of a map: over rotations, over weights, or parameters.

A chart has a state for a batch of matrices, an array whose last axis is the batch. A move takes
the shortest step that, to first order, makes the complex number r vanish whose derivative in H is
``gradient``: a Gauss-Newton step of two real equations, so one 2 x 2 system a matrix, whatever the
number of parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.pullback import Differentiable
from birkhoff_cli.analyses.geometry.lanes import Where, select

DAMPING = 1e-9
"""Share of their squares that is added to two slopes, which may be parallel."""

ROUNDS = 8
"""Solutions of a step, each without the directions that the last one found barred."""


Slopes: TypeAlias = Callable[[Array, Where], Array]
"""`Chart.slopes` at states that are evaluated, of some of their lanes, for gradients there."""


class Chart(ABC):
    """A way to move: tangent directions of a state, and where a step along them leads."""

    longest: float
    """Longest step, in the norm of the tangent directions."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Axes of a state before the batch."""

    @property
    def directions(self) -> int:
        """Tangent directions; as many as the state has numbers, unless a chart knows better."""
        return prod(self.shape)

    @abstractmethod
    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Random states ``(..., n)``."""

    @abstractmethod
    def matrices(self, state: Array) -> Array:
        """Lanes ``(d, d, batch)``."""

    @abstractmethod
    def slopes(self, state: Array, gradient: Array) -> Array:
        """Derivative of r along every tangent direction, for the gradient ``(d, d, batch)``.

        Returns:
            ``(2, directions, batch)``: of the real and of the imaginary part.
        """

    @abstractmethod
    def moved(self, state: Array, step: Array) -> Array:
        """The state after a step ``(directions, batch)``."""

    def coarse(self, state: Array) -> Array:
        """The state in a lower precision, where moves are as good in it; else as it is."""
        return state

    def exact(self, state: Array) -> Array:
        """The state that a `coarse` one stands for, to rounding in double precision."""
        return state

    def blend(self, first: Array, second: Array, share: Array) -> Array:  # noqa: ARG002
        """States between two, of which ``share`` is the first; any, where there are none."""
        return second

    def lowest(self, state: Array) -> Array | None:  # noqa: ARG002 (some have walls)
        """The farthest that a step may go down in every direction; None: there are no walls."""
        return None

    def linearised(self, state: Array) -> tuple[Array, Slopes]:
        """Matrices and slopes, where they have work in common; a chart knows what."""
        return self.matrices(state), lambda gradient, of: self.slopes(select(state, of), gradient)

    def move(self, state: Array, gradient: Array, r: Array) -> Array:
        """The state after the shortest step of bounded length that makes r vanish."""
        return self.step(state, self.slopes(state, gradient), r)

    def step(self, state: Array, slopes: Array, r: Array) -> Array:
        """The same, for slopes that are known.

        Directions in which that step runs into a wall go as far as the wall, and the rest of the
        step is solved for again.
        """
        step = _shortest(slopes, r, self.longest)
        lowest = self.lowest(state)
        if lowest is not None:
            barred = np.zeros(step.shape, bool)
            for _ in range(ROUNDS):
                beyond = step < lowest
                if not beyond.any():
                    break
                barred |= beyond
                walls = np.where(barred, lowest, 0)
                ahead = np.einsum("xkb,kb->xb", slopes, walls)
                free = np.where(barred, 0, slopes)
                step = walls + _shortest(free, r + ahead[0] + 1j * ahead[1], self.longest)
        return self.moved(state, step)


@dataclass(frozen=True)
class Parameters(Chart):
    """Any parameterization; the state is theta, lanes ``(p, batch)``."""

    map: Parameterization
    longest = 4.0
    """Longest step, in units of the parameters: a logit must go far to reach a vertex."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Every parameter."""
        return (self.map.parameters,)

    @cached_property
    def _differentiable(self) -> Differentiable:
        return self.map.differentiable()

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Gaussian parameters, of a spread that is itself random: some near the vertices."""
        spread = np.exp(rng.uniform(-1, 2, n))
        return self.map.theta(n, rng, "gaussian").T * spread

    def matrices(self, state: Array) -> Array:
        """The map itself."""
        return lanes(self.map(state.T), 2)

    def slopes(self, state: Array, gradient: Array) -> Array:
        """By the gradient of the map, of two copies: for the real and for the imaginary part."""
        _, pullback = self._differentiable(np.concatenate([state.T, state.T]))
        both = np.concatenate([gradient.real, gradient.imag], -1)
        slopes = pullback(np.ascontiguousarray(batch_first(both, 2)))
        return slopes.reshape(2, -1, self.map.parameters).swapaxes(1, 2)

    def moved(self, state: Array, step: Array) -> Array:
        """Parameters plus the step."""
        return state + step


@dataclass(frozen=True)
class Fixed(Chart):
    """One matrix, ``(d, d)``, that cannot be moved; the state has no rows."""

    matrix: Array
    longest = 1.0
    shape = (0,)

    def start(self, n: int, rng: np.random.Generator) -> Array:  # noqa: ARG002
        """Nothing to choose."""
        return np.zeros((0, n))

    def matrices(self, state: Array) -> Array:
        """The matrix again and again."""
        return np.repeat(self.matrix[..., None], state.shape[-1], -1)

    def slopes(self, state: Array, gradient: Array) -> Array:  # noqa: ARG002
        """No direction."""
        return np.zeros((2, *state.shape))

    def moved(self, state: Array, step: Array) -> Array:  # noqa: ARG002
        """Where it was."""
        return state


@dataclass(frozen=True)
class Entries(Chart):
    """All real matrices; the state is H."""

    d: int
    longest = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return (self.d, self.d)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Gaussian entries, of spectral radius about 1."""
        return rng.standard_normal((self.d, self.d, n)) / np.sqrt(self.d)

    def matrices(self, state: Array) -> Array:
        """The state."""
        return state

    def slopes(self, state: Array, gradient: Array) -> Array:  # noqa: ARG002
        """The gradient."""
        return split(gradient)

    def moved(self, state: Array, step: Array) -> Array:
        """Entries plus the step."""
        return state + step.reshape(state.shape)


def chart_of(method: Parameterization) -> Chart:
    """The method's own way to move, or the one that every map has."""
    own: Chart | None = method.chart()
    return own or Parameters(method)


def open_chart_of(method: Parameterization) -> Chart:
    """The same, unless it has walls: along these steps are many and short."""
    own = chart_of(method)
    walled = own.lowest(own.start(1, np.random.default_rng(0))) is not None
    return Parameters(method) if walled else own


def split(values: Array) -> Array:
    """Complex ``(..., batch)`` as real rows ``(2, n, batch)``, real part first."""
    flat = values.reshape(-1, values.shape[-1])
    return np.stack([flat.real, flat.imag])


def _shortest(slopes: Array, r: Array, longest: float) -> Array:
    """The shortest solution x of re . x = -Re r, im . x = -Im r, or as much of it as is allowed.

    Args:
        slopes: ``(2, n, batch)``, re and im.
        r: ``(batch,)`` complex.
        longest: largest norm of x.
    """
    re, im = slopes
    a, b, c = _dot(re, re), _dot(re, im), _dot(im, im)
    limits = np.finfo(a.dtype)
    damping = max(DAMPING, float(limits.eps)) * (a + c) + limits.tiny
    a += damping
    c += damping
    determinant = a * c - b * b
    movable = determinant > 0  # a map without parameters has nowhere to go
    x, y = (
        np.divide(numerator, determinant, out=np.zeros_like(a), where=movable)
        for numerator in (b * r.imag - c * r.real, b * r.real - a * r.imag)
    )
    step: Array = re * x
    step += im * y
    norm = np.sqrt(_dot(step, step))
    step *= longest / np.maximum(norm, longest)
    return step


def _dot(x: Array, y: Array) -> Array:
    """Sums of products down the columns: one pass, where numpy's sum over a short axis is slow."""
    return np.einsum("kb,kb->b", x, y)
