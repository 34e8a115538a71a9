import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_linear import MHCLinear


def algorithm_1(w, iters, eps):
    d = len(w)
    m = [[abs(w[i][j]) for j in range(d)] for i in range(d)]
    for _ in range(iters):
        m = [[m[i][j] / (sum(m[i]) + eps) for j in range(d)] for i in range(d)]
        columns = [sum(m[i][j] for i in range(d)) for j in range(d)]
        m = [[m[i][j] / (columns[j] + eps) for j in range(d)] for i in range(d)]
    return m


@pytest.mark.parametrize("iters, eps", [(0, 1e-8), (1, 1e-8), (20, 1e-8), (5, 0.1)])
def test_algorithm_1_entry_by_entry(iters, eps, rng):
    w = rng.normal(size=(6, 3, 3))
    expected = [algorithm_1(x.tolist(), iters, eps) for x in w]
    method = MHCLinear(3, iters=iters, eps=eps)
    assert np.allclose(method(w.reshape(6, 9)), expected, rtol=0, atol=1e-14)
    found = method(torch.asarray(w.reshape(6, 9))).numpy()
    assert np.allclose(found, expected, rtol=0, atol=1e-14)


def test_it_is_mhc_of_the_logarithm(rng):
    w = rng.uniform(0.1, 1, size=(10, 16))
    found = MHCLinear(4, eps=0.0)(w)
    assert np.allclose(found, MHC(4, "mhc-lite")(np.log(w)), rtol=0, atol=1e-13)


def test_zero_weights_give_the_zero_matrix_and_no_warning():
    assert (MHCLinear(4)(np.zeros(16)) == 0).all()


def test_the_start_is_that_of_mhc():
    found = MHCLinear(4)(MHCLinear(4).initial())
    expected = MHC(4, "mhc-lite")(MHC(4).initial())
    assert np.abs(found - expected).max() < 1e-7
    assert np.abs(found - np.eye(4)).max() < 1.1e-3


@pytest.mark.parametrize("options", [{"iters": -1}, {"eps": -1.0}, {"eps": float("inf")}])
def test_settings_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError, match="cannot be; expected at least 0"):
        MHCLinear(4, **options)
