"""Union of the regular k-gons on the roots of unity, k <= d: the Perfect-Mirsky region.

It lies in the set of eigenvalues of doubly stochastic matrices and is all of it for d <= 4.

Source: Perfect & Mirsky, Monatsh. Math. 69 (1965) 35-57; Levick, Pereira & Kribs, Proc. AMS 143
(2015) for d = 4.
"""

from dataclasses import dataclass

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import VERMILION
from birkhoff_cli.analyses.geometry import polygons
from birkhoff_cli.analyses.geometry.region import Region, Style


@dataclass(frozen=True)
class PerfectMirsky(Region):
    """The union of polygons."""

    stochastic = True
    style = Style("Perfect-Mirsky", "--", VERMILION, "#fbe9dc", is_unit_circle=False)

    @property
    def proven(self) -> str:
        """Whether doubly stochastic matrices have no eigenvalue outside."""
        if self.d <= 4:
            return "proven"
        return "low by 2.1e-4" if self.d == 5 else "conjectured"

    @property
    def proven_by(self) -> str:
        """Who showed it, or what is known."""
        if self.d <= 3:
            return "Perfect & Mirsky 1965: doubly stochastic matrices have all of it and no more"
        if self.d == 4:
            return "Levick, Pereira & Kribs 2015: doubly stochastic matrices have no more for d = 4"
        if self.d == 5:
            return (
                "Mashreghi & Rivard 2007 show that a pair of permutations leaves it for d = 5; "
                "the curve that is known adds 2.1e-4 of its area"
            )
        return "every point is an eigenvalue; that there are no others is a conjecture for d >= 6"

    @property
    def breaks(self) -> Array:
        """Corners of the union."""
        return polygons.corners(self.d)

    @property
    def inner_square(self) -> float:
        """That of the incircle of the d-gon."""
        return polygons.inner_square(self.d)

    def radius(self, angle: Array) -> Array:
        """The largest over the polygons."""
        return polygons.radius(angle, self.d)

    def excess(self, re: Array, im: Array) -> Array:
        """Distance beyond the line of an edge: less than the Euclidean distance near corners."""
        return polygons.excess(re, im, self.d)

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance, 0 inside; to rounding."""
        return polygons.distance(re, im, self.d)

    def upper_pieces(self, points: int) -> Array:
        """Straight edges."""
        return polygons.upper_pieces(self.radius, self.breaks, self.d, points)
