"""The log of `birkhoff_cli.monitor`: numbers of every site at every step, in place of matrices.

A line that is cut ends the log. Where steps go back, as after a run was taken up again, what the
log had from that step on is replaced.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.measured import Measured, Step
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.containers import escape, where
from birkhoff_cli.content import Content

LINE = re.compile(rb'\s*\{\s*"step"\s*:\s*\d+\s*,\s*"d"\s*:\s*\d+\s*,\s*"verdict"\s*:')
"""How every line begins."""

ASIDE = "composite"

NO_STEP = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a line that is none of a monitor raises."""


def is_log(head: bytes) -> bool:
    """Whether a file begins as a monitor's log."""
    return LINE.match(head) is not None


def trace(content: Content, facts: dict[str, Any]) -> MixingTrace:
    """What was measured, as a trace without matrices.

    Raises:
        BadInput: no complete line, or one that is none of a monitor.
    """
    lines = content.whole().splitlines(keepends=True)
    steps: dict[int, Step] = {}
    for number, line in enumerate(lines, 1):
        found = _step(content, number, line, last=number == len(lines))
        if found is None:
            break
        steps = {step: held for step, held in steps.items() if step < found.step}
        steps[found.step] = found
    if not steps:
        raise BadInput(f"{where(content.label)}: has no complete line; wait for the first step")
    names = _names(steps.values())
    every = tuple(s._replace(sites={n: s.sites.get(n, {}) for n in names}) for s in steps.values())
    last = every[-1]
    return MixingTrace(
        d=last.d,
        samples=1,  # whoever asks for its matrices is told that there are none
        sites=tuple(_site(k, name) for k, name in enumerate(last.sites)),
        source=where(content.label),
        reader=lambda *_: _no_matrices(content),
        meta={**facts, "format": "monitor"},
        measured=Measured(every),
    )


def _names(steps: Iterable[Step]) -> list[str]:
    """All sites in order; a step may lack some, as where layers are left out at random."""
    most = max(steps, key=lambda step: len(step.sites))
    return [*dict.fromkeys(name for step in (most, *steps) for name in step.sites)]


def _no_matrices(content: Content) -> Iterator[Any]:
    raise Unsupported(
        f"{where(content.label)}: holds what a monitor measured, and no matrices; give it to "
        f"birkhoff degeneration, watch or plot, or record the run"
    )


def step_of(line: bytes) -> Step:
    """The numbers of a complete line; raises one of `NO_STEP` of what is none."""
    held = json.loads(line)
    sites = {n: v for n, v in held.items() if isinstance(v, dict) and n != ASIDE}
    own = {n: v for n, v in held.items() if not isinstance(v, dict)}
    return Step(int(held["step"]), int(held["d"]), own, sites, dict(held.get(ASIDE) or {}))


def _step(content: Content, number: int, line: bytes, last: bool) -> Step | None:
    """The numbers of a line; None of one that is still being written."""
    try:
        return step_of(line)
    except NO_STEP:
        if last and not line.endswith(b"\n"):
            return None
        raise BadInput(
            f"{where(content.label)}: line {number:,} is none of a monitor; give the log as it "
            f"was written"
        ) from None


def _site(order: int, name: str) -> Site:
    """The place that a name says: ``layers.3.attn``."""
    parts = name.split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit()]
    return Site(numbers[0] if numbers else order, escape(parts[-1], 40), escape(name, 200))
