"""What methods know of their reach, against their own matrices and closed forms."""

import numpy as np
import pytest

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core.discover import member
from birkhoff_cli.analyses.geometry import hypocycloids
from birkhoff_cli.analyses.geometry.hulls import union_area
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.shc import SHC
from birkhoff_cli.analyses.regions.doubly_stochastic import DoublyStochastic
from birkhoff_cli.analyses.regions.perfect_mirsky import PerfectMirsky

EXAMPLES = [
    example
    for name in parameterizations.names()
    for example in member(parameterizations.__name__, name).EXAMPLES
]
TRIANGLE = 3 * np.sqrt(3) / 4


def triangles():
    """Of the roots 1, w, 1/w and 1, w^2, w^-2, for w a fifth root of unity."""
    w = np.exp(2j * np.pi / 5)
    inside = (z := np.linspace(-1, 1, 2001)[:, None] + 1j * np.linspace(-1, 1, 2001)) != z
    for a in (w, w**2):
        corners = (1, a, a.conjugate())
        cross = [
            ((q - p).conjugate() * (z - p)).imag
            for p, q in zip(corners, (*corners[1:], 1), strict=True)
        ]
        inside |= np.min(cross, axis=0) >= 0
    return inside.mean() * 4


def test_three_cyclic_shifts_of_five_reach_two_triangles():
    known = BEHC(5, k=3, basis="local-shift").known_reach()
    assert known.area == pytest.approx(1.5653420, abs=1e-6) and known.proven
    assert known.area == pytest.approx(triangles(), abs=5e-3)


@pytest.mark.parametrize("d", [3, 4, 5, 8])
def test_all_cyclic_shifts_reach_the_polygon(d):
    known = BEHC(d, basis="local-shift").known_reach()
    assert known.area == pytest.approx(hypocycloids.polygon_area(d), abs=1e-9)


@pytest.mark.parametrize(
    "method, area",
    [
        (MHCLite(4), DoublyStochastic(4).area),
        (BEHC(4), DoublyStochastic(4).area),
        (AveragedGoMHC(4), DoublyStochastic(4).area),
        (AveragedGoMHC(5), PerfectMirsky(5).area),
        (BEHC(5), PerfectMirsky(5).area),
        (MHC(4), DoublyStochastic(4).area),
        (AveragedGoMHC(3, s=1), GoMHC(3, s=1).known_reach().area),
        (KromGoMHC(3), GoMHC(3, s=2).known_reach().area),
        (BEHC(5, k=2), 0),
        (KromHC(4), 0),
        (KromHC(8), 0),
        (KromHC(6), np.sqrt(3)),
        (KromHC(4, factors=(4,)), DoublyStochastic(4).area),
        (KromSum(4), 0),
        (KromSum(3), TRIANGLE),
        (KromGoMHC(4), 0),
        (SHC(3), np.pi),
        (SHC(2), 0),
    ],
    ids=repr,
)
def test_areas(method, area):
    assert method.known_reach().area == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize(
    "method",
    [BEHC(5, k=3), BEHC(6), KromSum(6), KromHC(8, factors=(2, 4)), SHC(4, gamma=0.5)],
    ids=repr,
)
def test_what_is_not_known_is_not_claimed(method):
    assert method.known_reach() is None


@pytest.mark.parametrize("d, s", [(4, 1), (5, 2), (6, 3)])
def test_of_go_mhc_beyond_three_streams_only_the_gap_is_known(d, s):
    known = GoMHC(d, s=s).known_reach()
    assert known.area is None and not known.gap_proven
    assert known.gap == pytest.approx((np.cos(np.pi / d) - (d - 2) / d) / s)


@pytest.mark.parametrize(
    "method", [e for e in EXAMPLES if e.d > 2 and (k := e.known_reach()) and k.area == 0], ids=repr
)
def test_a_method_without_area_has_no_eigenvalue_off_the_axis(method, rng):
    roots = np.linalg.eigvals(method.draw(200, rng, "gaussian", 3.0))
    assert np.abs(roots.imag).max() < 1e-7


@pytest.mark.parametrize(
    "method",
    [
        MHC(4),
        MHC(4, iters=0),
        MHC(3, variant="deepseek-v4", eps=1e-2),
        MHC(3, guard="add", eps=1e-2, iters=0),
        MHC(4, variant="megatron-main", iters=3),
        MHC(4, variant="tokenbender", last="columns"),
    ],
    ids=repr,
)
def test_sinkhorn_keeps_doubly_stochastic_matrices_up_to_the_scale_of_its_guard(method, rng):
    h = MHCLite(method.d).draw(20, rng, "dirichlet")
    theta = np.log(h).reshape(20, -1) * method.settings.tau
    scale = np.sqrt(method.known_reach().area / DoublyStochastic(method.d).area)
    off = np.eye(method.d) - 1 / method.d  # the vectors of sum 0
    assert np.abs(off @ (method(theta) - scale * h) @ off).max() < 1e-12


def test_linear_sinkhorn_keeps_large_multiples_of_them(rng):
    method = MHCLinear(3, iters=2, eps=1e-2)
    h = MHCLite(3).draw(20, rng, "dirichlet")
    scale = np.sqrt(method.known_reach().area / TRIANGLE)
    assert np.abs(method(1e12 * h.reshape(20, -1)) - scale * h).max() < 1e-12


def test_area_of_a_union_of_polygons(rng):
    square = np.array([0, 1, 1 + 1j, 1j])
    assert union_area([square, square + 0.5 + 0.5j]) == pytest.approx(1.75, abs=1e-12)
    assert union_area([square, square * 3, square + 5]) == pytest.approx(10, abs=1e-12)
    turns = [np.exp(1j * np.sort(rng.uniform(0, 2 * np.pi, 6))) + k / 2 for k in range(4)]
    z = rng.uniform(-1, 2.5, 400_000) + 1j * rng.uniform(-1, 1, 400_000)
    inside = np.zeros(z.shape, bool)
    for p in turns:
        sides = [
            ((b - a).conjugate() * (z - a)).imag for a, b in zip(p, np.roll(p, -1), strict=True)
        ]
        inside |= np.min(sides, axis=0) >= 0
    assert union_area(turns) == pytest.approx(7 * inside.mean(), abs=0.02)
