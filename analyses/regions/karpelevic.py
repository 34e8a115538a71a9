"""Eigenvalues of all d x d stochastic matrices: the Karpelevic region.

It is star-shaped about 0, and touches the unit circle at the roots of unity of order at most d.
Between two of them, neighbours in the Farey sequence with angles 2 pi p / q and 2 pi r / s and
q < s, its radius rho at an angle is the only root in (0, 1] of

    sin(b) rho^q + sin(a) rho^(s/m) = sin(a + b),

with m = floor(d / q), a = |q angle - 2 pi p| and b = |s angle - 2 pi r| / m.

Dividing Ito's equation t^s (t^q - beta)^m = alpha^m t^(qm), alpha + beta = 1, by t^(qm) and taking
the continuous m-th root makes 1 a positive combination of two rays; a and b are their angles.

Source: Karpelevic, Izv. Akad. Nauk SSSR 15 (1951) 361-383; Ito, Linear Algebra Appl. 267 (1997)
241-246.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.palette import BLUE
from birkhoff_cli.analyses.core.parameterization import require
from birkhoff_cli.analyses.geometry import curves, farey, polygons
from birkhoff_cli.analyses.geometry.region import Region, Style

NEWTON_STEPS = 50
"""Never reached: convergence is quadratic, and 4 or 5 are usual."""


class Arc(NamedTuple):
    """What the radius equation needs; one number, or one to an angle."""

    p: Any
    q: Any
    r: Any
    s: Any
    m: Any

    def offsets(self, angle: Array) -> tuple[Array, Array]:
        """The a and b of the equation, for angles in [0, pi]."""
        a = np.abs(self.q * angle - 2 * np.pi * self.p)
        return a, np.abs(self.s * angle - 2 * np.pi * self.r) / self.m


@dataclass(frozen=True)
class Karpelevic(Region):
    """The eigenvalues of stochastic matrices; up to d = 3 those of doubly stochastic ones."""

    proven = "proven"
    proven_by = (
        "Karpelevic 1951, in the form of Ito 1997: a stochastic matrix has every boundary point, "
        "and tA + (1 - t) 1 p^T every point inside"
    )
    stochastic = True
    style = Style("Karpelevic", "-", BLUE, "#d3e6f3", is_unit_circle=False)

    @property
    def breaks(self) -> Array:
        """Angles of the roots of unity, between which the boundary is one smooth arc."""
        return farey.angles(self.d)

    @property
    def inner_square(self) -> float:
        """That of the incircle of the d-gon."""
        return polygons.inner_square(self.d)

    def radius(self, angle: Array) -> Array:
        """Distance of the boundary from 0, by angle in radians; to rounding."""
        return polygons.radius(angle, self.d) if self.d <= 3 else radius(angle, self.d)

    def excess(self, re: Array, im: Array) -> Array:
        """Distance beyond the boundary along the ray from 0; in the polygons, that to their edges.

        Only what is outside the polygons, which cost less, is held against the arcs.
        """
        excess = np.asarray(polygons.excess(re, im, self.d))
        if self.d > 3:
            beyond = excess > 0
            z = (np.asarray(re) + 1j * np.asarray(im))[beyond]
            excess[beyond] = np.abs(z) - radius(np.angle(z), self.d)
        return excess

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance, 0 inside; to about 1e-12."""
        if self.d <= 3:
            return polygons.distance(re, im, self.d)
        re, im = np.broadcast_arrays(re, im)
        away = self.excess(re, im) > 0
        nearest = np.zeros(away.shape)
        points = re[away] + 1j * np.abs(im[away])
        nearest[away] = curves.distance(points, self.radius, self.breaks)
        return nearest

    def upper_pieces(self, points: int) -> Array:
        """One arc from each root of unity to the next; straight up to d = 3."""
        return polygons.upper_pieces(self.radius, self.breaks, self.d, points)


def radius(angle: Array, d: int) -> Array:
    """Distance of the boundary from 0, by angle in radians, for d >= 4; to rounding.

    In u = log(rho) the logarithm of the left side is convex and increasing, so that Newton's
    method from u = 0, which is not below the root, falls to it without a safeguard.
    """
    angle = farey.upper(angle)
    arc = _arc(angle, d)
    a, b = arc.offsets(angle)
    left, right, total = np.sin(b), np.sin(a), np.sin(a + b)
    steep = arc.s / arc.m
    u = np.zeros_like(angle)
    for _ in range(NEWTON_STEPS):
        first, second = left * np.exp(arc.q * u), right * np.exp(steep * u)
        above = np.log((first + second) / total)
        u -= above * (first + second) / (arc.q * first + steep * second)
        if (above < 1e-15).all():
            break
    return np.exp(np.minimum(u, 0))


def realising_matrix(d: int, angle: float) -> Array:
    """A stochastic matrix that has the boundary point at ``angle`` (or its mirror) as eigenvalue.

    m cycles of length q, each left with probability alpha at its last state for the next cycle,
    entered so that the way through all of them has length s. Its characteristic polynomial is
    ``t^(s - m q) (t^q - beta)^m - alpha^m``, times a power of t; alpha + beta = 1.

    Args:
        d: side, at least 3.
        angle: in radians. For d = 3 the boundary jumps at pi: just beside it the point is lost
            to rounding.

    Source: Kirkland, Laffey & Smigoc, arXiv:2005.02452; Johnson & Paparella, arXiv:1611.06970.
    """
    require(d >= 3, f"d = {d}", "at least 3; below, all eigenvalues are real")
    at = farey.upper(np.asarray(angle))
    arc = Arc(*(int(x) for x in _arc(at, d)))
    a, b = arc.offsets(at)
    rho = radius(at, d)
    stay, leave = np.sin(b) * rho**arc.q, np.sin(a) * rho ** (arc.s / arc.m)
    alpha = leave / (stay + leave)
    return _chained_cycles(d, arc, float(alpha))


def _chained_cycles(d: int, arc: Arc, alpha: float) -> Array:
    """Cycles of length q one after the other, then the states between the last and the first.

    States beyond these lead in and are never met again: they add a power of t.
    """
    size = arc.m * arc.q
    between = max(arc.s - size, 0)
    entries = _entries(arc)
    after = (np.arange(d) + 1) % d
    if between:
        after[size + between - 1] = entries[0]
    h = np.eye(d)[after]
    for k, door in enumerate([*entries[1:], size if between else entries[0]]):
        last = (k + 1) * arc.q - 1
        h[last] = 0
        h[last, k * arc.q] = 1 - alpha
        h[last, door] += alpha
    return h


def _entries(arc: Arc) -> list[int]:
    """Where each cycle is entered: the states skipped shorten the whole way to length s."""
    skip = max(arc.m * arc.q - arc.s, 0)
    entries = []
    for k in range(arc.m):
        here = min(skip, arc.q - 1)
        skip -= here
        entries.append(k * arc.q + here)
    return entries


def _arc(angle: Array, d: int) -> Arc:
    """The arc of every angle in [0, pi]."""
    starts = farey.angles(d)
    i = np.clip(np.searchsorted(starts, angle, side="right") - 1, 0, len(starts) - 2)
    return Arc(*(column[i] for column in _arcs(d)))


@cache
def _arcs(d: int) -> Arc:
    """All arcs of the upper half: the end with the smaller denominator is p / q."""
    fractions = farey.fractions(d)
    ends = np.stack([fractions[:, :-1], fractions[:, 1:]])  # (end, p or q, arc)
    order = np.argsort(ends[:, 1], axis=0)
    (p, r), (q, s) = (np.take_along_axis(ends[:, row], order, axis=0) for row in (0, 1))
    return Arc(p, q, r, s, d // q)
