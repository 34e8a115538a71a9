"""Whether mass drifts and depth flattens the streams, in words, from the headline numbers."""

from collections.abc import Iterator

from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.sentences import (
    capitalise,
    count,
    halving,
    near_one,
    off_one,
    share,
    short,
)
from birkhoff_cli.analyses.statistics.composites import COLUMN_SUMS, GAINS, ROW_SUMS

ROUNDING = 1e-5
"""Distances to 1 below this are the rounding of float32 over many layers."""

FLAT = 0.01
"""Share of the streams' differences left by all sites, below which depth flattens them."""


def describe_sums(summary: Summary) -> str:
    """How far the sums of the product of all sites are from 1; some sites before may be farther."""
    columns, rows = (off_one(summary[key] for key in keys) for keys in (COLUMN_SUMS, ROW_SUMS))
    return f"{near_one(columns, rows)}, after {count(summary['sites'], 'site')}"


def describe_gains(summary: Summary) -> str:
    """Whether anything is amplified."""
    gain = max((summary[key] for key in GAINS if summary[key] is not None), default=None)
    if gain is None:
        return "gains are not known"
    return "no gain above 1" if gain <= 1 + ROUNDING else f"gains up to {short(gain)}"


def decay_per_site(summary: Summary) -> float | None:
    """The factor per site: typical, but for products that stopped falling at their rounding."""
    typical: float | None = summary["typical_decay"]
    left: float | None = summary["differences_left"]
    if typical is None or left is None or typical < 1:
        return typical
    whole: float = left ** (1 / summary["sites"])
    return min(typical, whole)


def drift_questions(summary: Summary) -> Iterator[Question]:
    """Whether mass drifts, and whether streams flatten."""
    verdict = summary["verdict"]
    yield Question(
        "Does mass drift over depth?",
        f"{capitalise(describe_sums(summary))}; {describe_gains(summary)}.",
        verdict,
        None if verdict is None else verdict == "conserved",
        f"conserved if no sum of the product is off 1, and no gain above it, by more than "
        f"{short(summary['threshold'])}",
    )
    left = None if verdict == "drifts" else summary["differences_left"]
    yield Question(
        "Does depth flatten the streams?",
        f"{capitalise(_flatness(summary, left))}.",
        None if left is None else "flattens" if left < FLAT else "keeps differences",
        None if left is None else left >= FLAT,
        f"flattens if less than {share(FLAT)} of the differences are left after all sites",
    )


def _flatness(summary: Summary, left: float | None) -> str:
    if left is None:
        return "the distance to J/d does not tell, as sums leave 1 or it is not known"
    return f"{halving(decay_per_site(summary), 'site')}; all sites leave {share(left)} of these"
