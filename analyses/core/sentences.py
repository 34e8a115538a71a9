"""Numbers in the sentence that answers a command's question."""

from collections.abc import Iterable, Mapping
from math import log
from types import ModuleType
from typing import Any

ASIDE = "birkhoff compare sets models side by side"
"""What to do with matrices that are no parts of one trace and no series."""

SAME = 1e-9
"""Distance from 1 that is rounding of a sum."""


def answer(summary: Mapping[str, Any], module: ModuleType) -> str:
    """The sentence that a command answers its question with; empty if it has none."""
    if "results" in summary:
        return f"{summary['cells']:,} runs are done; each has its numbers in a row below."
    if "answer" not in vars(module):
        return ""
    sentence: str = module.answer(summary)
    if (steps := summary.get("steps")) and len(steps) > 1:
        return f"At step {summary['step']:,}, the last of {len(steps)} checkpoints: {sentence}"
    return sentence


def short(value: float | None) -> str:
    """Three digits: ``0.25``, ``1.5e-7``, ``12,300``; of a number that has none, a word."""
    if value is None:
        return "unknown"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    head, e, exponent = text.partition("e")
    return f"{head}e{int(exponent)}" if e else text


def count(number: int, noun: str) -> str:
    """``1 site``, ``1,200 sites``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def capitalise(text: str) -> str:
    """Text with a capital at its beginning, the rest as it is."""
    return text[:1].upper() + text[1:]


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.3g} %"


def off_one(values: Iterable[float | None]) -> float | None:
    """The largest distance from 1 of what is known; None if nothing is."""
    return max((abs(value - 1) for value in values if value is not None), default=None)


def near_one(columns: float | None, rows: float | None) -> str:
    """How far the sums of columns and of rows stay from 1."""
    return f"column sums stay {_within(columns)}, row sums {_within(rows)}"


def _within(error: float | None) -> str:
    if error is None:
        return "unknown"
    return "1 exactly" if error == 0 else f"within {short(error)} of 1"


def halving(factor: float | None, step: str) -> str:
    """How fast streams forget their differences, from the factor at each place."""
    if factor is None:
        return "how fast streams flatten is not known"
    if factor >= 1 - SAME:
        return "streams keep their differences"
    if factor <= 0.5:
        return f"streams lose {share(1 - factor)} of their differences at every {step}"
    return f"streams forget half of their differences every {short(log(0.5) / log(factor))} {step}s"
