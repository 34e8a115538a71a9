"""Targets that a method may or may not reach: uniform points of the Birkhoff polytope."""

from collections.abc import Iterator
from math import sqrt

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.core.random_numbers import TARGETS, block_generator
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.analyses.geometry.polytope import uniform

MAX_SIDE, MAX_TARGETS = 64, 1 << 24
"""Of a target, and of their number: each takes a thousand steps of a descent."""


def uniform_targets(d: int, samples: int, seed: int) -> MixingTrace:
    """Uniform points of the polytope, as samples of one site.

    Raises:
        UsageError: a d or a number that cannot be.
    """
    require(1 <= d <= MAX_SIDE, f"--d {d}", f"1 to {MAX_SIDE}")
    require(1 <= samples <= MAX_TARGETS, f"-n/--samples {samples}", f"1 to {MAX_TARGETS:,}")

    def read(block: int, first: int) -> Iterator[Array]:
        for start in range(first, samples, block):
            rng = block_generator(seed, start // block, TARGETS)
            yield uniform(min(block, samples - start), d, rng)[:, None]

    return MixingTrace(
        d=d,
        samples=samples,
        sites=(Site(0, "drawn", "target"),),
        source="uniform targets",
        reader=read,
        dtype=np.dtype(np.float64),
        meta={"drawn": "polytope"},
    )


def binomial_error(share: float, count: int) -> float:
    """Standard error of a share of ``count`` independent draws.

    Of a share of 0 or 1 that of Agresti & Coull's: two more draws of either kind are added.
    """
    added = (share * count + 2) / (count + 4)
    return sqrt(added * (1 - added) / (count + 4))
