"""Eigenvalues of all complex d x d matrices of spectral norm at most 1: the unit disk."""

from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import curves
from birkhoff_cli.analyses.geometry.region import Region, Style


@dataclass(frozen=True)
class UnitDisk(Region):
    """The same for every d."""

    name = "unit disk"
    proven = "proven"
    proven_by = (
        "no eigenvalue exceeds the norm, and z times the identity has norm |z|; signed matrices "
        "with unit sums fill it for d >= 3"
    )
    stochastic = False
    inner_square = 1.0
    style = Style("unit disk", "-", "0.6", "0.93", is_unit_circle=True)

    @property
    def breaks(self) -> Array:
        """The ends of the upper half."""
        return np.array([0, np.pi])

    def radius(self, angle: Array) -> Array:
        """One."""
        return np.ones_like(angle, dtype=float)

    def excess(self, re: Array, im: Array) -> Array:
        """Distance beyond the circle, less than 0 inside."""
        return np.hypot(re, im) - 1

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance, 0 inside."""
        return np.maximum(np.hypot(re, im) - 1, 0)

    def upper_pieces(self, points: int) -> Array:
        """One arc."""
        return curves.arcs(self.radius, self.breaks, points)
