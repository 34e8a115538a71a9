"""How a model of several sites mixes and drifts over depth, and how its entries are distributed."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.quantities import Quantity, by_name, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import site_columns
from birkhoff_cli.analyses.sites import step
from birkhoff_cli.analyses.statistics.distributions import STATISTICS
from birkhoff_cli.analyses.statistics.drift import DECAYS, METRICS, Drift, Spans, decays
from birkhoff_cli.analyses.statistics.entries import (
    BINS,
    LIMIT,
    EntriesOverDepth,
    negative_fraction,
    require_entries,
)
from birkhoff_cli.analyses.statistics.extremes import COLUMN_ERROR, ENTRY_MIN, ROW_ERROR

SIDE_BY_SIDE = ("row_sum", "column_sum", "spectral_norm")
"""Metrics of `birkhoff depth-drift` that stand side by side."""

ENDS = {
    "composite_column_min": ("column_sum", "min"),
    "composite_column_max": ("column_sum", "max"),
    "composite_row_min": ("row_sum", "min"),
    "composite_row_max": ("row_sum", "max"),
    "composite_spectral_norm_max": ("spectral_norm", "max"),
}
"""Numbers of the product over all sites."""

MIXING = ("row_max_p10", "row_max_p50", "row_max_p90", "diagonal_fraction", "identity_distance")
"""Numbers of `birkhoff degeneration` that stand side by side, at every training step too."""

MEANS = 3
"""Sites whose mean matrix is kept: the first, one halfway, the last."""

MATRICES_AT_ONCE = 16_384
"""4 x 4 matrices in one step, so that it stays in cache; fewer of larger ones."""


def mixing_quantities() -> tuple[Quantity, ...]:
    """Declarations of what `mixing_of` gives."""
    known = by_name(step.QUANTITIES)
    verdict = quantity("mixing", "the verdict of `birkhoff degeneration` on all matrices")
    return (verdict, *(known[name] for name in MIXING))


def mixing_of(summary: Summary) -> dict[str, Any]:
    """Of the numbers of all sites together those that stand side by side."""
    return {"mixing": summary["verdict"], **{name: summary[name] for name in MIXING}}


QUANTITIES = (
    *mixing_quantities(),
    COLUMN_ERROR,
    ROW_ERROR,
    ENTRY_MIN,
    quantity("negative_fraction", "share of entries of single matrices below 0", range=(0, 1)),
    *(
        quantity(name, f"{'smallest' if end == 'min' else 'largest'} {metric.replace('_', ' ')}"
                 " of the product over all sites", good="1", unity=True)
        for name, (metric, end) in ENDS.items()
    ),
    DECAYS[0],
)  # fmt: skip


class _State(Statistics):
    def __init__(self, source: Source, mixing: Any) -> None:
        sites = len(source.sites)
        self.mixing = mixing
        self.drift = Drift(2 * sites, source.samples, source.d)
        self.entries = EntriesOverDepth(sites, source.d)


class Depth(Fold[_State, Array]):
    """Every matrix once, with the products from the first site on."""

    def __init__(self, source: Source) -> None:
        """Hold that there is room for the statistics of every site.

        Raises:
            TooLarge: there is not.
        """
        self.source, self.step = source, step.Step(source)
        self.spans = Spans(len(source.sites), False)
        self.precision = float(np.finfo(np.result_type(source.dtype, np.float16)).eps)
        self.at_once = max(1, MATRICES_AT_ONCE * 16 // source.d**2)
        require_entries(len(source.sites), source.d)

    def start(self) -> _State:
        """No matrices."""
        return _State(self.source, self.step.start())

    def add(self, state: _State, number: int, block: Array) -> Columns:
        """Measure matrices ``(samples, sites, d, d)``."""
        self.step.add(state.mixing, number, block)
        for row, numbers in self.spans.measure([block], self.at_once, self.precision):
            state.drift.add(number, row, numbers)
        state.entries.add(number, block, self.source.title)
        return {}

    def finish(self, state: _State) -> tuple[Iterable[Columns], Summary]:
        """Rows of the panels, and the numbers of the model."""
        (sites,), together = self.step.finish(state.mixing)
        drift = state.drift.columns()
        single, composite = state.entries.single.columns(), state.entries.composite.columns()
        rows = [
            *self._over_depth(drift, sites),
            *_histograms(single["histogram"].sum(0), composite["histogram"][0]),
            *self._means(single["mean"], composite["mean"][0]),
        ]
        return rows, {
            **mixing_of(together),
            **self._drift(drift),
            "entry_min": float(single["entry_min"].min()),
            "negative_fraction": negative_fraction(single["histogram"]),
        }

    def _over_depth(self, drift: dict[str, Array], sites: Columns) -> Iterator[Columns]:
        """Statistics of every site and of every product, for each metric."""
        _, last = self.spans.ends
        at = {k: v[last] for k, v in site_columns(self.source.sites).items()}
        kind = np.where(self.spans.composite, "composite", "site")
        for metric in SIDE_BY_SIDE:
            column = [*METRICS].index(metric)
            values = {k: v[:, column] for k, v in drift.items() if k in STATISTICS}
            yield {"panel": "depth", "kind": kind, **at, "metric": metric, **values}
        bands = {name.removeprefix("row_max_"): sites[name] for name in step.BANDS}
        where = site_columns(self.source.sites)
        yield {"panel": "depth", "kind": "site", **where, "metric": "row_max", **bands}

    def _means(self, single: Array, composite: Array) -> Iterator[Columns]:
        """Entries of the mean matrices of a few sites and of the composite."""
        at = np.arange(self.source.d)
        where = {"panel": "mean", "row": at[:, None], "column": at}
        sites = site_columns(self.source.sites)
        for k in sorted({*np.linspace(0, len(single) - 1, MEANS).round().astype(int).tolist()}):
            own = {name: values[k] for name, values in sites.items()}
            yield {**where, "kind": "site", **own, "value": single[k]}
        yield {**where, "kind": "composite", "value": composite}

    def _drift(self, columns: dict[str, Array]) -> Summary:
        product = self.spans.composite
        metric = {name: k for k, name in enumerate(METRICS)}
        errors = {
            f"{side}_error_max": max(
                float(np.abs(columns[end][~product, metric[f"{side}_sum"]] - 1).max())
                for end in ("min", "max")
            )
            for side in ("column", "row")
        }
        last = {name: columns[end][-1, metric[of]] for name, (of, end) in ENDS.items()}
        chain = {
            name: {k: v[product, column] for k, v in columns.items()}
            for name, column in metric.items()
        }
        decay = decays(chain, self.source.samples)["typical_decay"]
        known = {name: None if np.isnan(v) else float(v) for name, v in last.items()}
        return {**errors, **known, "typical_decay": decay}


def _histograms(sites: Array, composite: Array) -> Iterator[Columns]:
    """The share of entries in every bin that holds any."""
    for kind, counts in (("site", sites), ("composite", composite)):
        (used,) = np.nonzero(counts)
        edges = used * (2 * LIMIT / BINS) - LIMIT
        share = counts[used] / counts.sum()
        yield {"panel": "entries", "kind": kind, "entry": edges, "value": share}
