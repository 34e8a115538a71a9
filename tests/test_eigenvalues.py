"""Eigenvalues against LAPACK, on everything from random matrices to permutations."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses.geometry.eigenvalues import eigenvalues
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
