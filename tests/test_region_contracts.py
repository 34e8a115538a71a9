"""What every region keeps, whoever adds it: one boundary, told in several ways that must agree."""

import numpy as np
import pytest

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry.region import Region

NAMES = regions.names()
SIDES = (1, 2, 3, 5)
ANGLES = np.concatenate([np.linspace(-np.pi, np.pi, 181), 2 * np.pi * np.arange(1, 5) / 5])
BEYOND = 1e-7
"""How far beyond the boundary a point has to count as outside."""


@pytest.fixture(params=[(name, d) for name in NAMES for d in SIDES], ids=lambda p: f"{p[0]}-{p[1]}")
def region(request):
    name, d = request.param
    cls = regions.load(name)
    assert not cls.__abstractmethods__, f"{name} does not say: {', '.join(cls.__abstractmethods__)}"
    return cls(d)


def boundary_points(region):
    """Angles and boundary points; of d = 1 only the point 1, where 0 is outside."""
    radius = region.radius(ANGLES)
    angle = ANGLES[radius > 0] if region.d == 1 and not region.area else ANGLES
    return angle, region.radius(angle) * np.exp(1j * angle)


def parts(z):
    return np.real(z), np.imag(z)


def test_a_region_that_does_not_say_everything_is_none():
    class Silent(Region):
        pass

    says = "breaks distance excess inner_square proven proven_by radius stochastic style"
    assert {*says.split(), "upper_pieces"} == Silent.__abstractmethods__
    with pytest.raises(TypeError, match="abstract"):
        Silent(3)


@pytest.mark.parametrize("name", NAMES)
def test_a_region_is_found_by_the_name_of_its_file_and_says_what_it_is(name):
    cls = regions.load(name)
    assert cls.__module__.endswith(f".{name.replace('-', '_')}")
    assert cls(4).name.replace(" ", "-") == name and regions.load(cls(4).name) is cls
    assert regions.headline(name).endswith(".")
    assert discover.members(regions.__name__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_matrix_has_no_side(name):
    with pytest.raises(UsageError, match="d = 0"):
        regions.load(name)(0)


def test_proven_is_a_sentence_of_its_own(region):
    others = {regions.load(name)(region.d).proven_by for name in NAMES if name != region.name}
    assert region.proven and len(region.proven_by.split()) > 4
    assert region.proven_by not in others - {regions.load("unit-disk")(1).proven_by}
    style = region.style
    assert style.label not in {regions.load(n)(4).style.label for n in NAMES} - {style.label}


def test_the_boundary_is_a_closed_curve_around_the_region(region):
    re, im = region.boundary()
    assert (re[0], im[0]) == (re[-1], im[-1]) and np.isfinite([re, im]).all()
    pieces = region.pieces(5)
    assert np.array_equal(pieces[1:, 0], pieces[:-1, -1])  # each begins where the last one ends
    assert not np.signbit(im[im == 0]).any()
    mirrored = pieces[::-1, ::-1].conj()
    assert np.abs(pieces - mirrored).max() == 0


def test_it_is_symmetric_about_the_real_axis(region):
    assert np.abs(region.radius(ANGLES) - region.radius(-ANGLES)).max() < 1e-14
    z = 1.3 * np.exp(1j * ANGLES) * np.linspace(0, 1, len(ANGLES))
    for measure in (region.excess, region.distance):
        assert np.abs(measure(*parts(z)) - measure(*parts(z.conj()))).max() < 1e-12


def test_the_radius_does_not_change_around_the_circle_or_with_the_shape(region):
    angle = ANGLES[np.abs(np.sin(ANGLES)) > 1e-9]  # a line on the real axis has one angle
    assert region.radius(angle + 2 * np.pi) == pytest.approx(region.radius(angle), abs=1e-12)
    assert region.radius(np.pi).shape == () == np.shape(region.distance(2.0, 0.0))
    grid = region.distance(np.linspace(-2, 2, 5)[:, None], np.linspace(0, 3, 4))
    assert grid.shape == (5, 4) and region.excess(*np.zeros((2, 0))).shape == (0,)
    assert region.distance(np.empty(0), np.empty(0)).shape == (0,)


def test_outside_begins_at_the_radius(region):
    """At its boundary distance and excess turn from 0 to positive."""
    angle, rim = boundary_points(region)
    beyond = rim + BEYOND * np.exp(1j * angle)
    assert region.distance(*parts(rim)).max() < 1e-12 and region.excess(*parts(rim)).max() < 1e-12
    distance, excess = region.distance(*parts(beyond)), region.excess(*parts(beyond))
    assert (distance > 0).all() and (excess > 0).all()
    assert (distance <= BEYOND * (1 + 1e-6)).all()


def test_it_is_star_shaped_about_0(region):
    """Every point between 0 and the boundary is inside; the point 1 of d = 1 is the exception."""
    _, rim = boundary_points(region)
    if region.d == 1 and not region.area:
        assert np.abs(rim - 1).max() < 1e-15 and region.distance(0.0, 0.0) == 1
        return
    z = rim * np.linspace(0, 1, 50)[:, None]
    assert region.distance(*parts(z)).max() < 1e-12 and region.excess(*parts(z)).max() < 1e-12


def test_excess_is_about_the_distance(region, rng):
    z = rng.uniform(-1.5, 1.5, (2, 400))
    distance, excess = region.distance(*z), region.excess(*z)
    assert np.array_equal(distance > 0, excess > 0)
    far = distance > 0
    assert (distance[far] < 2.01 * excess[far]).all() and (excess[far] < 2.01 * distance[far]).all()


def test_distance_is_that_from_the_boundary(region, rng):
    """The nearest point of a fine polygon on the boundary is never nearer, and hardly farther."""
    z = rng.uniform(-1.5, 1.5, 60) + 1j * rng.uniform(-1.5, 1.5, 60)
    curve = region.pieces(4001).ravel()
    apart = np.array([np.abs(curve - point).min() for point in z])
    distance = region.distance(*parts(z))
    out = distance > 0
    assert np.abs(distance - apart)[out].max() < 1e-3
    assert (distance[out] <= apart[out] + 1e-12).all()


def test_area_is_that_of_the_polygon_of_its_boundary(region):
    """Inscribed in a smooth arc it errs with the square of the step: one Richardson step."""
    coarse, fine = (shoelace(*region.boundary(points)) for points in (401, 801))
    assert fine + (fine - coarse) / 3 == pytest.approx(region.area, abs=1e-9)


def shoelace(re, im):
    return 0.5 * (re[:-1] * im[1:] - re[1:] * im[:-1]).sum()


def test_the_disk_that_needs_no_look_lies_inside(region):
    if region.inner_square < 0:
        assert region.inner_square == -1
        return
    rim = np.sqrt(region.inner_square) * np.exp(1j * np.linspace(-np.pi, np.pi, 721))
    assert region.distance(*parts(rim)).max() < 1e-12


def test_outside_gives_the_points_whose_excess_is_above_the_tolerance(region, rng):
    re, im = rng.uniform(-1.2, 1.2, (2, 500))
    far = region.excess(re, im) > 0.01
    found = region.outside(re, im, re * re + im * im, 0.01)
    assert np.array_equal(found, (re[far], im[far])) and far.any()


def test_what_stochastic_matrices_have_lies_in_the_karpelevic_region(region):
    widest = regions.load("karpelevic")(region.d)
    inside = (region.radius(ANGLES) <= widest.radius(ANGLES) + 1e-14).all()
    assert region.stochastic == inside


def test_the_breaks_are_angles_in_order_with_both_ends(region):
    breaks = region.breaks
    assert (np.diff(breaks) > 0).all() and breaks[0] == 0
    assert breaks[-1] == (np.pi if region.d > 1 or region.area else 0)


def test_only_the_unit_circle_is_left_out_of_pictures(region):
    is_circle = bool((np.abs(region.radius(ANGLES) - 1) < 1e-15).all())
    assert region.style.is_unit_circle == is_circle
