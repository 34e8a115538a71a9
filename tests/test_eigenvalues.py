"""Eigenvalues against LAPACK, on everything from random matrices to permutations."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses.core.arrays import lanes
from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
from birkhoff_cli.analyses.geometry.spectral_radius import largest_modulus
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC


def distance(found, expected):
    """Largest difference under the best pairing, per matrix."""
    best = np.full(len(found), np.inf)
    for order in itertools.permutations(range(found.shape[1])):
        best = np.minimum(best, np.abs(found - expected[:, order]).max(1))
    return best


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("how", ["haar", "uniform"])
def test_doubly_stochastic_matrices_agree_with_lapack_to_1e_12(d, how, rng):
    h = GoMHC(d, s=1 + d % 2).draw(50_000 if d < 5 else 5_000, rng, how)
    found = eigenvalues(h)
    assert (found[:, 0] == 1).all()
    assert distance(found, np.linalg.eigvals(h)).max() < 1e-12


@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_every_permutation_is_right_to_rounding(d):
    h = np.array([np.eye(d)[list(p)] for p in itertools.permutations(range(d))])
    assert distance(eigenvalues(h), np.linalg.eigvals(h)).max() < 1e-14


@pytest.mark.parametrize("turn", [False, True])
def test_one_exact_side_is_enough_and_none_is_allowed(turn, rng):
    rows = rng.dirichlet(np.ones(4), size=(2_000, 4))
    h = rows.swapaxes(-1, -2) if turn else rows
    assert distance(eigenvalues(h), np.linalg.eigvals(h)).max() < 1e-12
    free = rng.normal(size=(500, 4, 4))
    found = eigenvalues(free)
    assert distance(found, np.linalg.eigvals(free)).max() < 1e-12
    assert (np.abs(found - 1).argmin(1) == 0).all()


@given(st.data(), st.integers(2, 4))
def test_convex_combinations_of_few_permutations(data, d):
    """Sparse, often defective or with repeated roots: the hard cases for a formula."""
    order = list(itertools.permutations(range(d)))
    chosen = data.draw(st.lists(st.sampled_from(order), min_size=1, max_size=3))
    weights = data.draw(arrays(float, len(chosen), elements=st.floats(0.01, 1)))
    h = sum(w * np.eye(d)[list(p)] for w, p in zip(weights / weights.sum(), chosen, strict=True))
    h[-1] = 1 - h[:-1].sum(0)
    expected = np.linalg.eigvals(h[None])
    gap = min((abs(a - b) for a, b in itertools.combinations(expected[0], 2)), default=1)
    assert distance(eigenvalues(h[None]), expected).max() < (1e-12 if gap > 1e-3 else 2e-4)


def test_batches_of_any_shape_and_none(rng):
    h = GoMHC(4).draw(12, rng)
    assert np.allclose(
        eigenvalues(h.reshape(3, 4, 4, 4)), eigenvalues(h).reshape(3, 4, 4), atol=1e-14
    )
    assert eigenvalues(h[0]).shape == (4,)
    assert eigenvalues(h[:0]).shape == (0, 4)


def test_single_precision_sums_do_not_pretend_to_be_exact(rng):
    h = GoMHC(4).draw(100, rng).astype(np.float32)
    assert distance(eigenvalues(h), np.linalg.eigvals(h.astype(float))).max() < 1e-12


EPS = np.finfo(float).eps
PERMUTATIONS = [(d, p) for d in (2, 3, 4) for p in itertools.permutations(range(d))]


def tolerance(h, permutation):
    """What separates two computed spectra of a matrix near a permutation, at most.

    Each is that of a matrix within a few eps of it. By Bauer and Fike an eigenvalue moves by at
    most the condition of the eigenvectors times that; the permutation is normal, so that it is
    also within the distance from there of one of its eigenvalues.
    """
    d, rounding = h.shape[-1], 64 * h.shape[-1] * EPS
    near = 2 * np.linalg.norm(h - permutation, axis=(-2, -1)) + rounding
    _, v = np.linalg.eig(h)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        condition = np.nan_to_num(np.linalg.cond(v), nan=np.inf, posinf=np.inf)
    defective = 4 * (2 * d) ** (1 - 1 / d) * rounding ** (1 / d)  # Bhatia, Elsner & Krause 1990
    return np.minimum(np.minimum(near, rounding * condition), defective)


def assert_agrees(h, permutation):
    found = eigenvalues(h)
    assert np.isfinite(found).all()
    apart = distance(found, np.linalg.eigvals(h))
    assert (apart <= tolerance(h, permutation)).all()


def test_a_double_eigenvalue_far_above_its_distance_from_the_others():
    """A trace left by the rounded mean parted the double one by 3.7e-11."""
    h = np.full((4, 4), 2.5e-6)
    np.fill_diagonal(h, 0.9999925)
    h[0] = 0.99997, 2.5e-5, 2.5e-6, 2.5e-6
    for order in itertools.permutations(range(4)):
        assert_agrees(h[np.ix_(order, order)][None], np.eye(4))


@pytest.mark.parametrize("d, order", PERMUTATIONS)
def test_near_every_permutation_at_every_scale(d, order):
    """The identity plus entries of 1e-120 had eigenvalues of 1e59, with 1e-60 infinite ones."""
    permutation = np.eye(d)[list(order)]
    small = 10.0 ** np.arange(-320, 1)[:, None, None] / d
    assert_agrees(permutation + small * (1 / d - permutation), permutation)  # towards J/d
    assert_agrees(permutation + small * (np.eye(d)[[*range(1, d), 0]] - permutation), permutation)
    assert_agrees(permutation + small, permutation)  # sums are 1 up to rounding, then not


@pytest.mark.parametrize("sign", [1, -1])
def test_nearly_nilpotent_matrices_have_no_large_eigenvalue(sign):
    """The cube and the square of coefficients below 1e-100 underflowed, and roots were 1e100."""
    small = sign * 10.0 ** np.arange(-323, 1)
    m = np.zeros((3, 3, len(small)))
    m[0, 1], m[1, 0] = 1, small
    assert largest_modulus(m) == pytest.approx(np.sqrt(np.abs(small)), abs=1e-12)
    h = np.zeros((len(small), 4, 4))  # less their last rows they are these
    h[:, :3, :3], h[:, 3, 3] = np.moveaxis(m, -1, 0), 1
    h[:, :3, 3] = 1 - h[:, :3, :3].sum(-1)
    root = np.sqrt(small.astype(complex))
    expected = np.stack([np.ones_like(root), root, -root, np.zeros_like(root)], -1)
    assert distance(eigenvalues(h), expected).max() < 1e-12


@given(st.data(), st.sampled_from(PERMUTATIONS), st.booleans())
def test_near_every_permutation_with_entries_of_any_size(data, case, turn):
    d, order = case
    exponents = data.draw(arrays(float, (5, d, d), elements=st.floats(-320, 0)))
    permutation = np.eye(d)[list(order)]
    off = np.where(permutation == 0, 10.0**exponents / d, 0)
    h = off + permutation * (1 - off.sum(-1, keepdims=True))
    if turn:
        h, permutation = h.swapaxes(-1, -2), permutation.T
    assert_agrees(h, permutation)


@pytest.mark.parametrize("d", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-90, 1.0, 1e90, 1e170, 1e300])
def test_the_spectral_radius_is_relative_to_the_matrix(d, size, rng):
    """Small and large matrices lose no digits; 1e-170 was 1e130, by a norm that underflowed."""
    m = rng.standard_normal((200, d - 1, d - 1))
    expected = np.abs(np.linalg.eigvals(m)).max(-1)
    found = largest_modulus(np.ascontiguousarray(lanes(m * size, 2)))
    assert np.abs(found / size / expected - 1).max() < 1e-10


@pytest.mark.parametrize("d", [2, 3, 4])
def test_large_matrices_whose_rows_sum_to_one_do_not_overflow(d, rng):
    """Whole numbers sum to 1 exactly; their products of three would overflow from 1e103 on."""
    for size in (1.0, 2.0**40, 2.0**500, 2.0**1000):
        h = rng.integers(-8, 8, (100, d, d)) * size
        h[:, :, -1] = 0  # then the sums without it are as large, and one more entry undoes them
        h[:, :, -1] = 1 - h.sum(-1) if size < 2.0**45 else -h.sum(-1)
        found = eigenvalues(h)
        expected = np.linalg.eigvals(h)
        scale = np.abs(h).max((-2, -1))
        assert np.isfinite(found).all()
        assert (distance(found, expected) <= 1e-4 * scale).all()


def test_no_eigenvalue_depends_on_a_neighbour(rng):
    """One matrix whose sums are off sent its whole block another way: other digits and order."""
    h = GoMHC(4).draw(50, rng)
    h[7] *= 1 + 1e-6
    h[8] = rng.dirichlet(np.ones(4), 4).T
    together = eigenvalues(h)
    assert np.array_equal(together, np.concatenate([eigenvalues(one[None]) for one in h]))
