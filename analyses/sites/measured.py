"""Degeneration from what a monitor measured: the rows and the summary that a log gives."""

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.measured import Step, number
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.series import over_steps
from birkhoff_cli.analyses.core.table import Columns, Schema, column
from birkhoff_cli.analyses.core.trace import MixingTrace, site_columns
from birkhoff_cli.analyses.sites import nearest
from birkhoff_cli.analyses.sites.verdict import NEAR, judge

TOGETHER = ("row_max_p10", "row_max_p50", "row_max_p90", "diagonal_fraction")
ALARM = column("alarm", "string", "verdict whose alarm rang at the step", nullable=True)
JUDGED = ("identity_distance", "permutation_distance", "barycenter_distance", "negative_mass")


def degeneration(trace: MixingTrace, schema: Schema, meta: dict[str, Any]) -> Result:
    """A row for every step and site, with the columns that the log has; null if not measured."""
    steps = trace.measured.steps
    known = {"step", "site", "layer", "branch", "verdict"}
    known.update(*(numbers for step in steps for numbers in step.sites.values()))
    known |= {f"step_{name}" for name in TOGETHER}
    own = tuple(c._replace(nullable=True) if c.dtype == "float64" else c for c in schema)
    own = (*(c for c in own if c.name in known), ALARM)
    return Result(
        schema=own,
        steps=_rows(trace, own),
        summarise=lambda: _summary(trace),
        total=len(steps),
        meta=meta,
    )


def _rows(trace: MixingTrace, schema: Schema) -> Iterator[Columns]:
    for step in trace.measured.steps:
        sites = {c.name: _of_sites(step, c.name) for c in schema if c.dtype == "float64"}
        together = {f"step_{name}": number(step.numbers.get(name)) for name in TOGETHER}
        rows = {"step": step.step, **site_columns(trace.sites), **sites, **together}
        alarm = np.array([step.numbers.get("alarm")], object)
        yield {**rows, "verdict": verdicts(step), ALARM.name: alarm}


def _of_sites(step: Step, name: str) -> Any:
    return np.array([number(site.get(name)) for site in step.sites.values()])


def _mean(step: Step, name: str) -> float:
    """Over all sites that the step met; NaN if one of these is not finite."""
    met = np.array([number(site.get(name)) for site in step.sites.values() if site])
    return float(met.mean()) if len(met) else float("nan")


def verdicts(step: Step) -> Any:
    """The verdict on every site; None where its numbers are not finite."""
    numbers = {name: _of_sites(step, name) for name in JUDGED}
    labels = judge(numbers, step.d)
    labels[np.isnan(numbers["identity_distance"])] = None
    return labels


def _summary(trace: MixingTrace) -> dict[str, Any]:
    steps = [_headline(step) for step in trace.measured.steps]
    return over_steps(steps)


def _headline(step: Step) -> dict[str, Any]:
    """The numbers of all sites of one step; a null one is not known."""
    labels = verdicts(step).tolist()
    means = {name: _mean(step, name) for name in (*JUDGED, "effective_streams")}
    numbers = {name: number(step.numbers.get(name)) for name in TOGETHER} | means
    return {
        "step": step.step,
        "d": step.d,
        "sites": len(step.sites),
        **{name: None if np.isnan(value) else value for name, value in numbers.items()},
        "verdict": step.numbers.get("verdict"),
        "threshold": NEAR * sqrt(step.d - 1),
        nearest.DOMINANT.name: [],
        "verdicts": [
            {"verdict": word, "sites": labels.count(word)} for word in dict.fromkeys(labels) if word
        ],
    }
