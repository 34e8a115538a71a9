"""The Perfect-Mirsky region against its published areas, and against its definition."""

import numpy as np
import pytest

from analyses.geometry.eigenvalues import eigenvalues
from analyses.geometry.regions import Region
from analyses.parameterizations.go_mhc import GoMHC


@pytest.mark.parametrize(
    "d, area", [(1, 0), (2, 0), (3, 1.2990381057), (4, 2.0849364905), (5, 2.4990422844)]
)
def test_areas(d, area):
    """MATH 1, table; 3 sqrt(3) / 4 for the triangle."""
    assert Region("perfect-mirsky", d).area == pytest.approx(area, abs=1e-10)


@pytest.mark.parametrize("d", [3, 4, 5, 8, 17])
def test_area_is_that_of_the_boundary_curve(d):
    re, im = Region("perfect-mirsky", d).boundary()
    shoelace = 0.5 * abs((re[:-1] * im[1:] - re[1:] * im[:-1]).sum())
    assert shoelace == pytest.approx(Region("perfect-mirsky", d).area, abs=1e-12)


@pytest.mark.parametrize("d", [3, 4, 5, 8])
def test_a_point_is_inside_if_some_polygon_holds_it(d, rng):
    z = rng.uniform(-1, 1, (2, 4000))
    excess = Region("perfect-mirsky", d).excess(*z)
    inside = np.zeros(4000, dtype=bool)
    for k in range(3, d + 1):  # barycentric: all cross products with the edges have one sign
        corner = np.exp(2j * np.pi * np.arange(k + 1) / k)
        edge, to = np.diff(corner)[:, None], z[0] + 1j * z[1] - corner[:-1, None]
        inside |= ((edge.conj() * to).imag >= 0).all(0)
    assert np.array_equal(excess <= 0, inside)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_radius_and_excess_agree_and_roots_of_unity_are_corners(d):
    region = Region("perfect-mirsky", d)
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
    """Proven for d <= 4: MATH 2."""
    z = eigenvalues(GoMHC(d, s=1).draw(50_000, rng, "haar"))
    re, im = z.real, z.imag
    region = Region("perfect-mirsky", d)
    assert region.excess(re, im).max() < 1e-9
    assert region.outside(re, im, re**2 + im**2, 1e-9) == 0
    assert region.outside(re + 3, im, (re + 3) ** 2 + im**2, 1e-9) == z.size


def test_the_unit_disk():
    disk = Region("unit disk", 5)
    assert disk.area == np.pi and disk.proven == "exact"
    assert (
        disk.outside(np.array([1.0, 0.9, 1.1]), np.zeros(3), np.array([1.0, 0.81, 1.21]), 1e-9) == 1
    )


def _parts(z):
    return z.real, z.imag


@pytest.mark.parametrize("grid, cells", [(200, 12988), (400, 51960)])
def test_cells_of_the_triangle(grid, cells):
    """MATH 4.5: pixel centres in the triangle, boundary included."""
    centre = (np.arange(grid) + 0.5) * 2 / grid - 1
    assert (Region("perfect-mirsky", 3).excess(centre[:, None], centre) <= 1e-9).sum() == cells
