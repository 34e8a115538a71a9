"""What eigenvalues are measured against: the region of the set that a method aims at."""

import numpy as np

from birkhoff_cli.analyses.core.parameterization import NONNEGATIVE, NORM, Parameterization
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.regions.doubly_stochastic import DoublyStochastic
from birkhoff_cli.analyses.regions.karpelevic import Karpelevic
from birkhoff_cli.analyses.statistics.coverage import OUTSIDE, Coverage


def coverage_of(source: Source, resolution: int) -> Coverage:
    """Empty counts against the regions of a source."""
    # outside is what a matrix in its dtype cannot be by rounding alone
    tolerance = max(OUTSIDE, 16 * source.d * float(np.finfo(source.dtype).eps))
    widest, drawn = Karpelevic(source.d), source.drawn
    region = region_for(drawn.method) if drawn else DoublyStochastic(source.d)
    factor = factor_region(drawn.method) if drawn else None
    return Coverage(region, widest, resolution, tolerance, factor)


def region_for(method: Parameterization) -> Region:
    """The unit disk for signed matrices of bounded norm, else that of doubly stochastic ones."""
    if NORM in method.exact and NONNEGATIVE not in method.exact and method.d > 2:
        from birkhoff_cli.analyses.regions.unit_disk import UnitDisk  # of use to few methods

        return UnitDisk(method.d)
    return DoublyStochastic(method.d)


def factor_region(method: Parameterization) -> Region | None:
    """That of the largest factor of a Kronecker product, in which go-mHC's B.1 puts its spectrum.

    Products of eigenvalues leave it for every factor larger than 2 (docs/mathematics.md 5.6).
    """
    sides = method.factor_sides
    return DoublyStochastic(max(sides)) if len(sides) > 1 else None
