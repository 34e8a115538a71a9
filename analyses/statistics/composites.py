"""Headline numbers of the product of all matrices over depth, and the verdict on them."""

import numpy as np

from birkhoff_cli.analyses.core.quantities import quantity
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.sentences import off_one
from birkhoff_cli.analyses.statistics.drift import CONSERVED, METRICS, Chain, judge_drift

COMPOSITE = (
    *(
        quantity(
            f"composite_{side}_{end}", f"{word} {side} sum of the composite", good="1", unity=True
        )
        for side in ("column", "row")
        for end, word in (("min", "smallest"), ("max", "largest"))
    ),
    quantity(
        "composite_spectral_norm_max",
        "largest singular value of the composite",
        good="1 or less",
        unity=True,
    ),
    quantity(
        "composite_spectral_radius_max",
        "largest modulus of an eigenvalue of the composite",
        good="1 or less",
        unity=True,
    ),
    quantity(
        "site_spectral_radius_max",
        "largest modulus of an eigenvalue of a single matrix",
        good="1 or less",
        unity=True,
    ),
    quantity(
        "amax_forward_max",
        "Amax gain forward: largest absolute row sum of the composite",
        good="1 or less",
        unity=True,
    ),
    quantity(
        "amax_backward_max",
        "Amax gain backward: largest absolute column sum of the composite",
        good="1 or less",
        unity=True,
    ),
)
"""What `summarise_composite` gives."""

COLUMN_SUMS = ("composite_column_min", "composite_column_max")
ROW_SUMS = ("composite_row_min", "composite_row_max")
GAINS = ("amax_forward_max", "amax_backward_max")


def summarise_composite(single: dict[str, Chain], chain: dict[str, Chain]) -> Summary:
    """Extremes of the product of all sites, and of the radius of a single matrix.

    Args:
        single: statistics of the matrices by metric, a number per site.
        chain: the same of the products from the first site to each.
    """
    last = {m: {k: _known(v[-1]) for k, v in chain[m].items()} for m in METRICS}
    return {
        "composite_column_min": last["column_sum"]["min"],
        "composite_column_max": last["column_sum"]["max"],
        "composite_row_min": last["row_sum"]["min"],
        "composite_row_max": last["row_sum"]["max"],
        "composite_spectral_norm_max": last["spectral_norm"]["max"],
        "composite_spectral_radius_max": last["spectral_radius"]["max"],
        "site_spectral_radius_max": _known(np.fmax.reduce(single["spectral_radius"]["max"])),
        "amax_forward_max": last["amax_forward"]["max"],
        "amax_backward_max": last["amax_backward"]["max"],
    }


def judge_composite(composite: Summary) -> Summary:
    """Whether sums and gains of the product stay at 1, and the distance up to which they do."""
    off = off_one(composite[key] for key in (*COLUMN_SUMS, *ROW_SUMS, *GAINS))
    return {"verdict": judge_drift(off), "threshold": CONSERVED}


def _known(value: float) -> float | None:
    """None for NaN, which is what rounding has hidden."""
    return None if np.isnan(value) else float(value)
