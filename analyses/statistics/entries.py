"""Entries of the matrices of several sites and of their product: means, ranges, histograms."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.fold import Statistics
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.states import data
from birkhoff_cli.analyses.geometry.lanes import matmul
from birkhoff_cli.analyses.statistics.moments import Moments
from birkhoff_cli.analyses.statistics.ranges import Ranges

BINS, LIMIT = 512, 2
"""Bins over [-2, 2]: 1/128 wide, so that the bin of an entry is found without rounding."""

MOMENTS = 64
"""Numbers kept for every entry: five at each of some twelve nodes of a tree over blocks."""


@data()
class Entries:
    """Means, deviations, extremes and histograms of the entries of matrices at several sites."""

    def __init__(self, sites: int, d: int) -> None:
        """No matrices."""
        self.sites, self.d = sites, d
        self.moments = Moments(sites * d * d)
        self.ranges = Ranges(sites)
        self.histogram = np.zeros((sites, BINS), np.int64)

    def add(self, number: int, h: Array) -> None:
        """Add matrices of a block, lanes ``(sites, d, d, n)``."""
        entries = h.reshape(-1, h.shape[-1])
        low, high = entries.min(1), entries.max(1)
        self.moments.add_block(number, entries, low, high)
        lows, highs = (x.reshape(self.sites, -1) for x in (low, high))
        self.ranges.add_block(number, lows.min(1), highs.max(1))
        self.histogram += _histograms(h)

    def merge(self, other: "Entries") -> None:
        """Add the matrices of another."""
        self.moments.merge(other.moments)
        self.ranges.merge(other.ranges)
        self.histogram += other.histogram

    def columns(self) -> dict[str, Any]:
        """What `SCHEMA` has of every site."""
        shape = (self.sites, self.d, self.d)
        mean = self.moments.mean.reshape(shape)
        with np.errstate(over="ignore"):  # of entries near the largest number a sum is infinite
            rows, columns = mean.sum(-1), mean.sum(-2)
        return {
            "mean": mean,
            "std": self.moments.std.reshape(shape),
            "row_sum": rows,
            "column_sum": columns,
            "entry_min": self.ranges.low,
            "entry_max": self.ranges.high,
            "histogram": self.histogram,
        }


def _histograms(h: Array) -> Array:
    """Counts ``(sites, BINS)`` of the entries of ``(sites, d, d, n)``."""
    sites = len(h)
    with np.errstate(over="ignore"):
        bins = np.floor(h * (BINS // (2 * LIMIT)))
    np.clip(bins, -BINS // 2, BINS // 2 - 1, out=bins)
    bins += BINS // 2 + BINS * np.arange(sites)[:, None, None, None]
    return np.bincount(bins.astype(np.int64).ravel(), minlength=sites * BINS).reshape(sites, BINS)


class EntriesOverDepth(Statistics):
    """Entries of every site, and of the product of all of them."""

    def __init__(self, sites: int, d: int) -> None:
        """No matrices."""
        self.single, self.composite = Entries(sites, d), Entries(1, d)

    def add(self, number: int, block: Array, title: str) -> None:
        """Add the matrices ``(samples, sites, d, d)`` of a block.

        Raises:
            BadInput: a product beyond the largest number; ``title`` says of what.
        """
        n, sites, d, _ = block.shape
        h = aligned((sites, d, d, n), float)
        h[:] = block.transpose(1, 2, 3, 0)
        self.single.add(number, h)
        composite = h[0]
        with np.errstate(over="ignore", invalid="ignore"):
            for factor in h[1:]:
                composite = matmul(factor, composite)
        if not np.isfinite(composite).all():
            raise BadInput(
                f"{title}: the product of {sites} sites exceeds the largest number; "
                f"birkhoff depth-drift measures it in renormalised form"
            )
        self.composite.add(number, composite[None])


def negative_fraction(histogram: Array) -> float:
    """Share of entries below 0, of counts ``(..., BINS)``."""
    return float(histogram[..., : BINS // 2].sum() / histogram.sum())


def require_entries(sites: int, d: int) -> None:
    """Hold that the statistics of so many sites fit in memory.

    Raises:
        TooLarge: they do not.
    """
    require_memory(8 * (sites + 1) * (MOMENTS * d * d + BINS), f"{sites} sites of d = {d}")
