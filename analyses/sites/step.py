"""The sites of a model at one training step: statistics over samples, of each and of all."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SHARE, STEP, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.geometry.assignment import heaviest_permutations
from birkhoff_cli.analyses.sites.mixing import MEANS, as_lanes, measure_mixing, row_maxima
from birkhoff_cli.analyses.sites.nearest import word_of
from birkhoff_cli.analyses.sites.verdict import Numbers, judge
from birkhoff_cli.analyses.statistics.means import BlockMeans, Means, over_samples
from birkhoff_cli.analyses.statistics.moments import Moments
from birkhoff_cli.analyses.statistics.percentiles import Percentiles
from birkhoff_cli.analyses.statistics.ranges import Ranges
from birkhoff_cli.analyses.statistics.tree import Total

BANDS = ("row_max_p10", "row_max_p50", "row_max_p90")
UNKNOWN = ("mass", "effective_streams")
"""What is not known of every matrix, as columns count it."""

QUANTITIES = (
    STEP,
    quantity("row_max_p10", "10th percentile of the row maxima of all matrices"),
    quantity("row_max_p50", "median of them; 1 at a permutation, 1/d at J/d"),
    quantity("row_max_p90", "90th percentile of them"),
    quantity(
        "diagonal_fraction",
        "share of matrices whose row maxima all lie on the diagonal alone",
        range=SHARE,
        good="below 1",
    ),
    quantity("identity_distance", "mean distance to the identity", range=AT_LEAST_0),
    quantity("barycenter_distance", "mean distance to J/d", range=AT_LEAST_0),
    quantity("permutation_distance", "mean distance to the nearest permutation", range=AT_LEAST_0),
    quantity(
        "off_diagonal_mass",
        "mean share of the sum of moduli off the diagonal; null if it is known of no matrix",
        range=SHARE,
        good="above 0",
    ),
    quantity(
        "column_concentration",
        "mean share of the sum of moduli in the heaviest column: 1/d if all streams hand on alike",
        range=SHARE,
        good="near 1/d",
    ),
    quantity("negative_mass", "mean share of the sum of moduli of negative entries", range=SHARE),
    quantity(
        "effective_streams",
        "mean number of streams that a row reads, exp(entropy): 1 copies one, d averages all",
        range=AT_LEAST_0,
    ),
    quantity(
        "mass_unknown", "matrices of zeros, left out of the shares", range=AT_LEAST_0, good="0"
    ),
    quantity(
        "effective_streams_unknown",
        "matrices left out of effective_streams: a negative entry, or a row of zeros",
        range=AT_LEAST_0,
        good="0",
    ),
    quantity("entry_min", "smallest entry of any matrix", good="0 or more"),
)
"""Numbers of all sites together."""

MAX_ENTRIES = 80_000
"""Entries that one vectorised step works on: with what is computed from them they fit a cache."""
MAX_EXACT_BYTES = 2**26
"""Bytes of row maxima up to which their percentiles are exact: 8 million of them."""


class _Statistics(Statistics):
    """Of one trace: means by number and site, row maxima by site, ranges of entries by site."""

    def __init__(self, trace: Source) -> None:
        sites, rows = len(trace.sites), trace.samples * trace.d
        what = f"{trace.title}: row maxima of {sites} sites"
        self.row_max = Percentiles(sites, rows, what, MAX_EXACT_BYTES)
        self.means = Means()
        self.entries = Ranges(sites)
        self.sum_errors = Moments(sites)
        self.matrices = Total()


class _Measured(NamedTuple):
    """What is measured of some samples: numbers of a sample side by side, site by site."""

    row_max: Array
    """``(d, samples * sites)``."""
    means: Array
    """`MEANS`, ``(numbers, samples * sites)``."""
    low: Array
    """The least entry, ``(sites,)``."""
    sums: Array
    """Of entries, ``(d * d, sites)``."""


class Step(Fold[_Statistics, Array]):
    """How far every site of one trace mixes."""

    def __init__(self, trace: Source) -> None:
        self.trace, self.sites = trace, len(trace.sites)
        self.rounding = trace.d * float(np.finfo(trace.dtype).eps)
        self.balances = trace.map is not None and trace.map.balancing() is not None

    def start(self) -> _Statistics:
        """No samples yet."""
        return _Statistics(self.trace)

    def add(self, state: _Statistics, number: int, block: Array) -> Columns:
        """Measure matrices ``(samples, sites, d, d)``."""
        n, sites, d, _ = block.shape
        row_max = np.empty((d, n, sites), block.dtype)
        means, matrices = BlockMeans(sites), np.zeros((d * d, sites))
        step = max(1, MAX_ENTRIES // (sites * d * d))
        for k in range(0, n, step):
            some = self._measure(block[k : k + step])
            row_max[:, k : k + step] = some.row_max.reshape(d, -1, sites)
            state.entries.add_block(number, some.low, some.low)
            means.add(some.means)
            with np.errstate(over="ignore"):
                matrices += some.sums
        if self.balances:
            h = block.astype(np.float64, copy=False)
            off = [np.abs(h.sum(axis) - 1).max(-1) for axis in (-1, -2)]
            state.sum_errors.add(number, np.maximum(*off).T)
        state.matrices.add(number, matrices.T.reshape(sites, d, d))
        state.means.add(number, means.node())
        state.row_max.add(number, row_max.reshape(-1, sites).T)
        return {}

    def _measure(self, part: Array) -> _Measured:
        """Of some samples; what needs the recorded type first, while that is in the cache."""
        recorded = as_lanes(part)
        low = recorded.min((0, 1))
        h = recorded.astype(float)
        row_max, on_diagonal = row_maxima(recorded)
        with np.errstate(over="ignore"):
            sums = over_samples(h.reshape(-1, h.shape[-1]), self.sites)
        means = measure_mixing(h, low.min())
        means[0] = on_diagonal
        means[-1, low < -self.rounding] = np.nan
        return _Measured(row_max, means, low.reshape(-1, self.sites).min(0), sums)

    def finish(self, state: _Statistics) -> tuple[Iterable[Columns], Summary]:
        """A row for every site, and the numbers of all sites together."""
        sites, together = self._sites(state), self._together(state)
        with np.errstate(invalid="ignore"):
            nearest = heaviest_permutations(np.asarray(state.matrices.total()) / self.trace.samples)
        rows = {
            "step": self.trace.step,
            **site_columns(self.trace.sites),
            **sites,
            "dominant_permutation": np.array([*map(word_of, nearest)], object),
            "verdict": judge(sites, self.trace.d, self._sum_errors(state)),
            **{f"step_{name}": together[name] for name in (*BANDS, "diagonal_fraction")},
        }
        verdicts = rows["verdict"].tolist()
        numbers = {**together, "nearest": nearest, "verdicts": verdicts}
        return (rows,), {"step": self.trace.step, **numbers}

    def _sites(self, state: _Statistics) -> Numbers:
        """Numbers of every site."""
        means = state.means.mean.reshape(len(MEANS), -1)
        unknown = self.trace.samples - state.means.count.reshape(len(MEANS), -1)
        return {
            **_bands(state.row_max),
            **dict(zip(MEANS, means, strict=True)),
            "mass_unknown": unknown[MEANS.index("negative_mass")].astype(int),
            "effective_streams_unknown": unknown[-1].astype(int),
            "entry_min": state.entries.low,
        }

    def _sum_errors(self, state: _Statistics) -> Array:
        """Mean of the largest |sum - 1| at every site; 0 where no Sinkhorn is known."""
        return state.sum_errors.mean if self.balances else np.zeros(self.sites)

    def _together(self, state: _Statistics) -> Numbers:
        """Numbers of all sites, each matrix with the same weight."""
        sites = self._sites(state)
        counts = state.means.count.reshape(len(MEANS), -1)
        means = np.array([sites[name] for name in MEANS])
        with np.errstate(invalid="ignore"):
            shares = counts / counts.sum(1, keepdims=True)
            means = np.where(counts > 0, means * shares, 0 * shares).sum(1)  # NaN of no matrix
        every = {
            **{name: band.item() for name, band in _bands(state.row_max.joined()).items()},
            **dict(zip(MEANS, means.tolist(), strict=True)),
            **{f"{name}_unknown": int(sites[f"{name}_unknown"].sum()) for name in UNKNOWN},
            "entry_min": float(state.entries.low.min()),
        }
        verdict = judge(every, self.trace.d, self._sum_errors(state).mean()).item()
        return {**every, **state.row_max.summary(), "verdict": verdict}


def _bands(row_max: Percentiles) -> Numbers:
    columns = row_max.columns()
    return {name: columns[name.removeprefix("row_max_")] for name in BANDS}
