"""What eigenvalues are measured against: the region of the set that a method aims at."""

import numpy as np

from birkhoff_cli.analyses.core.parameterization import NONNEGATIVE, NORM, Parameterization
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.geometry.coverage import OUTSIDE, Coverage
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.regions.doubly_stochastic import DoublyStochastic
from birkhoff_cli.analyses.regions.karpelevic import Karpelevic
from birkhoff_cli.analyses.regions.unit_disk import UnitDisk


def coverage_of(source: Source, draws: Draws, resolution: int) -> Coverage:
    """Empty counts against the regions of a source."""
    dtype = draws.dtype if isinstance(source, Parameterization) else source.dtype
    # outside is what a matrix in its dtype cannot be by rounding alone
    tolerance = max(OUTSIDE, 16 * source.d * float(np.finfo(dtype).eps))
    widest = Karpelevic(source.d)
    return Coverage(region_for(source), widest, resolution, tolerance, factor_region(source))


def region_for(source: Source) -> Region:
    """The unit disk for signed matrices of bounded norm, else that of doubly stochastic ones."""
    exact = source.exact if isinstance(source, Parameterization) else frozenset()
    if NORM in exact and NONNEGATIVE not in exact and source.d > 2:
        return UnitDisk(source.d)
    return DoublyStochastic(source.d)


def factor_region(source: Source) -> Region | None:
    """That of the largest factor of a Kronecker product, in which go-mHC's B.1 puts its spectrum.

    Products of eigenvalues leave it for every factor larger than 2 (docs/mathematics.md 5.6).
    """
    sides = source.factor_sides if isinstance(source, Parameterization) else ()
    return DoublyStochastic(max(sides)) if len(sides) > 1 else None
