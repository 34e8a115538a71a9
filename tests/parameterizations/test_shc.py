import numpy as np
import pytest
import torch
from scipy import linalg

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.parameterizations.shc import SHC, helmert


def cayley_of_upper(entries, m):
    a = np.zeros((m, m))
    a[np.triu_indices(m, 1)] = entries
    a -= a.T
    return (np.eye(m) - a) @ linalg.inv(np.eye(m) + a)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("gamma", [1.0, 0.2, 5.0, -2.0])
def test_equation_9(d, gamma, rng):
    m, k = d - 1, (d - 1) * (d - 2) // 2
    theta = rng.normal(size=(4, 2 * k + m))
    z = linalg.helmert(d).T
    for row, h in zip(theta, SHC(d, gamma)(theta), strict=True):
        u = z @ cayley_of_upper(gamma * np.tanh(row[:k]), m)
        v = z @ cayley_of_upper(gamma * np.tanh(row[k : 2 * k]), m)
        expected = np.full((d, d), 1 / d) + u @ np.diag(np.tanh(row[2 * k :])) @ v.T
        assert np.allclose(h, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("d", [2, 3, 4, 7])
def test_the_singular_values_are_1_and_the_tanhs(d, rng):
    theta = rng.normal(size=(20, (d - 1) ** 2))
    found = np.linalg.svd(SHC(d)(theta), compute_uv=False)
    tanhs = np.abs(np.tanh(theta[:, 1 - d :]))
    expected = np.sort(np.concatenate([np.ones((20, 1)), tanhs], axis=1))[:, ::-1]
    assert np.allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("d", [1, 2, 5, 9])
def test_the_basis_is_orthonormal_and_of_sum_zero(d):
    z = helmert(d)
    assert z.shape == (d, d - 1)
    assert np.allclose(z.T @ z, np.eye(d - 1), atol=1e-15)
    assert np.abs(z.sum(0)).max(initial=0) < 1e-15


def test_one_stream_has_nothing_to_mix():
    assert SHC(1).parameters == 0
    assert (SHC(1)(np.zeros((3, 0))) == 1).all()
    assert (SHC(1)(torch.zeros(3, 0)) == 1).all()


def test_the_start_is_tanh_4_of_the_way_to_the_identity():
    h = SHC(4)(SHC(4).initial())
    j = np.full((4, 4), 0.25)
    assert np.allclose(h, j + np.tanh(4) * (np.eye(4) - j), rtol=0, atol=1e-15)


def test_entries_may_be_negative_down_to_two_over_d_less_one():
    """docs/mathematics.md 6: 2 J / d - I is approached."""
    theta = np.array([0.0] * 6 + [-20.0] * 3)
    assert np.allclose(SHC(4)(theta), np.full((4, 4), 0.5) - np.eye(4), rtol=0, atol=1e-14)


def test_published_count():
    """Eq. 8: W, b, three tau, two gamma; pre and post with a gate each."""
    d, c = 4, 64
    weights, biases = d * c * (d - 1) ** 2, (d - 1) ** 2
    assert SHC(d).parameters == (d - 1) ** 2
    assert SHC(d).count(c) == weights + biases + 3 + 2 + 2 * d**2 * c + 2 * d + 2


def test_a_gate_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="^gamma = nan cannot be; expected a finite number$"):
        SHC(4, gamma=float("nan"))
