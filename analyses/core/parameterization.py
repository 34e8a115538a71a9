"""What a parameterization of mixing matrices is, and how matrices are drawn from it."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

import numpy as np

from birkhoff_cli.analyses.core.arrays import LANES, Array
from birkhoff_cli.analyses.core.discover import unknown, word_for
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.facts import Facts
from birkhoff_cli.analyses.core.memory import magnitude, require_memory
from birkhoff_cli.analyses.core.shapes import Shaped

METHODS = "birkhoff_cli.analyses.parameterizations"
"""The folder of the members."""

ROWS, COLUMNS, NONNEGATIVE, NORM = "rows", "columns", "nonnegative", "spectral norm"
DOUBLY_STOCHASTIC = frozenset((ROWS, COLUMNS, NONNEGATIVE, NORM))
"""Exactly doubly stochastic, and so of spectral norm 1."""

OF_PARAMETERS = ("gaussian", "uniform", "init")
"""Distributions that every method has: `Parameterization.theta` draws them."""


@dataclass(frozen=True)
class Parameterization(Facts):
    """A map from unconstrained parameters to ``d x d`` mixing matrices.

    A member is one file in ``analyses/parameterizations``: a frozen dataclass whose fields are
    its options, and ``EXAMPLES``, the instances that its tests run on. Members are final. What
    is known of a member beyond its map is in its file too: see `Facts`.
    """

    d: Annotated[int, "number of streams"] = 4

    source: ClassVar[str] = ""
    """Paper or code the map comes from."""

    default_draw: ClassVar[str] = "gaussian"
    """The distribution that ``--draw`` takes when nothing is said."""

    def __post_init__(self) -> None:
        """Refuse options no matrix could have; members extend this."""
        require(self.d >= 1, f"d = {self.d} streams", "at least 1")

    @property
    def name(self) -> str:
        """The word for it on the command line: the name of its file, or what another package says.

        ``package.module:Class`` of one that no package declares.
        """
        return word_for(METHODS, type(self))

    @property
    def options(self) -> dict[str, Any]:
        """Values of the options but d, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "d"}

    @property
    @abstractmethod
    def exact(self) -> frozenset[str]:
        """What holds up to rounding for all parameters: a subset of `DOUBLY_STOCHASTIC`."""

    @abstractmethod
    def initial(self) -> Shaped[Array, " p"]:
        """The published start, ``(p,)`` float64."""

    def simplified(self) -> "Parameterization":
        """A method of the same image, without products or averages that hold only one matrix."""
        return self

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

    def draws_parameters(self, how: str) -> bool:
        """Whether a distribution is one of parameters, and not one of matrices."""
        return how in OF_PARAMETERS or how not in self.samplers()

    @property
    def distributions(self) -> tuple[str, ...]:
        """Every word ``--draw`` accepts here, the default first."""
        names = (*OF_PARAMETERS, *self.samplers())
        return (self.default_draw, *(n for n in names if n != self.default_draw))

    def theta(
        self, n: int, rng: np.random.Generator, how: str, scale: float | None = None
    ) -> Shaped[Array, "n p"]:
        """Random parameters ``(n, p)``.

        Args:
            n: how many.
            rng: the only source of randomness.
            how: ``gaussian``, ``uniform`` on [-scale, scale], or ``init``: the published start
                plus ``scale`` times a Gaussian.
            scale: 1 for the first two if not given, 0 for ``init``.

        Raises:
            TooLarge: those of one matrix do not fit in memory.
            UsageError: a scale beyond `MAX_SCALE`.
        """
        require_scale(scale)
        self.require_memory()
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
        rng: np.random.Generator | None = None,
        how: str | None = None,
        scale: float | None = None,
        evaluate: Callable[["Parameterization", Array], Array] | None = None,
        *,
        seed: int = 0,
    ) -> Shaped[Array, "n d d"]:
        """Random matrices ``(n, d, d)``, float64.

        Args:
            n: how many.
            rng: the only source of randomness; without one ``seed`` counts.
            how: one of `distributions`; `default_draw` if not given.
            scale: spread of the parameters, see `theta`.
            evaluate: how to apply the map, to run it on another device or in another dtype.
            seed: of the matrices that ``birkhoff sample --seed`` draws.

        Raises:
            UsageError: this method has no such distribution.
            TooLarge: they do not fit in memory.
        """
        if rng is None:
            from birkhoff_cli.analyses.core.source import Drawn, Draws

            require_memory(8 * n * self.d**2, f"{n:,} matrices of d = {self.d}")
            drawn = Drawn(self, Draws(samples=n, draw=how, scale=scale), seed)
            return np.concatenate([block[:, 0] for block in drawn])
        how = how or self.default_draw
        if how in OF_PARAMETERS:
            theta = self.theta(n, rng, how, scale)
            return evaluate(self, theta) if evaluate else self(theta)
        if (sampler := self.samplers().get(how)) is None:
            raise UsageError(f"--draw {unknown(how, self.distributions, 'distributions here')}")
        if scale is not None:
            raise UsageError(f"--draw {how} has no --scale; leave it out, or use --draw gaussian")
        return sampler(n, rng)

    @property
    def lanes(self) -> int:
        """How many matrices to draw at a time, so that a step stays in cache or in memory."""
        self.require_memory()
        return max(1, min(LANES, 2_000_000 // (self.parameters + self.d**2)))

    def require_memory(self) -> None:
        """Hold that a matrix and its parameters fit in memory.

        Raises:
            TooLarge: they do not.
        """
        size, parameters = 32 * (self.parameters + self.d**2), magnitude(self.parameters)
        require_memory(size, f"one matrix of d = {self.d} with {parameters} parameters")


MAX_SCALE = 1e12
"""Of numbers in a map: beyond it 1 is lost beside them, and squares overflow."""


def require_scale(scale: float | None, label: str = "--scale") -> None:
    """Hold that a spread, or another positive number, is one that maps can take.

    Raises:
        UsageError: it is none.
    """
    fits = scale is None or 0 <= scale <= MAX_SCALE
    require(fits, f"{label} {scale}", f"at least 0, {MAX_SCALE:g} at most")


def require(holds: bool, seen: str, expected: str) -> None:
    """Refuse an option value.

    Raises:
        UsageError: saying what was seen and what is expected.
    """
    if not holds:
        raise UsageError(f"{seen} cannot be; expected {expected}")
