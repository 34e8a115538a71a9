"""Jacobi sweeps against LAPACK's singular values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses.core.arrays import lanes
from birkhoff_cli.analyses.geometry import spectral_norms
from birkhoff_cli.analyses.geometry.dominant import two_largest_moduli
from birkhoff_cli.analyses.geometry.norms import LARGEST_JACOBI, two_largest_singular_values
from birkhoff_cli.analyses.geometry.spectral_norms import (
    dominant_singular_value,
    largest_singular_value,
)
from birkhoff_cli.analyses.geometry.triangular_norms import accurate_singular_values

EPS = np.finfo(float).eps


def found(m, **options):
    return two_largest_singular_values(np.ascontiguousarray(lanes(m, 2)), **options)


def lapack(m):
    values = np.linalg.svd(m, compute_uv=False)
    return values[:, 0], values[:, 1] if m.shape[-1] > 1 else np.zeros(len(m))


def families(k, rng):
    gaussian = rng.normal(size=(500, k, k))
    nilpotent = np.triu(gaussian, 1)
    vectors = rng.normal(size=(2, 500, k))
    q = np.linalg.qr(gaussian)[0]
    return {
        "gaussian": gaussian,
        "near the identity": np.eye(k) + 1e-9 * gaussian,
        "defective": np.eye(k) + np.diag(np.ones(k - 1), 1) + 0 * gaussian,
        "nilpotent": nilpotent,
        "of rank one": vectors[0, :, :, None] * vectors[1, :, None, :],
        "orthogonal": q,
        "zero": 0 * gaussian,
        "huge": 1e300 * np.clip(gaussian, -1, 1) / k,
        "tiny": 1e-300 * gaussian,
        "of many sizes": gaussian * 10.0 ** rng.integers(-290, 290, (500, 1, 1)),
    }


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, LARGEST_JACOBI, LARGEST_JACOBI + 1, 64])
def test_it_equals_lapack(k, rng):
    for name, m in families(k, rng).items():
        m = m[: 1000 // k]
        (norm, second), expected = found(m), lapack(m)
        assert (np.abs(norm - expected[0]) <= 16 * k * EPS * expected[0]).all(), name
        if k > 1:  # the square of the second one is known to rounding of the square of the first
            ours, theirs = (v / (expected[0] + 1e-305) for v in (second, expected[1]))
            assert (np.abs(ours**2 - theirs**2) <= 16 * k * EPS).all(), name


@pytest.mark.parametrize("k", [2, 3, 4])
def test_small_columns_keep_their_digits(k, rng):
    q = np.linalg.qr(rng.normal(size=(300, k, k)))[0]
    sizes = np.r_[1.0, np.geomspace(1e-30, 1e-31, k - 1)]
    _, second = found(q * sizes)
    np.testing.assert_allclose(second, 1e-30, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_matrices_of_float32_need_fewer_digits(k, rng):
    eps = float(np.finfo(np.float32).eps)
    for name, m in families(k, rng).items():
        (norm, second), expected = found(m, precision=eps), lapack(m)
        assert (np.abs(norm - expected[0]) <= 4 * k * eps * expected[0]).all(), name
        ours, theirs = (v / (expected[0] + 1e-305) for v in (second, expected[1]))
        assert (np.abs(ours**2 - theirs**2) <= 4 * k * eps).all(), name


ENTRIES = st.just(0.0) | st.floats(1e-100, 1e3) | st.floats(-1e3, -1e-100)


@given(arrays(float, (3, 4, 4), elements=ENTRIES))
def test_any_matrix_lies_in_the_bracket(m):
    """max(1^T P 1 / d, |P|_F / sqrt(d)) <= |P|_2 <= min(sqrt(|P|_1 |P|_inf), |P|_F)."""
    norm, second = found(m)
    size = np.abs(m)
    above = np.minimum(
        np.sqrt(size.sum(-1).max(-1) * size.sum(-2).max(-1)), np.linalg.norm(m, axis=(1, 2))
    )
    below = np.maximum(m.sum((1, 2)) / 4, np.linalg.norm(m, axis=(1, 2)) / 2)
    slack = 1e-13 * above
    assert (below - slack <= norm).all() and (norm <= above + slack).all()
    assert (second <= norm).all()
    np.testing.assert_allclose(norm, lapack(m)[0], rtol=1e-13, atol=1e-200)


def test_nothing_gives_nothing():
    norm, second = two_largest_singular_values(np.empty((3, 3, 0)))
    assert norm.shape == second.shape == (0,)


@pytest.mark.parametrize("apart", [0, 1e-15, 1e-12, 1e-8, 1e-6, 1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("alike", [1, 2, 3])
def test_the_norm_alone_is_right_however_near_the_values_are(alike, apart, rng):
    left, right = (np.linalg.qr(rng.normal(size=(2000, 3, 3)))[0] for _ in range(2))
    values = rng.random((2000, 3))
    values[:, :alike] = 1 + apart * rng.random((2000, alike))
    m = np.einsum("nij,nj,nkj->nik", left, values, right)
    m *= np.ldexp(1.0, rng.integers(-500, 500, 2000))[:, None, None]
    m[:3] = 0
    x = np.ascontiguousarray(lanes(m, 2))
    norms = largest_singular_value(x, EPS)
    np.testing.assert_allclose(norms, np.linalg.norm(m, 2, axis=(1, 2)), rtol=3e-13)
    few = np.ascontiguousarray(x[..., 7:20])
    assert np.array_equal(largest_singular_value(few, EPS), norms[7:20])


@pytest.mark.parametrize("k", [1, 2, 4, LARGEST_JACOBI + 1])
def test_the_norm_alone_is_there_for_every_side(k, rng):
    m = rng.normal(size=(50, k, k))
    norms = largest_singular_value(np.ascontiguousarray(lanes(m, 2)), EPS)
    np.testing.assert_allclose(norms, np.linalg.norm(m, 2, axis=(1, 2)), rtol=1e-13)


@pytest.mark.parametrize("small", [1e-300, 1e-308, 1e-312, 5e-324])
def test_values_apart_by_more_than_the_number_range_are_known(small):
    """Whose reciprocal is infinite: 0 times it was NaN, and the search for a scale had no end."""
    x = np.diag([1.0, small, small])[..., None]
    first, second = accurate_singular_values(x)
    assert first == 1 and 0 <= second <= small
    moduli = two_largest_moduli(x)
    assert moduli.first == 1 and 0 <= moduli.second <= EPS


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_a_norm_is_right_whether_or_not_it_dominates(k, rng):
    ranks = {f"{e:g} beside rank one": e for e in (1e-16, 1e-9, 1e-6, 1e-3, 0.1)}
    vectors = rng.random((2, 500, k))
    one = vectors[0, :, :, None] * vectors[1, :, None, :]
    near = {name: one + e * rng.normal(size=one.shape) for name, e in ranks.items()}
    for name, m in (families(k, rng) | near).items():
        norms = dominant_singular_value(np.ascontiguousarray(lanes(m, 2)))
        np.testing.assert_allclose(norms, lapack(m)[0], rtol=1e-13, atol=1e-320, err_msg=name)


def test_a_norm_that_dominates_needs_no_sweeps(rng, monkeypatch):
    def refuse(x, precision):
        raise AssertionError(f"{x.shape[2]} of side {len(x)}, to {precision}")

    monkeypatch.setattr(spectral_norms, "largest_singular_value", refuse)
    vectors = 0.5 + rng.random((2, 500, 4))
    m = vectors[0, :, :, None] * vectors[1, :, None, :] + 1e-6 * rng.normal(size=(500, 4, 4))
    norms = dominant_singular_value(np.ascontiguousarray(lanes(m, 2)))
    np.testing.assert_allclose(norms, lapack(m)[0], rtol=1e-14)
