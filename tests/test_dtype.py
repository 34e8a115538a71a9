"""``--dtype`` and ``--device``: every drawn matrix has the precision that was asked for."""

import numpy as np
import pytest

from birkhoff_cli.analyses import parameterizations, sample, slice, spectrum
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

CASES = [
    (name, how)
    for name in parameterizations.names()
    for how in parameterizations.load(name)(4).distributions
]


def drawn(name, how, dtype, layers=1):
    method = parameterizations.load(name)(4)
    draws = Draws(samples=20, layers=layers, draw=how, dtype=dtype)
    return next(iter(Drawn(method, draws, seed=1)))


@pytest.mark.parametrize("name, how", CASES)
@pytest.mark.parametrize("layers", [1, 3])
def test_every_distribution_draws_in_the_dtype(name, how, layers):
    single, double = (drawn(name, how, dtype, layers) for dtype in ("float32", "float64"))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.abs(single - double).max() < 1e-4 * max(1, np.abs(double).max())


SAMPLED = [(name, how) for name, how in CASES if how in parameterizations.load(name)(4).samplers()]


@pytest.mark.parametrize("name, how", SAMPLED)
def test_a_sampler_is_rounded_to_the_dtype(name, how):
    single, double = (drawn(name, how, dtype) for dtype in ("float32", "float64"))
    assert np.array_equal(single, double.astype(np.float32))


def test_the_sums_of_a_sample_are_those_of_the_matrices_in_the_table():
    """Before, the summary was that of float64 matrices beside a table of float32 ones."""
    draws = Draws(samples=50, draw="haar", dtype="float32")
    result = sample.run(Drawn(GoMHC(4), draws))
    h = np.array(result.table["matrix"].to_pylist(), dtype=np.float32)
    error = np.abs(h.sum(-1, dtype=np.float64) - 1).max()
    assert result.summary["row_error_max"] == error > 1e-9


def half_of(single, double, half):
    """The first or the second half of two columns."""
    middle = len(single) // 2
    rows = np.s_[middle:] if half else np.s_[:middle]
    return np.array([single[rows], double[rows]])


@pytest.mark.parametrize("module", [spectrum, slice])
def test_analyses_measure_the_rounded_matrices(module):
    def column(dtype):
        draws = Draws(samples=50, draw="haar", dtype=dtype)
        return module.run(Drawn(GoMHC(3), draws)).table["re"]

    single, double = (column(dtype).to_numpy() for dtype in ("float32", "float64"))
    for half in (half_of(single, double, 0), half_of(single, double, 1)):
        apart = np.abs(np.diff(np.sort(half), axis=0))  # eigenvalues come in no order
        assert 1e-9 < apart.max() < 1e-6


@pytest.mark.parametrize("name, how", SAMPLED)
def test_a_device_is_refused_where_no_map_runs(name, how):
    method = parameterizations.load(name)(4)
    draws = Draws(samples=5, draw=how, device="cuda")
    with pytest.raises(UsageError, match=f"--draw {how} draws matrices without the map"):
        next(iter(Drawn(method, draws)))


@pytest.mark.parametrize("probe", ["targets", "frontier"])
@pytest.mark.parametrize(
    "how", [{"dtype": "float32"}, {"draw": "haar"}, {"scale": 2.0}, {"device": "cuda"}]
)
def test_a_probe_that_draws_nothing_refuses_how_to_draw(probe, how):
    with pytest.raises(UsageError, match=f"--probe {probe} moves matrices in float64"):
        spectrum.run(Drawn(GoMHC(3), Draws(samples=5, **how)), probe=probe)
