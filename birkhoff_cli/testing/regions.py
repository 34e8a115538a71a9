"""What every region keeps: one boundary, told in several ways that must agree."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.testing._holding import check, hold, near

ANGLES = np.concatenate([np.linspace(-np.pi, np.pi, 181), 2 * np.pi * np.arange(1, 5) / 5])
BEYOND = 1e-7
"""How far beyond the boundary a point has to count as outside."""

ROUNDING = 1e-12


def check_region(region: Region) -> None:
    """Hold that a region keeps all contracts.

    Args:
        region: an instance, such as ``UnitDisk(4)``. Check several sides, 1 among them.

    Raises:
        AssertionError: what does not hold, and by how much.
    """
    check(CONTRACTS, region, repr(region))


def boundary_points(region: Region) -> tuple[Array, Array]:
    """Angles and boundary points; of d = 1 only the point 1, where 0 is outside."""
    radius = region.radius(ANGLES)
    angle = ANGLES[radius > 0] if region.d == 1 and not region.area else ANGLES
    return angle, region.radius(angle) * np.exp(1j * angle)


def _parts(z: Any) -> tuple[Array, Array]:
    return np.real(z), np.imag(z)


def _scattered(n: int, half: float) -> Array:
    """Real and imaginary parts ``(2, n)`` of random points, always the same."""
    return np.random.default_rng(0).uniform(-half, half, (2, n))


def no_matrix_has_no_side(region: Region) -> None:
    """D = 0 is refused, with a sentence that names it."""
    try:
        type(region)(0)
    except UsageError as error:
        hold("d = 0" in str(error), f"d = 0 is refused with '{error}'")
    else:
        raise AssertionError("d = 0 is taken")


def it_says_what_is_proven(region: Region) -> None:
    """A sentence, and by whom."""
    is_explained = region.proven and len(region.proven_by.split()) > 4
    hold(is_explained, f"proven is {region.proven!r}, by '{region.proven_by}'; say a sentence")


def the_boundary_is_a_closed_curve(region: Region) -> None:
    """Each piece begins where the last one ends, and both half-planes are alike."""
    re, im = region.boundary()
    hold((re[0], im[0]) == (re[-1], im[-1]), "the boundary does not end where it begins")
    hold(np.isfinite([re, im]).all(), "the boundary is not finite")
    hold(not np.signbit(im[im == 0]).any(), "the boundary has a -0.0")
    pieces = region.pieces(5)
    near(np.abs(pieces[1:, 0] - pieces[:-1, -1]), 0, 0, "ends of pieces and beginnings of the next")
    near(np.abs(pieces - pieces[::-1, ::-1].conj()), 0, 0, "pieces and their mirror images")


def it_is_symmetric_about_the_real_axis(region: Region) -> None:
    """Radius, distance and excess."""
    near(region.radius(ANGLES), region.radius(-ANGLES), 1e-14, "radius at an angle and below")
    z = 1.3 * np.exp(1j * ANGLES) * np.linspace(0, 1, len(ANGLES))
    for name in ("excess", "distance"):
        measure = getattr(region, name)
        near(measure(*_parts(z)), measure(*_parts(z.conj())), ROUNDING, f"{name} above and below")


def shapes_and_turns_do_not_matter(region: Region) -> None:
    """Scalars, grids, nothing; an angle and that a turn on."""
    angle = ANGLES[np.abs(np.sin(ANGLES)) > 1e-9]  # a line on the real axis has one angle
    near(region.radius(angle + 2 * np.pi), region.radius(angle), ROUNDING, "radius a turn on")
    shapes = {
        "radius(pi)": (np.shape(region.radius(np.pi)), ()),
        "distance(2, 0)": (np.shape(region.distance(2.0, 0.0)), ()),
        "distance of a grid": (
            region.distance(np.linspace(-2, 2, 5)[:, None], np.linspace(0, 3, 4)).shape,
            (5, 4),
        ),
        "excess of nothing": (region.excess(*np.zeros((2, 0))).shape, (0,)),
        "distance of nothing": (region.distance(np.empty(0), np.empty(0)).shape, (0,)),
    }
    for what, (actual, expected) in shapes.items():
        hold(actual == expected, f"{what} is of shape {actual}; expected {expected}")


def outside_begins_at_the_radius(region: Region) -> None:
    """At the boundary distance and excess turn from 0 to positive."""
    angle, rim = boundary_points(region)
    beyond = rim + BEYOND * np.exp(1j * angle)
    for name in ("distance", "excess"):
        measure = getattr(region, name)
        _hold_inside(measure(*_parts(rim)), f"{name} of the boundary")
        lowest = measure(*_parts(beyond)).min()
        hold(lowest > 0, f"{name} {BEYOND:g} beyond the boundary is {lowest:.3g}")
    farthest = region.distance(*_parts(beyond)).max()
    hold(farthest <= BEYOND * (1 + 1e-6), f"distance {BEYOND:g} beyond is {farthest:.3g}")


def _hold_inside(values: Array, what: str) -> None:
    """Hold that distances, or excesses, are those of points inside."""
    highest = float(values.max())
    hold(highest <= ROUNDING, f"{what} is {highest:.3g}; expected at most 0")


def it_is_star_shaped_about_0(region: Region) -> None:
    """Every point between 0 and the boundary is inside; the point 1 of d = 1 is the exception."""
    _, rim = boundary_points(region)
    if region.d == 1 and not region.area:
        near(np.abs(rim - 1), 0, 1e-15, "the boundary of one point and 1")
        hold(region.distance(0.0, 0.0) == 1, f"distance(0, 0) is {region.distance(0.0, 0.0)}")
        return
    z = rim * np.linspace(0, 1, 50)[:, None]
    for name in ("distance", "excess"):
        _hold_inside(getattr(region, name)(*_parts(z)), f"{name} of a point inside")


def excess_is_about_the_distance(region: Region) -> None:
    """Positive where it is, and within a factor of two."""
    z = _scattered(400, 1.5)
    distance, excess = region.distance(*z), region.excess(*z)
    hold(np.array_equal(distance > 0, excess > 0), "excess and distance call other points outside")
    far = distance > 0
    ratio = float((distance[far] / excess[far]).max(initial=1))
    ratio = max(ratio, float((excess[far] / distance[far]).max(initial=1)))
    hold(
        ratio < 2.01, f"excess and distance differ by a factor of {ratio:.3g}; at most 2 is wanted"
    )


def distance_is_that_from_the_boundary(region: Region) -> None:
    """The nearest point of a fine polygon on the boundary is never nearer, and hardly farther."""
    re, im = _scattered(60, 1.5)
    curve = region.pieces(4001).ravel()
    apart = np.array([np.abs(curve - point).min() for point in re + 1j * im])
    distance = region.distance(re, im)
    out = distance > 0
    near(distance[out], apart[out], 1e-3, "distance and that from the nearest boundary point")
    over = float((distance - apart)[out].max(initial=0))
    hold(over <= ROUNDING, f"distance is larger by {over:.3g} than that from a boundary point")


def area_is_that_of_the_polygon_of_its_boundary(region: Region) -> None:
    """Inscribed in a smooth arc it errs with the square of the step: one Richardson step."""
    coarse, fine = (_shoelace(*region.boundary(points)) for points in (401, 801))
    near(region.area, fine + (fine - coarse) / 3, 1e-9, "area and that of the polygon")


def _shoelace(re: Array, im: Array) -> float:
    return float(0.5 * (re[:-1] * im[1:] - re[1:] * im[:-1]).sum())


def the_disk_that_needs_no_look_lies_inside(region: Region) -> None:
    """``inner_square`` is the square of its radius, or -1."""
    if region.inner_square < 0:
        hold(region.inner_square == -1, f"inner_square is {region.inner_square}; none is -1")
        return
    rim = np.sqrt(region.inner_square) * np.exp(1j * np.linspace(-np.pi, np.pi, 721))
    _hold_inside(region.distance(*_parts(rim)), "distance of the inner disk")


def outside_gives_the_points_beyond_the_tolerance(region: Region) -> None:
    """Those whose excess is above it."""
    re, im = _scattered(500, 1.2)
    far = region.excess(re, im) > 0.01
    outside = region.outside(re, im, re * re + im * im, 0.01)
    same = np.array_equal(outside, (re[far], im[far]))
    hold(far.any() and same, f"outside gives {len(outside[0])} points; excess says {far.sum()}")


def it_is_stochastic_as_it_lies_in_the_karpelevic_region(region: Region) -> None:
    """``stochastic`` says so, and it is so."""
    widest = regions.load(WIDEST)(region.d)
    inside = bool((region.radius(ANGLES) <= widest.radius(ANGLES) + 1e-14).all())
    hold(region.stochastic == inside, f"stochastic is {region.stochastic}, and it is {inside}")


WIDEST = "karpelevic"
"""The region that holds the eigenvalues of every stochastic matrix."""


def the_breaks_are_angles_in_order(region: Region) -> None:
    """With both ends, 0 and pi; of one point only 0."""
    breaks = region.breaks
    last = np.pi if region.d > 1 or region.area else 0
    sound = (np.diff(breaks) > 0).all() and breaks[0] == 0 and breaks[-1] == last
    hold(sound, f"breaks are {np.asarray(breaks)}; expected rising angles from 0 to {last:.3g}")


def only_the_unit_circle_is_left_out_of_pictures(region: Region) -> None:
    """Its style says so."""
    is_circle = bool((np.abs(region.radius(ANGLES) - 1) < 1e-15).all())
    is_left_out = region.style.is_unit_circle
    hold(is_left_out == is_circle, f"style.is_unit_circle is {is_left_out}, and it is {is_circle}")


CONTRACTS = (
    no_matrix_has_no_side,
    it_says_what_is_proven,
    the_boundary_is_a_closed_curve,
    it_is_symmetric_about_the_real_axis,
    shapes_and_turns_do_not_matter,
    outside_begins_at_the_radius,
    it_is_star_shaped_about_0,
    excess_is_about_the_distance,
    distance_is_that_from_the_boundary,
    area_is_that_of_the_polygon_of_its_boundary,
    the_disk_that_needs_no_look_lies_inside,
    outside_gives_the_points_beyond_the_tolerance,
    it_is_stochastic_as_it_lies_in_the_karpelevic_region,
    the_breaks_are_angles_in_order,
    only_the_unit_circle_is_left_out_of_pictures,
)
"""In the order in which a fault is easiest to understand."""
