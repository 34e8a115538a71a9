import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birkhoff_cli.analyses.core.arrays import SMALL_BUFFER, without_copies
from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.geometry.elimination import divide, leading_inverse
from birkhoff_cli.analyses.geometry.lanes import average, contract, kron, matmul, powers, vectors
from birkhoff_cli.analyses.geometry.orthogonal import orthonormal_rows
from birkhoff_cli.analyses.geometry.permutations import (
    all_permutations,
    inverse_order,
    matrices,
    mixture,
    prime_factors,
    table,
    vertices,
)


@pytest.mark.parametrize("d", range(1, 8))
def test_all_of_them_in_the_order_of_itertools(d):
    perms = all_permutations(d)
    assert perms.tolist() == [list(p) for p in itertools.permutations(range(d))]
    assert not perms.flags.writeable
    assert all_permutations(d) is perms


def test_matrices_have_a_one_at_i_pi_i():
    found = matrices(all_permutations(3))
    for p, matrix in zip(itertools.permutations(range(3)), found, strict=True):
        assert [list(row).index(1) for row in matrix] == list(p)
        assert matrix.sum() == 3


@pytest.mark.parametrize("d", range(1, 7))
def test_the_inverse_order_transposes(d):
    order = inverse_order(d)
    assert (order[order] == np.arange(math.factorial(d))).all()
    found = matrices(all_permutations(d))
    assert (found[order] == found.swapaxes(1, 2)).all()


@given(st.integers(1, 10_000))
def test_prime_factors(d):
    factors = prime_factors(d)
    assert math.prod(factors) == d
    assert list(factors) == sorted(factors)
    assert d == 1 or all(all(p % q for q in range(2, math.isqrt(p) + 1)) for p in factors)


@pytest.mark.parametrize(
    "d, count, size",
    [
        (9, "362,880", "235 MB"),
        (12, "479,001,600", "552 GB"),
        (64, "more than 1e89", "more than 1e84 GB"),
        (10**6, "more than 1e5565708", "more than 1e5565712 GB"),
    ],
)
def test_too_many_are_refused_at_once(d, count, size):
    with pytest.raises(TooLarge) as refused:
        all_permutations(d)
    expected = f"d = {d} has {count} permutation matrices, {size} of memory; "
    assert str(refused.value).startswith(expected)


def test_a_table_that_would_not_fit_is_refused():
    with pytest.raises(TooLarge, match=r"take k = 25 or fewer$"):
        table(np.broadcast_to(np.arange(1000), (30, 1000)))


@pytest.mark.parametrize("make", [np.asarray, torch.asarray], ids=["numpy", "torch"])
@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,)], ids=str)
def test_a_mixture_normalises_its_weights(make, batch, rng):
    weights = rng.random((6, *batch))
    h = np.asarray(mixture(make(weights), vertices(3)))
    share = weights / weights.sum(0)
    expected = np.tensordot(matrices(all_permutations(3)).T, share, axes=1).swapaxes(0, 1)
    assert np.allclose(h, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("make", [np.asarray, torch.asarray], ids=["numpy", "torch"])
def test_lane_arithmetic_is_that_of_the_matrices(make, rng):
    a, b, c = rng.normal(size=(2, 3, 5)), rng.normal(size=(3, 4, 5)), rng.normal(size=(2, 2, 5))
    product, tower = np.asarray(matmul(make(a), make(b))), np.asarray(kron([make(c)] * 3))
    mean = np.asarray(average([make(c), make(2 * c)], make(np.full((2, 5), 3.0))))
    for k in range(5):
        x, y, z = a[..., k], b[..., k], c[..., k]
        assert np.allclose(product[..., k], x @ y, rtol=0, atol=1e-14)
        assert np.allclose(tower[..., k], np.kron(np.kron(z, z), z), rtol=0, atol=1e-13)
        assert np.allclose(mean[..., k], 1.5 * z, rtol=0, atol=1e-14)


def test_powers_are_at_most_one_and_lanes_are_contiguous(rng):
    theta = rng.normal(scale=500, size=(7, 4))
    assert vectors(theta).flags.c_contiguous
    found = powers(vectors(theta))
    assert (found.max(0) == 1).all()
    with np.errstate(under="ignore"):
        assert np.allclose(found, np.exp(theta - theta.max(1, keepdims=True)).T, rtol=1e-14)


@pytest.mark.parametrize("batch", [1, 3, 17, 500])
def test_a_sum_of_products_is_added_in_order_whatever_the_batch(batch, rng):
    """So the numbers of a matrix do not depend on how many stand beside it."""
    a, b = rng.normal(size=(2, 5, 5, 500))
    whole = contract("ikn,kjn->ijn", a, b)
    expected = sum(a[:, k, None] * b[k] for k in range(5))
    np.testing.assert_allclose(whole, expected, atol=1e-13)
    some = contract("ikn,kjn->ijn", a[..., :batch], b[..., :batch])
    assert (some == whole[..., :batch]).all()
    apart = np.ascontiguousarray(np.moveaxis(a[..., :batch], -1, 0))
    assert (contract("ikn,kjn->ijn", np.moveaxis(apart, 0, -1), b[..., :batch]) == some).all()


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_matrices_are_divided_as_by_lapack(field, n, rng):
    a, q = rng.normal(size=(2, n, n, 30)), rng.normal(size=(n + 1, n, 30))
    a = a[0] + 1j * a[1] if field == "complex" else a[0]
    m = a - a.swapaxes(0, 1).conj() + np.eye(n)[..., None]
    inverse = np.moveaxis(np.linalg.inv(np.moveaxis(m, -1, 0)), 0, -1)
    found = divide(q, m)
    np.testing.assert_allclose(found, np.einsum("ikn,kjn->ijn", q, inverse), atol=1e-12)
    lower = m[np.tril_indices(n, -1)]
    for side in range(n + 1):
        leading = leading_inverse(lower, np.einsum("iin->in", m), side)
        np.testing.assert_allclose(leading, inverse[:side, :side], atol=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.complex64])
def test_nearly_orthonormal_rows_become_orthonormal(kind, rng):
    q, _ = np.linalg.qr(rng.normal(size=(40, 8, 8)) + 1j * rng.normal(size=(40, 8, 8)))
    q = q if kind is np.complex64 else np.linalg.qr(rng.normal(size=(40, 8, 8)))[0]
    near = np.moveaxis(q, 0, -1).astype(kind)
    rows = np.moveaxis(orthonormal_rows(near), -1, 0)
    products = rows @ rows.conj().swapaxes(1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(8), products.shape), atol=2e-15)
    np.testing.assert_allclose(np.moveaxis(rows, 0, -1), near, atol=1e-5)


def test_the_buffer_of_numpy_is_as_it_was_after_lanes(rng):
    """A user may have set it; an error on the way out changes nothing of that."""
    a = rng.normal(size=(6, 2000))

    @without_copies
    def outer(x):
        assert np.getbufsize() == SMALL_BUFFER
        if not x.size:
            raise ValueError
        return x[:, None] * x[None]

    before = np.setbufsize(4096)
    try:
        whole = outer(a)
        with pytest.raises(ValueError):
            outer(a[:0])
        assert np.getbufsize() == 4096
    finally:
        np.setbufsize(before)
    assert (whole == np.stack([row * a for row in a])).all()
