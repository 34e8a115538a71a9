"""Watch a run as it trains: the last step of a monitor's log, with its curves over depth.

The log is what `birkhoff_cli.monitor(model, to="run/hc.ndjson")` writes. At a terminal it is read
again as it grows, until Ctrl-C; --once, --json, -q or a pipe print the last step and end. A curve
has a letter for every site in order of depth, from the smallest of its numbers to the largest, and
· where a number is not finite. Verdicts are those of `birkhoff degeneration`.
"""

import sys
import time
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from birkhoff_cli import matrices
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.measured import Step, number
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, SITES, STEP, D, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count, short
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.sites.verdict import NEAR
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

SHOWN = (
    *("row_max_p50", "identity_distance", "barycenter_distance"),
    *("effective_streams", "row_error_max", "column_error_max"),
)
"""Numbers of a site that have a curve."""

SUMMARY = (
    STEP,
    D,
    SITES,
    quantity("steps_measured", "steps in the log", range=AT_LEAST_0),
    quantity("verdict", "what the matrices of all sites are; null if not finite", good="mixing"),
    quantity("threshold", "distance up to which matrices are at I, a permutation, or J/d"),
    quantity("composite_row_max", "largest row sum of the product over all sites", good="near 1"),
    quantity("composite_column_max", "largest column sum of it", good="near 1"),
    quantity("composite_spectral_norm_max", "its largest spectral norm", good="near 1"),
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
SECONDS = 1.0
"""Between two looks at a log that grows."""


def run(
    log: Annotated[Path, "The log of a monitor."],
    *,
    once: Annotated[bool, "print the last step and end, at a terminal too"] = False,
) -> Result:
    """Show the last step, at a terminal again and again.

    Raises:
        BadInput: no log of a monitor, or one without a complete line.
    """
    check_regular(log)
    if not once and sys.stdout is not None and sys.stdout.isatty() and not _is_asked_once():
        _follow(log)
    steps = _steps(log)
    return at_once(SCHEMA, _columns(steps), _summary(steps))


def _is_asked_once() -> bool:
    """Whether the output is for a program, or for nobody."""
    asked = ("--json", "-q", "--quiet", "--output", "--table")
    return any(word.partition("=")[0] in asked or word[:2] == "-o" for word in sys.argv)


def _steps(log: Path) -> tuple[Step, ...]:
    if not matrices.is_monitor_log(log):
        raise BadInput(f"{where(log)}: is no log of a monitor; give what monitor(to=...) writes")
    steps: tuple[Step, ...] = matrices.read(log).measured.steps
    return steps


def _columns(steps: tuple[Step, ...]) -> dict[str, Any]:
    """A row for every step."""
    words = {n: np.array([s.numbers.get(n) for s in steps], object) for n in ("verdict", "alarm")}
    means = ("row_max_p50", "diagonal_fraction")
    return {
        "step": np.array([s.step for s in steps]),
        **words,
        **{name: np.array([number(s.numbers.get(name)) for s in steps]) for name in means},
        **{name: np.array([number(s.composite.get(name)) for s in steps]) for name in PRODUCT},
    }


def _follow(log: Path) -> None:
    """Show the log whenever it has grown, until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    size = -1
    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        try:
            while True:
                if (now := log.stat().st_size) != size:
                    size = now
                    live.update(Text("\n".join(_lines(_summary(_steps(log))))), refresh=True)
                time.sleep(SECONDS)
        except KeyboardInterrupt:
            return


def _lines(summary: Summary) -> Iterator[str]:
    """What a terminal shows."""
    yield answer(summary)
    for row in summary["curves"]:
        known = row["smallest"] is not None
        ends = f"{short(row['smallest'])} to {short(row['largest'])}" if known else "not finite"
        yield f"{row['number'].replace('_', ' '):22} {row['depth']}  {ends}"
    for row in summary["alarms"]:
        yield f"alarm at step {row['alarm_step']}: {row['verdict']}"


def _summary(steps: tuple[Step, ...]) -> dict[str, Any]:
    last = steps[-1]
    known = {q.name for q in SUMMARY}
    return {
        "step": last.step,
        "d": last.d,
        "sites": len(last.sites),
        "steps_measured": len(steps),
        "verdict": last.numbers.get("verdict"),
        "threshold": NEAR * sqrt(last.d - 1),
        **{name: value for name, value in last.composite.items() if name in known},
        "curves": [_curve(last, name) for name in SHOWN],
        "alarms": [
            {"alarm_step": s.step, "verdict": s.numbers["alarm"]}
            for s in steps
            if s.numbers.get("alarm")
        ],
    }


def _curve(step: Step, name: str) -> dict[str, Any]:
    """The ends of a number over depth, and its letters."""
    given = [site.get(name) for site in step.sites.values()]
    values = np.array([np.nan if value is None else value for value in given], float)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return {
        "number": name,
        "smallest": float(low) if len(finite) else None,
        "largest": float(high) if len(finite) else None,
        "depth": "".join(_letter(value, low, high) for value in values),
    }


def _letter(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "·"
    share = (value - low) / (high - low) if high > low else 0.0
    return LETTERS[min(len(LETTERS) - 1, int(share * len(LETTERS)))]


def answer(summary: Summary) -> str:
    """Where the run is, and what its matrices are."""
    verdict = summary["verdict"] or "not finite"
    sites = count(summary["sites"], "site")
    rang = summary["alarms"]
    alarm = f"; the alarm rang at step {rang[-1]['alarm_step']}" if rang else ""
    return f"Step {summary['step']}: {verdict} over {sites} (d = {summary['d']}){alarm}."
