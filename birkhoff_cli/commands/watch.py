"""Watch a run as it trains: the last step of a monitor's log, with its curves over depth.

The log is what `birkhoff_cli.monitor(model, to="run/hc.ndjson")` writes. At a terminal it is read
as it grows, until Ctrl-C; --once, --json, -q, a table or a pipe show the last step and end. A curve
has a letter for every site in order of depth, from the smallest of its numbers to the largest, and
· where a number is not known; on a narrow terminal a letter is the mean of several sites. Verdicts
are those of `birkhoff degeneration`.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from birkhoff_cli import matrices
from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.measured import Step, number
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SITES, STEP, D, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.sites.verdict import JUDGED, NEAR
from birkhoff_cli.analyses.statistics.composites import COMPOSITE
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular

EXAMPLES = (
    "birkhoff watch run/hc.ndjson",
    "birkhoff watch run/hc.ndjson --once",
)

PRODUCT = ("composite_row_max", "composite_column_max", "composite_spectral_norm_max")
"""Numbers of the product over all sites that are shown."""

SCHEMA = (
    column("step", "int64", "training step"),
    column("verdict", "string", "on all sites together; null if not finite", nullable=True),
    column("alarm", "string", "verdict whose alarm rang at the step", nullable=True),
    column("row_max_p50", "float64", "median of the row maxima of all sites", nullable=True),
    column("diagonal_fraction", "float64", "share with all row maxima there", nullable=True),
    *(column(name, "float64", "of the product over all sites", nullable=True) for name in PRODUCT),
)

QUANTITIES = (
    *("row_max_p50", "identity_distance", "barycenter_distance"),
    *("effective_streams", "row_error_max", "column_error_max"),
)
"""Numbers of a site that have a curve."""

SUMMARY = (
    STEP,
    D,
    SITES,
    quantity("steps_measured", "steps in the log", range=AT_LEAST_0),
    *JUDGED,
    *(q for q in COMPOSITE if q.name in PRODUCT),
    quantity(
        "curves",
        "numbers of the sites over depth",
        rows=(
            quantity("number", "which one"),
            quantity("smallest", "of all sites; null if none is finite"),
            quantity("largest", "of all sites"),
            quantity("depth", "a letter for every site"),
        ),
    ),
    quantity(
        "alarms",
        "alarms so far",
        rows=(
            quantity("alarm_step", "the step at which it rang"),
            quantity("verdict", "the verdict that stood"),
        ),
    ),
)

LETTERS = "▁▂▃▄▅▆▇█"
UNKNOWN = "·"
LABEL = 22
"""Characters of a curve's name."""

RANG = 3
"""Alarms that a terminal shows, the last of them."""


def run(
    log: Annotated[Path, "The log of a monitor."],
    *,
    once: Annotated[bool, "show the last step and end, at a terminal too"] = False,
) -> Result:
    """Show the last step, at a terminal as the log grows.

    Raises:
        BadInput: no log of a monitor, or one without a complete line.
    """
    del once  # is of `follow`
    check_regular(log)
    trace = _read(log)
    steps = trace.measured.steps
    summary = summarise(steps[-1], len(steps), _alarms(steps))
    return at_once(SCHEMA, _columns(steps), summary, assumptions=trace.meta["assumptions"])


def follow(log: Path, once: bool) -> None:
    """Show the log as it grows, at a terminal, until Ctrl-C."""
    if not once:
        from birkhoff_cli.logs import following

        following.show(log, _alarms, summarise, lines)


def _read(log: Path) -> MixingTrace:
    if log.stat().st_size == 0:
        raise BadInput(f"{where(log)}: has no complete line; wait for the first step")
    if not matrices.is_monitor_log(log):
        raise BadInput(f"{where(log)}: is no log of a monitor; give what monitor(to=...) writes")
    return matrices.read(log)


def _columns(steps: tuple[Step, ...]) -> dict[str, Any]:
    """A row for every step."""
    labels = {n: np.array([s.numbers.get(n) for s in steps], object) for n in ("verdict", "alarm")}
    means = ("row_max_p50", "diagonal_fraction")
    return {
        "step": np.array([s.step for s in steps]),
        **labels,
        **{name: np.array([number(s.numbers.get(name)) for s in steps]) for name in means},
        **{name: np.array([number(s.composite.get(name)) for s in steps]) for name in PRODUCT},
    }


def _alarms(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps at which an alarm rang, and the verdict that stood."""
    rang = ((step.step, step.numbers.get("alarm")) for step in steps)
    return [{"alarm_step": step, "verdict": word} for step, word in rang if word]


def summarise(last: Step, measured: int, alarms: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of the last step, of so many."""
    return {
        "step": last.step,
        "d": last.d,
        "sites": len(last.sites),
        "steps_measured": measured,
        "verdict": last.numbers.get("verdict"),
        "threshold": NEAR * sqrt(last.d - 1),
        **{name: last.composite.get(name) for name in PRODUCT},
        "curves": [_curve(name, _values(last, name)) for name in QUANTITIES],
        "alarms": alarms,
    }


def lines(last: Step, summary: Summary, width: int) -> Iterator[str]:
    """What a terminal of so many columns shows."""
    yield answer(summary)
    sums = (short(summary[name]) if summary[name] is not None else "-" for name in PRODUCT)
    rows, columns, norm = sums
    yield f"{'product, at most':{LABEL}} row sums {rows}, column sums {columns}, norm {norm}"
    for row in summary["curves"]:
        known = row["smallest"] is not None
        ends = f"{short(row['smallest'])} to {short(row['largest'])}" if known else "not finite"
        room = max(1, width - LABEL - 3 - len(ends))
        depth = _letters(_merged(_values(last, row["number"]), room))
        yield f"{row['number'].replace('_', ' '):{LABEL}} {depth}  {ends}"
    for row in summary["alarms"][-RANG:]:
        yield f"alarm at step {row['alarm_step']}: {row['verdict']}"


def _values(step: Step, name: str) -> Array:
    """A number of every site, NaN where it is not known."""
    return np.array([number(site.get(name)) for site in step.sites.values()])


def _merged(values: Array, room: int) -> Array:
    """At most so many values: means of as many neighbours as it takes."""
    each = -(-len(values) // room)
    parts = [values[k : k + each] for k in range(0, len(values), each)]
    return np.array([part.mean() for part in parts])


def _curve(name: str, values: Array) -> dict[str, Any]:
    """The ends of a number over depth, and its letters."""
    finite = values[np.isfinite(values)]
    ends = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    letters = _letters(values)
    return {"number": name, "smallest": ends[0], "largest": ends[1], "depth": letters}


def _letters(values: Array) -> str:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return "".join(_letter(value, low, high) for value in values)


def _letter(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return UNKNOWN
    share = (value - low) / (high - low) if high > low else 0.0
    return LETTERS[min(len(LETTERS) - 1, int(share * len(LETTERS)))]


def answer(summary: Summary) -> str:
    """Where the run is, and what its matrices are."""
    verdict = summary["verdict"] or "not finite"
    sites = count(summary["sites"], "site")
    rang = summary["alarms"]
    alarm = f"; the alarm rang at step {rang[-1]['alarm_step']}" if rang else ""
    return f"Step {summary['step']}: {verdict} over {sites} (d = {summary['d']}){alarm}."
