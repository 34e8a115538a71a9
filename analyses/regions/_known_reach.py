"""What is known by argument of the eigenvalues that a method reaches: areas, and largest gaps.

A member states it in its `known_reach`; here are the sets that several of them have. Areas are of
the eigenvalues other than the trivial 1, limits included, within the region that the method aims
at. The arguments are in docs/mathematics.md, 0.1.

Every method imports this file, and few commands ask it: what it needs is imported where it is used.
"""

from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

MAX_CORNERS = 200
"""Corners of all hulls together: every edge is crossed with every other."""


class Reach(NamedTuple):
    """What a method knows of its reach."""

    area: float | None
    """Area that is reached; None if only the gap is known."""
    because: str
    """The argument, in a sentence."""
    proven: bool = True
    """Whether the argument is a proof."""
    missing: float = 0.0
    """By how much the area may be larger."""
    gap: float | None = None
    """Largest distance from the boundary of the region to what is reached."""
    gap_proven: bool = False
    """Whether the gap is proven, or observed."""


def real_only(because: str) -> Reach:
    """All eigenvalues are real: no area."""
    return Reach(0.0, because)


def doubly_stochastic(d: int, because: str, scale: float = 1.0) -> Reach:
    """At least all doubly stochastic matrices, their eigenvalues other than 1 times ``scale``."""
    from birkhoff_cli.analyses.regions.doubly_stochastic import DoublyStochastic

    region = DoublyStochastic(d)
    area, proven = region.area * scale**2, region.proven == "proven"
    if not proven:
        because += f"; the region's own area: {region.proven}"
    gap = 0.0 if d > 2 and scale == 1 else None
    return Reach(area, because, proven, region.area - area, gap, proven)


def perfect_mirsky(d: int, because: str) -> Reach:
    """Doubly stochastic matrices that reach at least every k-gon, k <= d."""
    from birkhoff_cli.analyses.regions.doubly_stochastic import DoublyStochastic
    from birkhoff_cli.analyses.regions.perfect_mirsky import PerfectMirsky

    if d <= 4:
        return doubly_stochastic(d, because)
    area, region = PerfectMirsky(d).area, DoublyStochastic(d)
    because += "; whether points beyond the polygons are reached is open"
    return Reach(area, because, False, region.area - area)


def unit_disk() -> Reach:
    """Every matrix of norm below 1 on the vectors of sum 0."""
    from birkhoff_cli.analyses.regions.unit_disk import UnitDisk

    because = "every matrix of norm below 1 on the vectors of sum 0 is reached"
    return Reach(UnitDisk(3).area, because, gap=0.0, gap_proven=True)


def scallops(d: int, s: int) -> Reach:
    """Generalised orthostochastic (unistochastic) matrices of level s, for d >= 3.

    The gap is that in the middle of a piece of an edge of the d-gon, between two touching points.

    Source: docs/mathematics.md, section 3.
    """
    from birkhoff_cli.analyses.geometry import hypocycloids

    gap = float(np.cos(np.pi / d) - (d - 2) / d) / s
    if d != 3:
        return Reach(None, "", False, gap=gap)
    polygon = hypocycloids.polygon_area(3)
    area = polygon - (polygon - hypocycloids.hypocycloid_area(3)) / s
    because = "the mean of s deltoids is reached"
    if s > 1:
        because += "; that no more is, is observed to 2e-6"
    return Reach(area, because, s == 1, gap=gap, gap_proven=s == 1)


def hexagram() -> Reach:
    """Kronecker products of doubly stochastic 2 x 2 and 3 x 3 matrices, with a 3 and another."""
    because = "products of eigenvalues of the factors fill the triangle and its negative"
    return Reach(float(np.sqrt(3)), because)


def mixtures(permutations: Array) -> Reach | None:
    """Mixtures of permutations ``(k, d)``, the identity among them, where something is known.

    If they commute, the eigenvalue of a mixture on a joint eigenvector is the mixture of theirs.
    If the powers of a k-cycle are among them, mixtures of these fill the k-gon.
    """
    from birkhoff_cli.analyses.geometry.hulls import union_area

    perms = np.asarray(permutations)
    if len(perms) <= 2:
        return Reach(0.0, "mixtures of two matrices are a line: their eigenvalues are curves")
    if len(perms) <= MAX_CORNERS:
        products = perms[:, perms]
        hulls = _joint_eigenvalues(perms) if (products == products.swapaxes(0, 1)).all() else None
        if hulls is not None and sum(map(len, hulls)) <= MAX_CORNERS:
            because = "the permutations commute: polygons of their joint eigenvalues"
            return Reach(union_area(hulls), because)
    d = perms.shape[1]
    if set(range(3, d + 1)) <= _cyclic_groups(perms):
        return perfect_mirsky(d, "the powers of a k-cycle are mixed for every k")
    return None


def _cyclic_groups(perms: Array) -> set[int]:
    """Orders k for which all powers of a k-cycle are among the permutations."""
    members = {tuple(p) for p in perms.tolist()}
    orders = set()
    for p in perms:
        power, size, moved = p, 1, int((p != np.arange(len(p))).sum())
        while tuple(power.tolist()) in members and (power != np.arange(len(p))).any():
            power, size = p[power], size + 1
        if size == moved and (power == np.arange(len(p))).all():  # one cycle, and all its powers
            orders.add(size)
    return orders


def _joint_eigenvalues(perms: Array) -> list[Array]:
    """Corners of the hull on every joint eigenvector, counterclockwise; lines left out."""
    from birkhoff_cli.analyses.geometry.permutations import matrices

    k, d = perms.shape
    weights = 1 + (np.arange(1, k + 1) * (np.sqrt(5) - 1) / 2) % 1  # no two sums alike
    p = matrices(perms).astype(float)
    _, vectors = np.linalg.eig(np.tensordot(weights, p, 1))
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    values = np.einsum("ia,kij,ja->ak", vectors.conj(), p, vectors)
    corners = [np.unique(row.round(12)) for row in values]  # roots of unity: all are corners
    distinct = {tuple(row): row for row in corners if len(row) > 2}
    return [row[np.argsort(np.angle(row))] for row in distinct.values()]
