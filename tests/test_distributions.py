"""One pass over streams of numbers against all of them at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses.core import distributions
from birkhoff_cli.analyses.core.distributions import BUCKET, QUANTILES, Distributions
from birkhoff_cli.analyses.core.errors import TooLarge

FLOATS = st.floats(-900, 900) | st.floats(1 - 1e-6, 1 + 1e-6) | st.floats(-1e-6, 1e-6)


def of(values, pieces=3):
    """Streams filled piece by piece, in two groups of rows."""
    streams = Distributions(len(values), values.shape[1], "test")
    for piece in np.array_split(values, pieces, axis=1):
        streams.add(0, piece[:1])
        streams.add(1, piece[1:])
    return streams.statistics()


def plainly(values):
    low, *between, high = np.quantile(values, [0, *QUANTILES, 1], axis=1)
    return np.stack([values.mean(1), values.std(1), low, *between, high], axis=1)


def test_few_numbers_give_exact_percentiles(rng):
    values = rng.normal(size=(4, 999))
    np.testing.assert_allclose(of(values), plainly(values), rtol=1e-13, atol=1e-13)


@given(arrays(float, (3, 40), elements=FLOATS))
def test_many_numbers_give_percentiles_within_a_bucket(values):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "KEPT", 0)
        found = of(values)
    exact = plainly(values)
    np.testing.assert_array_equal(found[:, [2, 6]], exact[:, [2, 6]])
    np.testing.assert_allclose(found[:, 0], exact[:, 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[:, 1], exact[:, 1], rtol=1e-6, atol=1e-6)
    ordered = np.sort(values, axis=1)
    for k, q in enumerate(QUANTILES, start=3):  # between the two order statistics of the rank
        at = q * (values.shape[1] - 1)
        low, high = ordered[:, int(at)], ordered[:, int(np.ceil(at))]
        wide = [BUCKET * np.minimum(abs(v), abs(v - 1)) + 1e-7 * (1 + abs(v)) for v in (low, high)]
        assert (low - wide[0] <= found[:, k]).all() and (found[:, k] <= high + wide[1]).all()


@pytest.mark.parametrize("kept", [0, 2**20])
def test_joined_streams_are_as_one_stream_of_all_numbers(kept, rng, monkeypatch):
    monkeypatch.setattr(distributions, "KEPT", kept)
    values = rng.normal([[0.0], [1], [900]], 0.1, size=(3, 500))
    many, one = Distributions(3, 500, "test"), Distributions(1, 1500, "test")
    for piece in np.split(values, 5, axis=1):
        many.add(0, piece)
        one.add(0, piece.reshape(1, -1))
    np.testing.assert_allclose(many.joined().statistics(), one.statistics(), rtol=1e-12)


@pytest.mark.parametrize("exact", [0, 2**20])
def test_what_is_not_defined_stays_undefined(exact, monkeypatch):
    monkeypatch.setattr(distributions, "KEPT", exact)
    values = np.array([[0.1, np.nan, 2.0], [1.0, 2.0, 4.0]])
    found = of(values, pieces=2)
    assert np.isnan(found[0]).all() and found[1, 2] == 1 and found[1, 6] == 4


def test_buckets_rise_with_the_values(rng):
    values = np.sort(
        np.r_[rng.normal(size=500), 1 + rng.normal(size=500) * 1e-3, -900.0, 900, 0, 1]
    )
    assert (np.diff(distributions._buckets(values)) >= 0).all()
    for value, bucket in zip(values, distributions._buckets(values), strict=True):
        low, high = distributions._edges(int(bucket))
        assert low - 1e-7 * (1 + abs(low)) <= value <= high + 1e-7 * (1 + abs(high))


def test_what_cannot_fit_is_refused():
    with pytest.raises(TooLarge, match="9 products"):
        Distributions(2**40, 2, "9 products")
