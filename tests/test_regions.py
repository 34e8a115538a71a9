"""Regions against published areas and radii, their definitions, and matrices on their rim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry import curves, farey, pair_curve, polygons
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.regions import karpelevic

AREAS = {
    ("karpelevic", 3): 1.2990381057,
    ("karpelevic", 4): 2.1480384897,
    ("karpelevic", 5): 2.5706273644,
    ("perfect-mirsky", 3): 1.2990381057,
    ("perfect-mirsky", 4): 2.0849364905,
    ("perfect-mirsky", 5): 2.4990422844,
    ("doubly-stochastic", 3): 1.2990381057,
    ("doubly-stochastic", 4): 2.0849364905,
}
KINDS = ("karpelevic", "doubly-stochastic", "perfect-mirsky")
CURVED = [("karpelevic", d) for d in (4, 5, 8, 13)] + [("doubly-stochastic", 5)]
STRAIGHT = [("perfect-mirsky", d) for d in (3, 4, 5, 8, 17)]


def load(kind, d):
    return regions.load(kind)(d)


def exception(t):
    z = pair_curve.point(np.asarray(t))
    return z.real, z.imag


@pytest.mark.parametrize("kind, d", AREAS)
def test_areas(kind, d):
    """docs/mathematics.md 1, table; 3 sqrt(3) / 4 for the triangle."""
    assert load(kind, d).area == pytest.approx(AREAS[kind, d], abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_and_a_line_have_no_area(kind):
    assert load(kind, 1).area == load(kind, 2).area == 0
    assert np.array_equal(load(kind, 1).pieces(3), np.ones((2, 3)))
    assert np.array_equal(load(kind, 2).pieces(3), [[1, 0, -1], [-1, 0, 1]])
    for d, reached, missed in ((1, 1, 0.5), (2, -0.9, 0.1j), (3, -0.9, -0.9 + 0.1j)):
        region = load(kind, d)
        for z, where in ((reached, np.equal), (missed, np.not_equal)):
            assert where(region.distance(*_parts(np.complex128(z))), 0)
            assert where(np.maximum(region.excess(*_parts(np.complex128(z))), 0), 0)


@pytest.mark.parametrize("count", [1, 2, 7, curves.NODES, 2 * curves.NODES])
def test_nodes_and_weights_are_those_of_gauss_and_legendre(count):
    expected = np.polynomial.legendre.leggauss(count)
    np.testing.assert_allclose(curves.gauss_legendre(count), expected, rtol=0, atol=2e-14)


@pytest.mark.parametrize("kind, d", CURVED + STRAIGHT + [("unit disk", 4), ("karpelevic", 32)])
def test_the_area_does_not_depend_on_the_quadrature(kind, d):
    region = load(kind, d)
    twice = 2 * curves.area(region.radius, region.breaks, 2 * curves.NODES)
    assert region.area == pytest.approx(twice, abs=1e-13)
    if d < 6:
        parts = [
            quad(lambda a: float(region.radius(a)) ** 2, low, high, epsabs=1e-12)[0]
            for low, high in zip(region.breaks, region.breaks[1:], strict=False)
        ]
        assert region.area == pytest.approx(sum(parts), abs=1e-11)


@pytest.mark.parametrize("kind, d", STRAIGHT)
def test_area_is_that_of_the_boundary_curve(kind, d):
    assert shoelace(load(kind, d), 2) == pytest.approx(load(kind, d).area, abs=1e-12)


@pytest.mark.parametrize("kind, d", CURVED)
def test_area_is_the_limit_of_polygons_on_the_boundary(kind, d):
    """The error of inscribed polygons is one in the square of the step: one step of Richardson."""
    coarse, fine = (shoelace(load(kind, d), n) for n in (201, 401))
    assert fine + (fine - coarse) / 3 == pytest.approx(load(kind, d).area, abs=1e-9)


def shoelace(region, points):
    re, im = region.boundary(points)
    assert (re[0], im[0]) == (re[-1], im[-1]) == (1, 0)
    return 0.5 * (re[:-1] * im[1:] - re[1:] * im[:-1]).sum()


@pytest.mark.parametrize(
    "d, at_30, at_135",
    [(3, 0.57735027, 0.70710678), (4, 0.73205081, 0.78113259), (5, 0.81347329, 0.91612595)],
)
def test_karpelevic_radii(d, at_30, at_135):
    """docs/mathematics.md 1, table."""
    for angle in ((30, 135), (-30, -135), (390, -225)):  # the same, mirrored, once around
        found = load("karpelevic", d).radius(np.radians(angle))
        assert found == pytest.approx([at_30, at_135], abs=1e-8)


@pytest.mark.parametrize("d", [3, 4, 5, 8])
def test_a_point_is_inside_if_some_polygon_holds_it(d, rng):
    z = rng.uniform(-1, 1, (2, 4000))
    excess = load("perfect-mirsky", d).excess(*z)
    inside = np.zeros(4000, dtype=bool)
    for k in range(3, d + 1):  # barycentric: all cross products with the edges have one sign
        corner = np.exp(2j * np.pi * np.arange(k + 1) / k)
        edge, to = np.diff(corner)[:, None], z[0] + 1j * z[1] - corner[:-1, None]
        inside |= ((edge.conj() * to).imag >= 0).all(0)
    assert np.array_equal(excess <= 0, inside)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_radius_and_excess_agree_and_roots_of_unity_are_corners(d):
    region = load("perfect-mirsky", d)
    for q in range(1, d + 1):
        assert region.radius(2 * np.pi * np.arange(q) / q - np.pi).max() <= 1 + 1e-15
        root = np.exp(2j * np.pi * np.arange(q) / q)
        assert np.abs(region.excess(root.real, root.imag)).max() < 1e-15
    angle = np.linspace(-3.1, 3.1, 999)
    radius = region.radius(angle)
    rim = np.exp(1j * angle)
    if d > 2:
        assert region.excess(*_parts(rim * radius * (1 - 1e-9))).max() < 0
    assert region.excess(*_parts(rim * (radius + 1e-9))).min() > 0


@pytest.mark.parametrize("d", [2, 3, 4])
def test_doubly_stochastic_matrices_stay_inside(d, rng):
    """Proven for d <= 4: docs/mathematics.md 2."""
    z = eigenvalues(GoMHC(d, s=1).draw(50_000, rng, "haar"))
    re, im = z.real, z.imag
    region = load("perfect-mirsky", d)
    assert region.excess(re, im).max() < 1e-9
    assert region.outside(re, im, re**2 + im**2, 1e-9)[0].size == 0
    assert region.outside(re + 3, im, (re + 3) ** 2 + im**2, 1e-9)[0].size == z.size


def test_the_unit_disk():
    disk = load("unit disk", 5)
    assert disk.area == pytest.approx(np.pi, abs=1e-14) and disk.proven == "proven"
    assert disk.distance(3.0, 4.0) == 4 and disk.distance(0.0, 0.5) == 0
    assert (
        disk.outside(np.array([1.0, 0.9, 1.1]), np.zeros(3), np.array([1.0, 0.81, 1.21]), 1e-9)[
            0
        ].size
        == 1
    )


def _parts(z):
    return z.real, z.imag


@pytest.mark.parametrize("grid, cells", [(200, 12988), (400, 51960)])
def test_cells_of_the_triangle(grid, cells):
    """docs/mathematics.md 4.5: pixel centres in the triangle, boundary included."""
    centre = (np.arange(grid) + 0.5) * 2 / grid - 1
    assert (load("perfect-mirsky", 3).excess(centre[:, None], centre) <= 1e-9).sum() == cells


ANGLES = st.floats(-np.pi, np.pi)


@given(d=st.integers(4, 12), angle=ANGLES)
def test_a_stochastic_matrix_reaches_every_boundary_point(d, angle):
    """The certificate: no point of the region is too far out."""
    h = karpelevic.realising_matrix(d, angle)
    assert (h >= 0).all() and np.abs(h.sum(1) - 1).max() < 1e-15
    point = load("karpelevic", d).radius(angle) * np.exp(1j * angle)
    assert np.abs(np.linalg.eigvals(h) - point).min() < 1e-11


@pytest.mark.parametrize("d", range(3, 13))
def test_certificates_all_around_and_at_the_roots_of_unity(d):
    roots = farey.angles(d)
    beside = [*(roots[:-1] + 1e-7), *(roots - 1e-4)]
    angles = np.sort([*np.linspace(0, np.pi, 181), *roots, *beside])
    points = load("karpelevic", d).radius(angles) * np.exp(1j * angles)
    found = np.linalg.eigvals([karpelevic.realising_matrix(d, angle) for angle in angles])
    assert np.abs(found - points[:, None]).min(1).max() < 1e-11
    assert np.abs(load("karpelevic", d).radius(roots) - 1).max() < 1e-14


def test_a_certificate_for_a_line_is_refused():
    with pytest.raises(UsageError, match="at least 3"):
        karpelevic.realising_matrix(2, 1.0)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6, 9])
def test_stochastic_matrices_never_leave_karpelevic(d, rng):
    region = load("karpelevic", d)
    for spread in (0.1, 0.3, 1.0):  # from nearly 0 and 1 to dense
        z = np.linalg.eigvals(rng.dirichlet(np.full(d, spread), (5_000, d)))
        assert region.excess(z.real, z.imag).max() < 1e-12
        assert region.outside(z.real, z.imag, np.abs(z) ** 2, 1e-12)[0].size == 0


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 12, 32, 60])
def test_one_region_lies_inside_the_other(d):
    angle = np.sort([*np.linspace(-np.pi, np.pi, 5001), *farey.angles(d)])
    outer, middle, inner = (load(kind, d).radius(angle) for kind in KINDS)
    assert (inner <= middle + 1e-14).all() and (middle <= outer + 1e-14).all()
    assert (outer <= 1).all() and (outer[[0, -1]] == (1 if d > 1 else 0)).all()
    if d > 3:
        assert (outer - middle).max() > 1e-4  # 1e-4: d = 60


def test_what_is_proven_is_said():
    said = {(kind, d): load(kind, d).proven for kind in KINDS for d in (4, 5, 6)}
    assert {said[kind, 4] for kind in KINDS} == {"proven"}
    assert {said["karpelevic", d] for d in (4, 5, 6)} == {"proven"}
    assert said["perfect-mirsky", 5] == "low by 2.1e-4"
    assert said["doubly-stochastic", 5] == "lower bound"
    assert said["doubly-stochastic", 6] == said["perfect-mirsky", 6] == "conjectured"


def test_the_exceptional_curve_is_one_of_eigenvalues():
    """docs/mathematics.md 2: a doubly stochastic matrix for every point."""
    t = np.linspace(*pair_curve.WEIGHTS, 201)
    z = pair_curve.point(t)
    first, second = np.eye(5)[[1, 2, 0, 4, 3]], np.eye(5)[[4, 2, 0, 3, 1]]
    h = t[:, None, None] * first + (1 - t)[:, None, None] * second
    assert np.abs(np.linalg.eigvals(h) - z[:, None]).min(1).max() < 1e-13
    assert np.abs(pair_curve.radius(np.angle(z[1:-1])) - np.abs(z[1:-1])).max() < 1e-14
    assert z[0] == pytest.approx(-0.254391332 + 0.767994054j, abs=1e-9)
    assert z[-1] == pytest.approx(-0.319006725 + 0.761528888j, abs=1e-9)
    assert pair_curve.point(0.5) == pytest.approx(-0.279292578 + 0.763516375j, abs=1e-9)


def test_how_far_the_exception_goes():
    """docs/mathematics.md 2; its extrema are kinks, given to 2e-9, and were found a little
    short.
    """
    polygons, region = load("perfect-mirsky", 5), load("doubly-stochastic", 5)
    at_ends = [polygons.distance(*exception(t)) for t in pair_curve.WEIGHTS]
    assert np.max(at_ends) < 1e-12
    assert polygons.distance(*exception(0.5)) == pytest.approx(0.003436382, abs=1e-9)
    farthest = minimize_scalar(
        lambda t: -polygons.distance(*exception(t)), bounds=(0.52, 0.535), options={"xatol": 1e-12}
    )
    assert farthest.x == pytest.approx(0.5274552540, abs=1e-8)
    assert -farthest.fun == pytest.approx(0.008613751376, abs=1e-9)
    [notch] = set(polygons.breaks[(polygons.breaks > 1.9) & (polygons.breaks < 1.96)])
    assert np.degrees(notch) == pytest.approx(111.93331, abs=5e-6)
    more = region.radius(notch) - polygons.radius(notch)
    assert more == pytest.approx(0.009958892177, abs=2e-9)
    assert region.area == pytest.approx(2.4995665, abs=5e-8)
    assert region.area - polygons.area == pytest.approx(0.00052426, abs=5e-9)


@pytest.mark.parametrize("kind, d", [*CURVED, ("perfect-mirsky", 5), ("karpelevic", 3)])
def test_membership_and_distance_against_a_fine_polygon(kind, d, rng):
    """Winding numbers and distances from segments: no use of the region's own formulas."""
    region = load(kind, d)
    z = rng.uniform(-1.2, 1.2, 120) + 1j * rng.uniform(-1.2, 1.2, 120)
    curve = region.pieces(20_000 // len(region.breaks)).ravel()
    a, b = curve[:-1], curve[1:]
    a, b = a[a != b], b[a != b]
    winding = np.angle((b - z[:, None]) / (a - z[:, None])).sum(1)
    along = (z[:, None] - a) / (b - a)
    apart = np.abs((along - np.clip(along.real, 0, 1)) * (b - a)).min(1)
    clear = apart > 1e-5  # the polygon's own error is below
    inside = np.abs(winding) > np.pi
    assert np.array_equal(region.excess(*_parts(z[clear])) <= 0, inside[clear])
    assert np.abs(region.distance(*_parts(z)) - np.where(inside, 0, apart)).max() < 1e-7
    excess, distance = region.excess(*_parts(z)), region.distance(*_parts(z))
    far = distance > 0
    assert ((distance / excess)[far] < 2.01).all() and ((distance / excess)[far] > 0.49).all()


@given(
    kind=st.sampled_from(KINDS),
    d=st.integers(4, 9),
    angle=ANGLES,
    beyond=st.sampled_from([1e-9, 1e-6, 1e-3, 0.1]),
)
def test_along_a_ray_the_radius_is_where_outside_begins(kind, d, angle, beyond):
    region = load(kind, d)
    ray = np.exp(1j * angle) * (region.radius(angle) + np.array([-1e-12, beyond]))
    inner, outer = region.excess(*_parts(ray))
    assert inner <= 0 < outer
    inner, outer = region.distance(*_parts(ray))
    assert inner == 0 < outer <= beyond + 1e-12
    assert region.outside(*_parts(ray), np.abs(ray) ** 2, 1e-12)[0].size == 1


def test_distance_takes_what_broadcasts_and_nothing():
    for region in (load("karpelevic", 4), load("doubly-stochastic", 5)):
        grid = region.distance(np.linspace(-2, 2, 5)[:, None], np.linspace(0, 3, 4))
        assert grid.shape == (5, 4) and grid[2, 0] == 0 and grid[2, 3] == pytest.approx(2)
        assert region.distance(np.empty(0), np.empty(0)).shape == (0,)
        assert region.distance(0.0, -2.0) == pytest.approx(1, abs=1e-9)


def test_the_corners_of_the_polygons_are_where_the_edge_changes():
    for d in (3, 5, 8, 13):
        corners = polygons.corners(d)
        assert (np.diff(corners) > 1e-6).all()
        z = load("perfect-mirsky", d).radius(corners) * np.exp(1j * corners)
        if d > 3:
            turn = np.angle(np.diff(z)[1:] / np.diff(z)[:-1])
            assert (np.abs(turn) > 1e-3).all()  # no vertex lies on a straight line


@pytest.mark.parametrize("d", [16, 17, 40])
def test_many_polygons_are_looked_at_by_their_nearest_edges(d, monkeypatch):
    """Of d = 700 each edge of each took an hour, and pairs of all at once 3 GB."""
    z = np.random.default_rng(d).uniform(-1.1, 1.1, (2, 3000))
    corners = polygons.corners(d)
    found = polygons.excess(*z, d)
    monkeypatch.setattr(polygons, "MANY", 100)
    monkeypatch.setattr(polygons, "TOGETHER", 20 * d)
    polygons.corners.cache_clear()
    every = polygons.excess(*z, d)
    assert np.array_equal(found <= 0, every <= 0)
    assert np.abs(found - every)[every > 0].max() < 1e-14
    assert np.array_equal(polygons.corners(d), corners)
