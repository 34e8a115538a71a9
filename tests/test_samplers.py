"""Moments of the random matrices against docs/mathematics.md 7, and the triangulations behind
two of them.

The variance of an entry is estimated by the mean of ``(H_ij - 1/d)^2``; its standard error comes
from the sample itself, one number per matrix (per chain for hit-and-run).
"""

import numpy as np
import pytest

from birkhoff_cli.analyses.geometry import polytope
from birkhoff_cli.analyses.geometry.orthogonal import block_norms, haar
from birkhoff_cli.analyses.geometry.permutations import all_permutations, matrices
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic

N = 40_000


def assert_moments(h, variance, known_to=0.0, groups=None):
    """Mean 1/d of every entry and this variance, within 4 (mean: 5) standard errors."""
    d = h.shape[-1]
    square = ((h - 1 / d) ** 2).mean(axis=(1, 2))
    if groups:
        square = square[: len(square) // groups * groups].reshape(-1, groups).mean(axis=0)
    error = np.hypot(square.std() / np.sqrt(len(square)), known_to)
    assert abs(square.mean() - variance) < 4 * error
    assert np.abs(h.mean(0) - 1 / d).max() < 5 * np.sqrt(variance / (groups or len(h)))


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("d, s", [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3)])
def test_block_norms_of_haar_matrices(field, d, s, rng):
    h = block_norms(haar(N, d * s, rng, field), s)
    if field == "real":
        assert_moments(h, 2 * (d - 1) ** 2 / (d**2 * (d * s - 1) * (d * s + 2)))
    else:
        assert_moments(h, (d - 1) ** 2 / (d**2 * (d**2 * s**2 - 1)))


@pytest.mark.parametrize("d, variance", [(2, 1 / 12), (3, 2 / 63), (4, 3 / 400), (5, 4 / 3025)])
def test_dirichlet(d, variance, rng):
    assert_moments(polytope.dirichlet(N, d, rng), variance)


@pytest.mark.parametrize("d, variance", [(2, 1 / 12), (3, 2 / 45), (4, 18 / 605)])
def test_uniform_on_the_polytope(d, variance, rng):
    assert_moments(polytope.uniform(N, d, rng), variance)


def test_one_stream_leaves_no_choice(rng):
    for draw in (polytope.uniform, polytope.sinkhorn_uniform, polytope.dirichlet):
        assert (draw(5, 1, rng) == 1).all()


@pytest.mark.parametrize("d, variance", [(2, 1 / 12), (3, 2 / 45), (4, 18 / 605)])
def test_hit_and_run_agrees_with_the_exact_variance(d, variance, rng):
    h = polytope._hit_and_run(N, d, rng)
    assert_moments(h, variance, groups=polytope.CHAINS)


@pytest.mark.parametrize("d", [5, 6, 9])
def test_hit_and_run_stays_inside_and_is_centred(d, rng):
    h = polytope.uniform(5_000, d, rng)
    assert (h >= 0).all()
    assert np.abs(h.sum(1) - 1).max() < 1e-13 and np.abs(h.sum(2) - 1).max() < 1e-13
    spread = h.std(axis=0)
    assert np.abs(h.mean(0) - 1 / d).max() < 5 * spread.max() / np.sqrt(polytope.CHAINS)
    assert spread.max() / spread.min() < 1.2


def test_hit_and_run_forgets_its_start(rng):
    """The first kept states, all from the barycenter, are spread like the last ones."""
    h = polytope._hit_and_run(40 * polytope.CHAINS, 5, rng)
    square = ((h - 1 / 5) ** 2).mean(axis=(1, 2)).reshape(40, polytope.CHAINS)
    error = square[0].std() / np.sqrt(polytope.CHAINS)
    assert abs(square[0].mean() - square[20:].mean()) < 4 * error


@pytest.mark.parametrize(
    "d, variance, error",
    [(2, 0.039745, 69e-6), (3, 0.025333, 22e-6), (4, 0.016655, 10e-6), (5, 0.011536, 6e-6)],
)
def test_sinkhorn_of_uniform_entries(d, variance, error, rng):
    assert_moments(polytope.sinkhorn_uniform(N, d, rng), variance, known_to=error)


def test_methods_draw_from_these(rng):
    assert_moments(MHCLite(4).draw(N, rng, "dirichlet"), 3 / 400)
    assert_moments(MHCLite(3).draw(N, rng, "polytope"), 2 / 45)
    assert_moments(Orthostochastic(3).draw(N, rng, "haar"), 4 / 45)


def test_variances_of_products_and_averages(rng):
    """E H_ij^2 multiplies over Kronecker factors; t Dirichlet(1) weights: E sum w^2 = 2/(t+1)."""
    two, three = 1 / 12 + 1 / 4, 2 / 63 + 1 / 9
    assert_moments(KromHC(6).draw(N, rng, "dirichlet"), two * three - 1 / 36)
    orthostochastic = 4 / 45
    assert_moments(AveragedGoMHC(3, s=3).draw(N, rng, "haar"), orthostochastic / 2)
    assert_moments(KromSum(4, terms=2).draw(N, rng, "dirichlet"), (two**2 - 1 / 16) * 2 / 3)
    real = 2 / (4 * 3 * 6) + 1 / 4
    assert_moments(KromGoMHC(4, s=2).draw(N, rng, "haar"), real**2 - 1 / 16)


@pytest.mark.parametrize("d, count", [(1, 1), (2, 1), (3, 3), (4, 352)])
def test_the_triangulation_is_unimodular_and_complete(d, count):
    """Simplices of normalised volume 1, as many as the polytope's normalised volume."""
    simplices = polytope.triangulation(d)
    assert simplices.shape == (count, (d - 1) ** 2 + 1)
    perms = all_permutations(d)
    corners = matrices(perms)[:, : d - 1, : d - 1].reshape(len(perms), (d - 1) ** 2)
    edges = corners[simplices[:, 1:]].astype(float) - corners[simplices[:, :1]]
    assert np.allclose(np.abs(np.linalg.det(edges)), 1, atol=1e-9)


def test_the_simplices_do_not_overlap(rng):
    """A generic point of the polytope lies in exactly one."""
    simplices = polytope.triangulation(4)
    corners = matrices(all_permutations(4)).reshape(-1, 16)
    rows = np.arange(16).reshape(4, 4)[:3, :3].ravel()
    system = np.concatenate([corners[simplices][:, :, rows], np.ones((352, 10, 1))], axis=2)
    inverse = np.linalg.inv(system.astype(float))
    for h in polytope.dirichlet(50, 4, rng).reshape(-1, 16):
        weights = np.concatenate([h[rows], [1.0]]) @ inverse
        assert (weights.min(axis=1) > 1e-12).sum() == 1
