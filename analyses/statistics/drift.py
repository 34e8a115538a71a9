"""Numbers of matrices at several sites and of their products over depth, over samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, aligned, lanes
from birkhoff_cli.analyses.core.fold import Statistics
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.geometry.drift import PER_LINE, PER_MATRIX, Numbers, measure
from birkhoff_cli.analyses.geometry.products import Blocks, blocks, times
from birkhoff_cli.analyses.statistics.distributions import (
    STATISTICS,
    Distributions,
    largest_error,
)
from birkhoff_cli.analyses.statistics.log_means import LogMeans

ROOT_MEAN_SQUARE = {
    "log_barycenter_rms": "natural logarithm of the root mean square over samples of the distance "
    "to J/d, at any depth; it stands in the column mean, and the others are null"
}
METRICS = PER_LINE | PER_MATRIX | ROOT_MEAN_SQUARE

Chain = dict[str, Any]
"""Statistics of one metric by depth."""


CONSERVED = 0.01
"""Distance from 1 of a sum or gain of a product up to which it is conserved."""

DECAYS = (
    quantity(
        "typical_decay",
        "factor per layer of the geometric mean of ||P - J/d||, over the second half of the depth",
        range=AT_LEAST_0,
    ),
    quantity("lambda_2_decay", "the same of the second eigenvalue", range=AT_LEAST_0),
    quantity(
        "mean_square_decay",
        "factor per layer of the root mean square of ||P - J/d||, as deep as samples tell it",
        range=AT_LEAST_0,
    ),
    quantity("mean_square_depth", "depth to which they do", range=AT_LEAST_0),
)
"""What `decays` gives."""


def judge_drift(off: float | None) -> str | None:
    """The verdict on the largest distance from 1 of the sums of a product; None if not known."""
    return None if off is None else "conserved" if off <= CONSERVED else "drifts"


@dataclass(frozen=True)
class Spans:
    """The sites, and after them the products: from the first site, or from every one.

    Attributes:
        sites: how many.
        from_each: whether there is a product for every pair of a start and a later site.
    """

    sites: int
    from_each: bool

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """First and last site of every row."""
        site = np.arange(self.sites)
        last, start = np.tril_indices(self.sites) if self.from_each else (site, 0 * site)
        return np.concatenate([site, start]), np.concatenate([site, last])

    @property
    def composite(self) -> Array:
        """Whether a row is a product."""
        return np.arange(len(self.ends[0])) >= self.sites

    def row(self, start: int, site: int) -> int:
        """Row of the product from ``start`` to ``site``."""
        return self.sites + (site * (site + 1) // 2 + start if self.from_each else site)

    def measure(
        self, stacks: Sequence[Array], at_once: int, precision: float
    ) -> Iterator[tuple[int, Numbers]]:
        """Row by row, the numbers of samples ``(n, sites, d, d)`` of several arrays.

        Args:
            stacks: the samples.
            at_once: samples that are measured together.
            precision: relative error of the entries.
        """
        walks = [self._walk(part, precision) for part in _parts(stacks, at_once)]
        for rows in zip(*walks, strict=True):
            row, numbers = rows[0]
            if len(rows) > 1:
                numbers = {k: np.concatenate([n[k] for _, n in rows], -1) for k in numbers}
            yield row, numbers

    def _walk(self, stacks: Sequence[Array], precision: float) -> Iterator[tuple[int, Numbers]]:
        products: list[Blocks] = []
        for site in range(self.sites):
            factor = blocks(_in_lanes(stacks, site), precision)
            single = measure(factor, precision)
            yield site, single
            products = [times(factor, p) for p in products]
            for start, product in enumerate(products):
                yield self.row(start, site), measure(product, precision)
            if site == 0 or self.from_each:
                yield self.row(len(products), site), single
                products.append(factor)


class Drift(Statistics):
    """Distributions over samples of `METRICS`, ``(rows, metrics)`` of `Spans`."""

    def __init__(self, rows: int, samples: int, d: int) -> None:
        """Room for so many samples of every row.

        Raises:
            TooLarge: more rows than fit in memory.
        """
        what = f"{rows:,} matrices and products"
        self.lines = Distributions(rows * len(PER_LINE), samples * d, what)
        self.singles = Distributions(rows * len(PER_MATRIX), samples, what)
        self.squares = LogMeans(rows)

    def add(self, number: int, row: int, numbers: Numbers) -> None:
        """Add the numbers of a block of samples to a row."""
        lines = np.stack([numbers[m].ravel() for m in PER_LINE])
        self.lines.add(number, lines, row * len(PER_LINE))
        singles = np.stack([numbers[m] for m in PER_MATRIX])
        self.singles.add(number, singles, row * len(PER_MATRIX))
        self.squares.add(number, 2 * numbers["log_barycenter_distance"][None], row)

    def columns(self) -> dict[str, Array]:
        """Statistics, and how many numbers are not known, ``(rows, metrics)`` each."""
        rows = self.squares.streams
        parts = [part.columns() for part in (self.lines, self.singles)]
        table = {}
        for name in parts[0]:
            columns = [part[name].reshape(rows, -1) for part in parts]
            columns.append(columns[1][:, -1:])  # of the metric whose root mean square it is
            table[name] = np.concatenate(columns, axis=1)
            if name in STATISTICS:
                table[name][:, -1] = self.squares.logs / 2 if name == "mean" else np.nan
        return table

    @property
    def quantile_error(self) -> float | None:
        """Bound on the error of percentiles, see `Distributions`."""
        return largest_error(self.lines, self.singles)


def _parts(stacks: Sequence[Array], size: int) -> list[list[Array]]:
    """The samples of some arrays in parts of about ``size`` or fewer, in order."""
    parts: list[list[Array]] = [[]]
    for stack in stacks:
        for start in range(0, len(stack), size):
            piece = stack[start : start + size]
            if sum(map(len, parts[-1])) + len(piece) > size and parts[-1]:
                parts.append([])
            parts[-1].append(piece)
    return parts


def _in_lanes(stacks: Sequence[Array], site: int) -> Any:
    """The matrices of one site, ``(d, d, samples)`` in float64."""
    d = stacks[0].shape[-1]
    h = aligned((d, d, sum(map(len, stacks))), float)
    start = 0
    for stack in stacks:
        one = np.ascontiguousarray(stack[:, site])  # a site's matrices are far from each other
        h[..., start : start + len(stack)] = lanes(one, 2)
        start += len(stack)
    return h


def decays(chain: dict[str, Chain], samples: int) -> dict[str, Any]:
    """Factors per layer, of statistics of the products by depth over so many samples."""
    square, depth = _mean_square_decay(chain, samples)
    return {
        "typical_decay": _decay(chain["log_barycenter_distance"]["mean"]),
        "lambda_2_decay": _decay(chain["log_lambda_2"]["mean"]),
        "mean_square_decay": square,
        "mean_square_depth": depth,
    }


def _decay(logs: Array) -> float | None:
    """The factor per layer over the second half of the depth, from mean logarithms by depth."""
    half = (len(logs) - 1) // 2
    steps = len(logs) - 1 - half
    with np.errstate(invalid="ignore"):
        rate = float(np.exp((logs[-1] - logs[half]) / steps)) if steps else np.nan
    return rate if np.isfinite(rate) else None


def _mean_square_decay(chain: dict[str, Chain], samples: int) -> tuple[float | None, int | None]:
    """The factor per layer of the root of the mean square, and the depth it was read at.

    The distances are close to log-normal, and a mean of n squares of such is wrong by about
    ``sqrt((exp(4 s^2) - 1) / n)`` with s the deviation of the logarithm.
    """
    logs, spread = chain["log_barycenter_rms"]["mean"], chain["log_barycenter_distance"]["std"]
    with np.errstate(over="ignore", invalid="ignore"):
        known = (np.expm1(4 * spread**2) <= 0.01 * samples) & np.isfinite(logs)
    depth = int(known.cumprod().sum())
    return (_decay(logs[:depth]), depth) if depth >= 2 else (None, None)
