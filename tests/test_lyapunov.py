"""Lyapunov factors of products, against closed forms and known exponents."""

import numpy as np
import pytest
from scipy.special import digamma

from birkhoff_cli.analyses import depth_drift
from birkhoff_cli.analyses.geometry.growth import growth
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

EPS = np.finfo(float).eps


def factors(h, **options):
    """Of stacks ``(n, sites, d, d)``."""
    summary = depth_drift.run(h, lyapunov=True, **options).summary
    return np.array(summary["lyapunov_factors"]), summary["lyapunov_errors"]


def test_known_factors_of_go_mhc():
    """s = 1, d = 4, Haar: 0.5097(2), 0.4168(2), 0.2415(2) (docs/mathematics.md 8)."""
    method = GoMHC(d=4, s=1)
    summary = depth_drift.run(
        method, samples=500, layers=200, draw="haar", seed=1, lyapunov=True
    ).summary
    found, errors = (np.array(summary[f"lyapunov_{k}"]) for k in ("factors", "errors"))
    known, uncertain = np.array([0.5097, 0.4168, 0.2415]), 2e-4
    assert (errors < 2e-3).all() and (errors > 2e-4).all()
    assert (np.abs(found - known) < 4 * np.hypot(errors, uncertain)).all()
    assert summary["typical_decay"] == pytest.approx(found[0], abs=4 * errors[0])


@pytest.mark.parametrize("d", [2, 3, 5])
def test_products_of_gaussian_matrices(d, rng):
    """Real Ginibre: the k-th exponent is (log 2 + psi((d - k + 1) / 2)) / 2, k from 1.

    Source: Newman, Commun. Math. Phys. 103 (1986) 121-126.
    """
    h = rng.normal(size=(400, 100, d, d))
    found, errors = factors(h)
    known = np.exp((np.log(2) + digamma((d - np.arange(d)) / 2)) / 2)
    assert len(found) == d and (np.diff(found) < 0).all()
    assert (np.abs(found - known) < 4 * np.array(errors)).all()
    assert (np.array(errors) < 0.02 * known).all()


def test_nothing_is_lost_by_permutations_and_rotations(rng):
    swaps = np.eye(4)[np.array([rng.permutation(4) for _ in range(60)])].reshape(2, 30, 4, 4)
    found, errors = factors(swaps)
    assert found == pytest.approx(np.ones(3), abs=1e-12) and errors == pytest.approx([0] * 3)
    turns = np.linalg.qr(rng.normal(size=(2, 30, 4, 4)))[0]
    found, errors = factors(turns)
    assert found == pytest.approx(np.ones(4), abs=1e-12) and np.abs(errors).max() < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mixing_towards_the_mean_shrinks_all_differences_alike(dtype):
    w, d = 0.25, 4
    h = np.broadcast_to((1 - w) * np.eye(d) + w / d, (3, 40, d, d)).astype(dtype)
    found, errors = factors(h)
    assert found == pytest.approx([1 - w] * 3, abs=1e-6)
    assert np.abs(errors).max() < 1e-6


def test_an_axis_that_is_lost_has_the_factor_0_and_no_error():
    found, errors = factors(np.full((2, 9, 3, 3), 1 / 3))
    assert found.tolist() == [0, 0] and errors == [None, None]
    found, errors = factors(np.broadcast_to(np.diag([2.0, 0.5, 0]), (2, 9, 3, 3)))
    assert found == pytest.approx([2, 0.5, 0]) and errors[2] is None


def test_a_single_stack_has_an_error_from_pieces_of_its_depth(rng):
    h = rng.normal(size=(1024, 3, 3))
    found, errors = factors(h)
    known = np.exp((np.log(2) + digamma((3 - np.arange(3)) / 2)) / 2)
    assert (np.abs(found - known) < 4 * np.array(errors)).all()
    assert (np.array(errors) < 0.12 * known).all()
    assert factors(h[:20])[1] == [None] * 3


def test_a_single_stream_has_no_axis_besides_the_constant():
    assert factors(np.ones((2, 5, 1, 1))) == (pytest.approx([]), [])


def test_the_sum_of_exponents_is_the_mean_logarithm_of_the_determinant(rng):
    """Of matrices whose rows alone sum to 1, whose columns alone do, and of others."""
    stochastic = rng.dirichlet(np.ones(4), (50, 30, 4))
    for h in (stochastic, stochastic.swapaxes(-1, -2), stochastic * 1.5):
        found, _ = factors(h)
        half = np.linalg.slogdet(h[:, 15:])[1].mean()
        assert np.log(found).sum() == pytest.approx(half, abs=1e-10)
        assert len(found) == (4 if h.sum() > 1.1 * stochastic.sum() else 3)


def test_a_stack_does_not_depend_on_those_beside_it(rng):
    stacks = np.concatenate([rng.dirichlet(np.ones(3), (5, 12, 3)), rng.normal(size=(3, 12, 3, 3))])
    together = growth(stacks, EPS, 2)
    assert together.constant.tolist() == [True] * 5 + [False] * 3
    for k in range(len(stacks)):
        alone = growth(stacks[k : k + 1], EPS, 2)
        np.testing.assert_array_equal(alone.logs[..., 0], together.logs[..., k])
    assert together.logs.shape == (3, 2, 8) and (together.logs[0, :, :5] == 0).all()


def test_a_product_far_beyond_the_number_range_keeps_its_factors():
    d = np.diag([1e200, 1.0, 1e-200])
    found, _ = factors(np.broadcast_to(d, (2, 50, 3, 3)))
    assert found == pytest.approx([1e200, 0, 0])  # beside 1e200 the others are rounding
    d = np.diag([1e6, 1.0, 1e-6])
    found, _ = factors(np.broadcast_to(d, (2, 500, 3, 3)))
    assert np.log10(found) == pytest.approx([6, 0, -6])
