import numpy as np
import pytest
import torch
from scipy import linalg

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry.orthogonal import skew
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("d, s", [(2, 1), (3, 2), (4, 3)])
def test_it_is_the_weighted_average_of_squared_orthogonal_matrices(field, d, s, rng):
    method = AveragedGoMHC(d, s, field)
    k = method.term.parameters
    theta = rng.normal(size=method.parameters)
    weights = np.exp(theta[s * k :]) / np.exp(theta[s * k :]).sum()
    expected = np.zeros((d, d))
    for weight, angles in zip(weights, theta[: s * k].reshape(s, k), strict=True):
        a = skew(angles, d, field)
        q = (np.eye(d) - a) @ linalg.inv(np.eye(d) + a)
        expected += weight * np.abs(q) ** 2
    assert np.allclose(method(theta), expected, rtol=0, atol=1e-13)


def test_the_start_is_near_the_identity_and_no_critical_point(rng):
    method = AveragedGoMHC(4, s=3)
    start = method.initial()
    assert np.abs(method(start) - np.eye(4)).max() < 0.05
    terms = start[:-3].reshape(3, -1)
    assert len({tuple(t) for t in terms}) == 3
    assert np.abs(terms).max(axis=1).min() > 0.01
    theta = torch.asarray(start).requires_grad_()
    target = torch.asarray(rng.normal(size=(4, 4)))
    (gradient,) = torch.autograd.grad((method(theta) * target).sum(), theta)
    assert (gradient[:-3].abs() > 1e-5).all()


def test_counts():
    method = AveragedGoMHC(4, s=3)
    assert method.parameters == 3 * 6 + 3
    assert method.count(64) == (4 * 64 + 1) * 21 + 2 * 16 * 64 + 8 + 3
    assert AveragedGoMHC(4, s=3, field="complex").parameters == 3 * 16 + 3


@pytest.mark.parametrize("options", [{"s": 0}, {"field": "octonion"}])
def test_refusals(options):
    with pytest.raises(UsageError, match="cannot be; expected"):
        AveragedGoMHC(4, **options)
