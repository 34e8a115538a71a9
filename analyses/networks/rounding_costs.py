"""What rounding changes: distances, sums, composites and losses over samples, and their summary."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from birkhoff_cli.analyses.balancing.changes import composite
from birkhoff_cli.analyses.balancing.stage import sum_error
from birkhoff_cli.analyses.balancing.tally import Key, Numbers, Tally, Values
from birkhoff_cli.analyses.core.fold import Fold, Statistics
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SHARE, quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import MixingTrace, site_columns
from birkhoff_cli.analyses.networks.rounded import Scales
from birkhoff_cli.analyses.networks.rounded_source import Version
from birkhoff_cli.analyses.statistics.distributions import largest_error
from birkhoff_cli.analyses.statistics.extremes import SUM_ERRORS

NONE = "none"
"""What is rounded, and how, of the matrices as they are."""

ERRORS = ("row_error", "column_error")
CHANGES = ("distance", "entry_change")

ROW = (
    quantity("what", "what is rounded"),
    quantity("format", "how it is held"),
    quantity("distance_mean", "mean distance of a matrix", range=AT_LEAST_0, good="0"),
    quantity("distance_max", "largest distance of a matrix", range=AT_LEAST_0, good="0"),
    quantity("entry_change_max", "largest change of an entry", range=AT_LEAST_0, good="0"),
    *SUM_ERRORS,
    *(
        quantity(f"composite_{name}_max", f"{about} of the composite", range=AT_LEAST_0, good="0")
        for name, about in (
            ("distance", "largest distance"),
            ("row_error", "largest |row sum - 1|"),
            ("column_error", "largest |column sum - 1|"),
        )
    ),
    quantity("composite_spectral_norm_max", "largest singular value of the composite"),
    quantity("loss", "mean cross entropy of the next token", unit="nat"),
    quantity("loss_change", "loss less that without rounding", unit="nat", good="near 0"),
    quantity("accuracy", "share of next tokens that were likeliest", range=SHARE),
    quantity("retention", "accuracy over that without rounding", good="near 1"),
)
"""What the summary says of one rounding; the last four with tokens."""


class Tallies(Statistics):
    """Of the sites, of the composite, and of the tokens that have a next one."""

    def __init__(self, trace: MixingTrace) -> None:
        sequences = 0 if trace.run is None else len(trace.run.tokens)
        self.sites, self.composite = Tally(trace.samples), Tally(trace.samples)
        self.tokens = Tally(trace.samples - sequences)


class RoundingCosts(Fold[Tallies, list[Version]]):
    """Everything that is measured, over samples."""

    def __init__(self, trace: MixingTrace, scales: Scales) -> None:
        self.trace, self.scales = trace, scales

    def start(self) -> Tallies:
        """No samples."""
        return Tallies(self.trace)

    def add(self, state: Tallies, number: int, block: list[Version]) -> Columns:
        """Compare every version of a block with its first."""
        first = block[0].matrices
        product = composite(first)[:, None]
        sites: Values = {}
        products: Values = {}
        losses: Values = {}
        for version in block:
            whole = composite(version.matrices)[:, None]
            sites |= _compare(version, version.matrices, first)
            products |= _compare(version, whole, product)
            norm = np.linalg.norm(whole, 2, axis=(-2, -1))
            products[_key(version, "spectral_norm")] = norm
            if version.run is not None:
                losses[_key(version, "loss")] = version.run.losses[:, None]
                losses[_key(version, "right")] = version.run.right[:, None]
        state.sites.add(number, sites)
        state.composite.add(number, products)
        if losses:
            state.tokens.add(number, losses)
        return {}

    def finish(self, state: Tallies) -> tuple[Iterable[Columns], Summary]:
        """Rows of the sites, of the composite, and of losses."""
        where = site_columns(self.trace.sites)
        sites, products = state.sites.statistics(), state.composite.statistics()
        losses = state.tokens.statistics() if state.tokens.keys else {}
        nowhere = dict.fromkeys(where)
        rows = [
            {"what": key.part, "format": key.name, "metric": key.metric, **columns, **numbers}
            for statistics, columns in (
                (sites, where),
                ({_composite(k): v for k, v in products.items()}, nowhere),
                (losses, nowhere),
            )
            for key, numbers in statistics.items()
        ]
        error = largest_error(
            state.sites.distributions, state.composite.distributions, state.tokens.distributions
        )
        summary = _summary(self.trace, self.scales, sites, products, losses)
        return rows, {**summary, "quantile_error": error}


def _composite(key: Key) -> Key:
    return key._replace(metric=f"composite_{key.metric}")


def _key(version: Version, metric: str) -> Key:
    rounding = version.rounding
    part, name = (NONE, NONE) if rounding is None else (rounding.what, rounding.format)
    return Key(part, name, None, metric)


def _compare(version: Version, new: Any, old: Any) -> Values:
    """Of matrices ``(n, places, d, d)``; what is not rounded has no distance to itself."""
    numbers = {_key(version, "row_error"): sum_error(new, -1)}
    numbers[_key(version, "column_error")] = sum_error(new, -2)
    if version.rounding is not None:
        numbers[_key(version, "distance")] = np.linalg.norm(new - old, axis=(-2, -1))
        numbers[_key(version, "entry_change")] = np.abs(new - old).max((-2, -1))
    return numbers


def _summary(
    trace: MixingTrace, scales: Scales, sites: Numbers, products: Numbers, losses: Numbers
) -> Summary:
    first = Key(NONE, NONE, None, "")
    usual = _means(losses, first)
    return {
        "method": trace.method_name,
        "d": trace.d,
        "sites": len(trace.sites),
        "samples": trace.samples,
        "scales": scales,
        **{f"{m}_max": _largest(sites, first, m) for m in ERRORS},
        **usual,
        "roundings": [
            {"what": key.part, "format": key.name}
            | {"distance_mean": float(sites[key]["mean"].mean())}
            | {f"{m}_max": _largest(sites, key, m) for m in (*CHANGES, *ERRORS)}
            | {
                f"composite_{m}_max": _largest(products, key, m)
                for m in ("distance", *ERRORS, "spectral_norm")
            }
            | _of_losses(_means(losses, key), usual)
            for key in sites
            if key.metric == "distance"
        ],
    }


def _largest(numbers: Numbers, key: Key, metric: str) -> float:
    return float(numbers[key._replace(metric=metric)]["max"].max())


def _means(losses: Numbers, key: Key) -> Summary:
    names = {"loss": "loss", "accuracy": "right"} if losses else {}
    return {
        name: float(losses[key._replace(metric=metric)]["mean"][0])
        for name, metric in names.items()
    }


def _of_losses(own: Summary, usual: Summary) -> dict[str, Any]:
    if not own:
        return {}
    kept = usual["accuracy"]
    return {
        "loss": own["loss"],
        "loss_change": own["loss"] - usual["loss"],
        "accuracy": own["accuracy"],
        "retention": own["accuracy"] / kept if kept else None,
    }
