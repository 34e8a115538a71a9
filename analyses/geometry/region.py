"""What a region of the complex plane is: the eigenvalues of a set of d x d matrices.

Every region is symmetric about the real axis and star-shaped about 0 (but for d = 1, which may be
the point 1). Its boundary is given by a radius for every angle.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.geometry import curves

Window = tuple[tuple[float, float], tuple[float, float]]
"""Real and imaginary range of a part of the plane."""


class Style(NamedTuple):
    """How pictures show a region."""

    label: str
    """Name in a legend."""
    dashes: str
    """Line style of the boundary, as matplotlib writes it."""
    line: str
    """Colour of the boundary."""
    fill: str
    """Colour of the inside."""
    is_unit_circle: bool
    """Whether the boundary is the unit circle, which pictures of eigenvalues show anyway."""


@dataclass(frozen=True)
class Region(ABC):
    """A region, for matrices of side d.

    A member is one file in ``analyses/regions``. It has to say everything that is abstract here:
    there is no default that could be wrong for it. Members are final.
    """

    d: Annotated[int, "side of the matrices"]

    def __post_init__(self) -> None:
        """Refuse a side that no matrix has."""
        require(self.d >= 1, f"d = {self.d}", "at least 1")

    @property
    def name(self) -> str:
        """The word for it on the command line and in tables: the name of its file."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    @abstractmethod
    def proven(self) -> str:
        """``proven`` if it is known to be exactly the eigenvalues of its matrices, or what is."""

    @property
    @abstractmethod
    def proven_by(self) -> str:
        """The proof, or what is open, in one sentence with its source."""

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether stochastic matrices have all of it: whether it lies in the Karpelevic region."""

    @property
    @abstractmethod
    def style(self) -> Style:
        """How pictures show it."""

    @property
    @abstractmethod
    def breaks(self) -> Array:
        """Angles in [0, pi] between which the boundary is one edge or arc; the ends included."""

    @property
    @abstractmethod
    def inner_square(self) -> float:
        """Squared radius of a disk about 0 inside the region; -1 where no disk is known."""

    @abstractmethod
    def radius(self, angle: Array) -> Array:
        """Distance of the boundary from 0, by angle in radians."""

    @abstractmethod
    def excess(self, re: Array, im: Array) -> Array:
        """How far points lie outside, 0 or less inside, where only the sign means something.

        It may be cheaper than `distance`: between half of it and twice as much.
        """

    @abstractmethod
    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance from the region, 0 inside, to about 1e-12."""

    @abstractmethod
    def upper_pieces(self, points: int) -> Array:
        """The boundary in the upper half plane, from its rightmost to its leftmost point.

        Lines along a ray from 0, which `radius` cannot tell, are pieces of their own: see
        `curves.polyline` and `curves.arcs`.

        Returns:
            Complex ``(pieces, points)``: each edge or arc with both its ends.
        """

    def detail(self, others: Collection[str]) -> Window | None:  # noqa: ARG002 (members use it)
        """A part to enlarge in a picture that has ``others`` too; None if there is none."""
        return None

    @cached_property
    def area(self) -> float:
        """Area, to rounding."""
        return 2 * curves.area(self.radius, self.breaks)

    def outside(self, re: Array, im: Array, square: Array, tolerance: float) -> tuple[Array, Array]:
        """The points, of squared modulus ``square``, whose `excess` is above a tolerance."""
        doubtful = square > self.inner_square
        re, im = re[doubtful], im[doubtful]
        if not re.size:
            return re, im
        far = self.excess(re, im) > tolerance
        return re[far], im[far]

    def pieces(self, points: int) -> Array:
        """The closed boundary, counterclockwise from its rightmost point.

        Returns:
            Complex ``(pieces, points)``: those of `upper_pieces`, and their mirror images.
        """
        upper = self.upper_pieces(points)
        return np.concatenate([upper, upper[::-1, ::-1].conj()]) + 0  # no -0

    def boundary(self, points: int = 65) -> tuple[Array, Array]:
        """The boundary as a closed curve ``(re, im)``, corners included."""
        curve = self.pieces(points).ravel()
        return curve.real, curve.imag
