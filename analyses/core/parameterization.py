"""What a parameterization of mixing matrices is, and how matrices are drawn from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import LANES, Array
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.memory import require_memory

ROWS, COLUMNS, NONNEGATIVE, NORM = "rows", "columns", "nonnegative", "spectral norm"
DOUBLY_STOCHASTIC = frozenset((ROWS, COLUMNS, NONNEGATIVE, NORM))
"""Exactly doubly stochastic, and so of spectral norm 1."""

Sampler = Callable[[int, np.random.Generator], Any]
"""``(n, rng) -> (n, d, d)`` float64 matrices."""


@dataclass(frozen=True)
class Parameterization(ABC):
    """A map from unconstrained parameters to ``d x d`` mixing matrices.

    A member is one file in ``analyses/parameterizations``: a frozen dataclass whose fields are
    its options, and ``EXAMPLES``, the instances that its tests run on. Members are final.
    """

    d: Annotated[int, "number of streams"] = 4

    source: ClassVar[str]
    """Paper or code the map comes from."""

    default_draw: ClassVar[str] = "gaussian"
    """The distribution that ``--draw`` takes when nothing is said."""

    def __post_init__(self) -> None:
        """Refuse options no matrix could have; members extend this."""
        require(self.d >= 1, f"d = {self.d} streams", "at least 1")

    @property
    def name(self) -> str:
        """The word for it on the command line: the name of its file."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    @abstractmethod
    def exact(self) -> frozenset[str]:
        """What holds up to rounding for all parameters: a subset of `DOUBLY_STOCHASTIC`."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Length p of the parameter vector of one matrix."""

    @abstractmethod
    def __call__(self, theta: Array) -> Array:
        """Matrices ``(..., d, d)`` of parameters ``(..., p)``, differentiable, in their dtype."""

    @abstractmethod
    def initial(self) -> Array:
        """The published start, ``(p,)`` float64."""

    def count(self, width: int) -> int:
        """Learned numbers of one site at the published form, ``C = width`` per stream.

        A dynamic map ``theta = alpha x' W + b`` of the ``dC`` normalised numbers, the pre and
        the post map, and three gates. Source: go-mHC, Table 1.
        """
        d = self.d
        return (d * width + 1) * self.parameters + 2 * d * d * width + 2 * d + 3

    @abstractmethod
    def flops(self) -> int:
        """Published estimate of the floating point operations of one matrix (go-mHC, Table 4)."""

    def chart(self) -> Any:
        """A better way to move within the image than over the parameters, if there is one.

        See `birkhoff_cli.analyses.geometry.charts`.
        """
        return None

    def known_reach(self) -> Any:
        """What is known by argument of the eigenvalues it reaches, if anything is.

        See `birkhoff_cli.analyses.parameterizations._known_reach`.
        """
        return None

    def samplers(self) -> Mapping[str, Sampler]:
        """Distributions of matrices that are not those of random parameters."""
        return {}

    @property
    def distributions(self) -> tuple[str, ...]:
        """Every word ``--draw`` accepts here, the default first."""
        names = ("gaussian", "uniform", "init", *self.samplers())
        return (self.default_draw, *(n for n in names if n != self.default_draw))

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Array:
        """Random parameters ``(n, p)``.

        Args:
            n: how many.
            rng: the only source of randomness.
            how: ``gaussian``, ``uniform`` on [-scale, scale], or ``init``: the published start
                plus ``scale`` times a Gaussian.
            scale: 1 for the first two if not given, 0 for ``init``.
        """
        shape = (self.parameters, n)  # lanes: transposed below, so that no copy is made
        if how == "uniform":
            half = 1.0 if scale is None else scale
            theta = rng.random(shape)
            theta -= 0.5
            theta *= 2 * half
            return theta.T
        if how == "gaussian":
            return (rng.standard_normal(shape) * (1.0 if scale is None else scale)).T
        noise = rng.standard_normal(shape) * scale if scale else np.zeros(shape)
        return (self.initial()[:, None] + noise).T

    def draw(
        self,
        n: int,
        rng: np.random.Generator,
        how: str | None = None,
        scale: float | None = None,
        evaluate: Callable[["Parameterization", Array], Array] | None = None,
    ) -> Array:
        """Random matrices ``(n, d, d)``, float64.

        Args:
            n: how many.
            rng: the only source of randomness.
            how: one of `distributions`; `default_draw` if not given.
            scale: spread of the parameters, see `theta`.
            evaluate: how to apply the map, to run it on another device or in another dtype.

        Raises:
            UsageError: this method has no such distribution.
        """
        how = how or self.default_draw
        if how not in self.distributions:
            raise UsageError(f"--draw {unknown(how, self.distributions, 'distributions here')}")
        if sampler := self.samplers().get(how):
            if scale is not None:
                raise UsageError(
                    f"--draw {how} has no --scale; leave it out, or use --draw gaussian"
                )
            return sampler(n, rng)
        theta = self.theta(n, rng, how, scale)
        return evaluate(self, theta) if evaluate else self(theta)

    @property
    def lanes(self) -> int:
        """How many matrices to draw at a time, so that a step stays in cache or in memory."""
        one = self.parameters + self.d**2
        require_memory(32 * one, f"one matrix of d = {self.d} with {self.parameters:,} parameters")
        return max(1, min(LANES, 2_000_000 // one))


def require(holds: bool, seen: str, expected: str) -> None:
    """Refuse an option value.

    Raises:
        UsageError: saying what was seen and what is expected.
    """
    if not holds:
        raise UsageError(f"{seen} cannot be; expected {expected}")
