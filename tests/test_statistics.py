"""Statistics in one pass: exact where they say so, and the same however the blocks are cut."""

import pickle
from fractions import Fraction
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.statistics import percentiles
from birkhoff_cli.analyses.statistics.buckets import ONE, WIDTH, buckets, buckets_of_float32, edges
from birkhoff_cli.analyses.statistics.distributions import Distributions
from birkhoff_cli.analyses.statistics.extremes import Extremes, SumErrors
from birkhoff_cli.analyses.statistics.means import BlockMeans, Means
from birkhoff_cli.analyses.statistics.moments import Moments
from birkhoff_cli.analyses.statistics.percentiles import QUANTILES, Percentiles
from birkhoff_cli.analyses.statistics.tree import Tree

USUAL = st.floats(-900, 900) | st.floats(1 - 1e-6, 1 + 1e-6) | st.floats(-1e-6, 1e-6)
SPECIAL = st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 5e-324, 1e-300, 1e300, -1.79e308])
ANY = USUAL | SPECIAL | st.floats(width=64)
STREAMS = 3
KEPT = pytest.mark.parametrize("kept", [0, 2**20], ids=["counted", "exact"])


def make_distributions(kept, length=10_000):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "MAX_KEPT", kept)
        return Distributions(STREAMS, length, "test")


MAKERS = {
    "moments": (lambda: Moments(STREAMS), lambda s: (s.mean, s.std, *s.total())),
    "exact": (lambda: make_distributions(2**20), lambda s: (s.statistics(), s.unknown)),
    "counted": (
        lambda: make_distributions(0),
        lambda s: (s.statistics(), s.unknown, s.quantile_error, s.joined().statistics()),
    ),
    "extremes": (lambda: Extremes(("x",), ("x",)), lambda s: (s.largest, s.smallest)),
}


def fill(make, blocks, numbers):
    statistic = make()
    for number in numbers:
        values = {"x": blocks[number]} if isinstance(statistic, Extremes) else blocks[number]
        statistic.add(number, values)
    return pickle.loads(pickle.dumps(statistic))


@st.composite
def cut_blocks(draw):
    """Blocks of uneven sizes, and a cut of their numbers into ranges."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    blocks = [draw(arrays(float, (STREAMS, n), elements=ANY)) for n in sizes]
    cuts = sorted(draw(st.lists(st.integers(0, len(sizes)), max_size=5)))
    return blocks, [range(*ends) for ends in zip([0, *cuts], [*cuts, len(sizes)], strict=True)]


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=40)
@given(cut_blocks())
def test_any_cut_into_ranges_gives_the_same_bytes(name, cut):
    make, read = MAKERS[name]
    blocks, ranges = cut
    whole = fill(make, blocks, range(len(blocks)))
    merged = make()
    for numbers in ranges:
        merged.merge(fill(make, blocks, numbers))
    assert pickle.dumps(read(whole)) == pickle.dumps(read(merged))


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_keeps_few_nodes_and_one_order(cuts):
    class Words(Tree):
        def join(self, left, right):
            return f"({left}{right})"

    names, (whole, merged) = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", (Words(), Words())
    ends = sorted({0, *cuts, len(names)})
    for k, name in enumerate(names):
        whole.add(k, name)
        assert len(whole.nodes) == (k + 1).bit_count()
    for first, last in zip(ends, ends[1:], strict=False):
        part = Words()
        for k in range(first, last):
            part.add(k, names[k])
        merged.merge(part)
    assert whole.total() == merged.total()
    assert whole.total().replace("(", "").replace(")", "") == names


def of(values, kept, pieces=3):
    """Streams filled piece by piece, in two groups of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "MAX_KEPT", kept)
        streams = Distributions(len(values), values.shape[1], "test")
    for number, piece in enumerate(np.array_split(values, pieces, axis=1)):
        streams.add(number, piece[:1])
        streams.add(number, piece[1:], first=1)
    return streams


def plainly(values):
    low, *between, high = np.quantile(values, [0, *QUANTILES, 1], axis=1)
    return np.stack([values.mean(1), values.std(1), low, *between, high], axis=1)


def test_few_numbers_give_exact_percentiles(rng):
    values = rng.normal(size=(4, 999))
    found = of(values, kept=999)
    np.testing.assert_allclose(found.statistics(), plainly(values), rtol=1e-13, atol=1e-13)
    assert found.exact and found.quantile_error == 0
    assert not of(values, kept=998).exact


@given(arrays(float, (3, 40), elements=st.floats(-1e300, 1e300, allow_subnormal=False)))
def test_many_numbers_give_percentiles_within_the_error_they_state(values):
    found = of(values, kept=0)
    np.testing.assert_array_equal(found.statistics()[:, 2], values.min(1))
    np.testing.assert_array_equal(found.statistics()[:, 6], values.max(1))
    error = found.quantile_error
    assert error is None or error <= WIDTH * (1 + 1e-9)
    if error is None:
        return
    ordered = np.sort(values, axis=1)
    for k, q in enumerate(QUANTILES, start=3):  # between the two order statistics of the rank
        at = q * (values.shape[1] - 1)
        low, high = ordered[:, int(at)], ordered[:, int(np.ceil(at))]
        wide = [error * np.minimum(abs(v), abs(v - 1)) * (1 + WIDTH) for v in (low, high)]
        percentile = found.statistics()[:, k]
        assert (low - wide[0] <= percentile).all() and (percentile <= high + wide[1]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1, 3000.0, 1e12, 1e300])
def test_percentiles_follow_the_data(scale, rng):
    """Beyond 1024 and below 1e-9 they were wrong by factors of 3 to 100."""
    values = rng.lognormal(size=(1, 20_000))
    found = of(scale * values, kept=0)
    exact = scale * plainly(values)[:, 3:6]
    np.testing.assert_allclose(found.statistics()[:, 3:6], exact, rtol=WIDTH)
    assert 0 < found.quantile_error <= WIDTH * (1 + 1e-9)


def test_numbers_at_0_and_1_have_exact_percentiles_in_any_number():
    found = of(np.repeat([[0.0], [1], [-0.0]], 50, axis=1), kept=0)
    assert (found.statistics()[:, 3:6] == [[0] * 3, [1] * 3, [0] * 3]).all()
    assert found.quantile_error == 0


def test_an_error_without_a_bound_is_not_known():
    found = of(np.array([[0.0, *3e-320 * np.arange(1, 51)]]), kept=0)
    assert found.quantile_error is None


@KEPT
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-162, 1, 1e150, 1e300])
def test_deviations_neither_underflow_nor_overflow(kept, scale):
    values = np.array([[1.0, 2, 4, 8], [1, 1, 1, 1 + 2**-30], [-1, 1, -1, 1]]) * scale
    found = of(values, kept).statistics()
    exact = [
        float(pstdev(map(Fraction, row)) if row[0] != -row[1] else abs(row[0])) for row in values
    ]
    np.testing.assert_allclose(found[:, 1], exact, rtol=1e-12)
    np.testing.assert_allclose(found[:, 0], (values / 4).sum(1), rtol=1e-14, atol=1e-30 * scale)


def test_deviations_from_a_large_mean_do_not_cancel(rng):
    values = 1e9 + rng.normal(size=(1, 4000))
    np.testing.assert_allclose(
        of(values, 0, pieces=40).statistics()[0, 1], values.std(), rtol=1e-12
    )
    assert of(np.full((1, 300), 0.1), 0, pieces=7).statistics()[0, :2].tolist() == [0.1, 0]


@KEPT
def test_joined_streams_are_as_one_stream_of_all_numbers(kept, rng, monkeypatch):
    monkeypatch.setattr(percentiles, "MAX_KEPT", kept)
    values = rng.normal([[0.0], [1], [900]], 0.1, size=(3, 500))
    many, one = of(values, kept), of(values.reshape(1, -1), kept)
    np.testing.assert_allclose(many.joined().statistics(), one.statistics(), rtol=1e-12)
    assert many.joined().exact is one.exact is bool(kept)


@KEPT
def test_what_is_not_known_is_left_out_and_counted(kept):
    values = np.array([[0.1, np.nan, 2.0], [1.0, 2.0, 4.0], [np.nan] * 3])
    found = of(values, kept, pieces=2)
    assert found.unknown.tolist() == [1, 0, 3]
    plain = of(np.array([[0.1, 2.0]]), kept, pieces=2)
    np.testing.assert_allclose(found.statistics()[0], plain.statistics()[0], rtol=1e-15)
    assert np.isnan(found.statistics()[2]).all() and found.statistics()[1, 6] == 4


@KEPT
def test_infinity_is_a_value_of_which_there_is_no_deviation(kept):
    found = of(np.array([[1.0, np.inf, 2, 3], [-np.inf, 1, 2, np.inf]]), kept)
    mean, std, low, _, median, _, high = found.statistics().T
    assert mean[0] == high[0] == np.inf and low[0] == 1 and np.isnan(std).all()
    assert np.isnan(mean[1]) and (low[1], high[1]) == (-np.inf, np.inf)
    np.testing.assert_allclose(median, [2.5, 1.5], rtol=WIDTH)


def test_buckets_rise_with_the_values_and_hold_them(rng):
    wide = np.ldexp(rng.normal(size=4000), rng.integers(-1074, 1023, 4000))
    near = 1 + np.ldexp(rng.normal(size=2000), rng.integers(-60, 10, 2000))
    ends = [0, -0.0, 0.5, 1, 5e-324, -5e-324, 1.79e308, -1.79e308, np.inf, -np.inf]
    beside = [np.nextafter(x, y) for x in (0.5, 1) for y in (0, 2)]
    values = np.sort(np.concatenate([wide, near, ends, beside, rng.random(2000)]))
    found = buckets(values)
    assert (np.diff(found) >= 0).all() and buckets(np.array([0.0, 1])).tolist() == [0, ONE]
    for value, bucket in zip(values, found.tolist(), strict=True):
        low, high = edges(bucket)
        assert low <= value <= high
        nearest = min(abs(x) for x in (low, high, low - 1, high - 1))
        if 1e-290 < nearest < 1e300:
            assert high - low <= WIDTH * nearest * (1 + 1e-9) + 2**-52


def test_extremes_of_nothing_are_not_known():
    extremes = Extremes(("most",), ("least",))
    extremes.add(0, {"least": np.array([np.nan])})
    assert extremes.summary() == {"most": None, "least": None}
    extremes.add(1, {"least": np.array([np.nan, -2.0, 3])})
    assert extremes.summary() == {"most": None, "least": -2}


def test_sum_errors_are_those_of_rows_and_of_columns():
    errors = SumErrors()
    errors.add_matrices(0, np.array([[[0.5, 0.75], [0.5, 0.25]]], np.float32))
    assert errors.summary() == {"row_error_max": 0.25, "column_error_max": 0}


def test_what_cannot_fit_is_refused():
    with pytest.raises(TooLarge, match="9 products"):
        Distributions(2**40, 2, "9 products")


def test_a_bucket_from_minus_infinity_on_has_a_number():
    values = np.array([[-np.inf, -1.79e308, -1.79e308], [1.79e308, np.inf, np.inf]])
    found = of(values, kept=0, pieces=1)
    assert np.isneginf(found.statistics()[0, 2]) and np.isposinf(found.statistics()[1, 6])
    assert not np.isnan(found.statistics()[:, 3:6]).any() and found.quantile_error is None


RANGES = (
    st.floats(1, 9),
    st.floats(0.5, 1),
    st.floats(0.5, 2),
    st.floats(-3, 0.5),
    st.floats(0, 0.5),
)


@pytest.mark.parametrize("numbers", RANGES, ids=repr)
@given(data=st.data())
def test_what_is_known_of_the_range_changes_no_bucket(numbers, data):
    extremes = st.sampled_from([0.0, -0.0, 0.5, 1.0, 5e-324, 1 - 2**-53, 1 + 2**-52])
    values = np.array(data.draw(st.lists(numbers | extremes, min_size=1)))
    np.testing.assert_array_equal(buckets(values, values.min(), values.max()), buckets(values))


IN_FLOAT32 = (2.0**-126, 0.25, 0.5, 1 - 2.0**-24, 1.0, 1 + 2.0**-23, 2.0)


@given(st.lists(st.floats(2.0**-126, 2, width=32) | st.sampled_from(IN_FLOAT32), min_size=1))
def test_a_float32_has_the_bucket_of_the_same_float64(values):
    values = np.array(values, np.float32)
    np.testing.assert_array_equal(buckets_of_float32(values), buckets(values.astype(float)))


@pytest.mark.parametrize("streams", [1, 2, 48])
def test_counts_of_all_streams_at_once_are_those_of_one_after_another(streams, rng):
    values = rng.random((5000, streams), np.float32) ** 2 + np.float32(1e-9)
    together, apart = (Percentiles(streams, 10**6, "test") for _ in range(2))
    for number, block in enumerate(np.array_split(values, 3)):
        together.add(number, block.T)
        apart.add(number, np.ascontiguousarray(block.T, float))
    for mine, other in ((together, apart), (together.joined(), apart.joined())):
        for name, column in mine.columns().items():
            np.testing.assert_array_equal(column, other.columns()[name])


def means_of(values, cuts, step):
    """Means over samples of ``(numbers, samples, sites)``, in blocks that are cut there."""
    means = Means()
    for number, block in enumerate(np.split(values, cuts, axis=1)):
        own = BlockMeans(values.shape[2])
        for k in range(0, block.shape[1], step):
            own.add(block[:, k : k + step].reshape(len(values), -1))
        means.add(number, own.node())
    return means


def test_means_leave_out_what_is_not_known_and_are_exact_of_numbers_alike(rng):
    values = rng.random((3, 100, 4))
    values[1] = 0.1
    values[2, :, 0] = np.nan
    values[2, ::3, 1:] = np.nan
    values[0, 7, 2] = np.inf
    means = means_of(values, [30, 31, 77], 7)
    known = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        expected = np.nansum(known, 1) / np.isfinite(values).sum(1)
    np.testing.assert_allclose(means.mean, expected.ravel(), rtol=1e-14)
    assert means.count.tolist() == np.isfinite(values).sum(1).ravel().tolist()
    assert means.mean[4:8].tolist() == [0.1] * 4
    largest = means_of(np.full((1, 5000, 1), 1.5e308), [], 500)
    assert largest.mean.tolist() == [1.5e308]
    mixed = np.array([1.5e308, 1e308] * 500).reshape(1, -1, 1)
    np.testing.assert_allclose(means_of(mixed, [400], 100).mean, 1.25e308)
