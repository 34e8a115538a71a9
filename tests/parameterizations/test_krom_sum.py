import numpy as np
import pytest

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC


@pytest.mark.parametrize("terms", [1, 2, 5])
@pytest.mark.parametrize("d, factors", [(4, ()), (6, (3, 2))])
def test_it_is_the_weighted_sum_of_kromhc_matrices(terms, d, factors, rng):
    method, term = KromSum(d, terms, factors), KromHC(d, factors)
    theta = rng.normal(size=method.parameters)
    logits = theta[: terms * term.parameters].reshape(terms, term.parameters)
    beta = theta[terms * term.parameters :]
    weights = np.exp(beta) / np.exp(beta).sum()
    expected = sum(w * term(x) for w, x in zip(weights, logits, strict=True))
    assert np.allclose(method(theta), expected, rtol=0, atol=1e-14)


def test_one_term_is_kromhc(rng):
    theta = rng.normal(size=(5, 4))
    beta = rng.normal(size=(5, 1))
    found = KromSum(4, terms=1)(np.concatenate([theta, beta], axis=1))
    assert np.allclose(found, KromHC(4)(theta), rtol=0, atol=1e-15)


def test_two_terms_need_not_be_symmetric(rng):
    theta = rng.normal(size=KromSum(4, factors=(4,)).parameters)
    h = KromSum(4, factors=(4,))(theta)
    assert np.abs(h - h.T).max() > 1e-3


def test_the_start_is_near_the_identity_with_no_two_terms_alike():
    method = KromSum(4, terms=3)
    start = method.initial()
    assert np.abs(method(start) - np.eye(4)).max() < 7e-4
    assert len({tuple(x) for x in start[:-3].reshape(3, -1)}) == 3


def test_counts():
    assert KromSum(4, terms=3).parameters == 3 * 4 + 3
    assert KromSum(4, terms=3).flops() == 3 * (KromHC(4).flops() + 3 + 2 * 16)


@pytest.mark.parametrize("options", [{"terms": 0}, {"factors": (3,)}])
def test_refusals(options):
    with pytest.raises(UsageError, match="cannot be; expected"):
        KromSum(4, **options)
