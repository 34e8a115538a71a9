"""The log of `birkhoff_cli.monitor`: numbers of every site at every step, in place of matrices.

A last line that is cut is left out. Where steps go back, as after a run was taken up again, what
the log had from that step on is replaced. Both are said.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import Any

from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported
from birkhoff_cli.analyses.core.measured import Measured, Step
from birkhoff_cli.analyses.core.trace import MixingTrace, Site
from birkhoff_cli.analyses.sites.verdict import WORDS
from birkhoff_cli.containers import escape, where
from birkhoff_cli.content import COPIES, Content
from birkhoff_cli.tables._doubts import gap

LINE = re.compile(rb'\s*\{\s*"step"\s*:\s*\d+\s*,\s*"d"\s*:\s*\d+\s*,\s*"verdict"\s*:')
"""How every line begins."""

ASIDE = "composite"

NO_STEP = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a line that is none of a monitor raises."""

NUMBERS = {int, float, type(None)}
"""Types of a number, which may not be known."""

FLAGS = ("finite", "finished")
"""False where a number of the step is not finite, and where the run ended in the step."""

MAX_LINE = 64 << 20
"""Bytes of a line: a million sites."""

MAX_DIGITS = 30
"""Of a whole number, which is a number of a float64 then."""

MAX_CELLS = 1 << 20
"""Numbers of steps times sites that any log may have; a larger log one for each of its bytes."""

MAX_STEP, MAX_D = 1 << 62, 1 << 20
CUT = "the last line of the log is cut, and is left out"


def is_log(head: bytes) -> bool:
    """Whether a file begins as a monitor's log."""
    return LINE.match(head) is not None


def trace(content: Content, facts: dict[str, Any]) -> MixingTrace:
    """What was measured, as a trace without matrices.

    Raises:
        BadInput: no complete line, or one that is none of a monitor.
        TooLarge: far more sites in all than in any of many steps.
    """
    steps, assumptions = _steps(content)
    if not steps:
        raise BadInput(f"{where(content.label)}: has no complete line; wait for the first step")
    names = _names(steps)
    if not names:
        raise BadInput(f"{where(content.label)}: has no site in any line; did the model run?")
    if len(names) * len(steps) > max(MAX_CELLS, content.size):
        raise TooLarge(
            f"{where(content.label)}: names {len(names):,} sites in {len(steps):,} steps, and most "
            f"steps lack most of them; give the log of one run"
        )
    sites = tuple(_site(k, name) for k, name in enumerate(names))
    assumptions += gap([site.layer for site in sites], "is of layer")
    unknown: Mapping[str, Any] = {}
    every = tuple(s._replace(sites={n: s.sites.get(n, unknown) for n in names}) for s in steps)
    return MixingTrace(
        d=steps[-1].d,
        samples=1,  # whoever asks for its matrices is told that there are none
        sites=sites,
        source=where(content.label),
        reader=lambda *_: _no_matrices(content),
        meta={**facts, "format": "monitor", "assumptions": assumptions},
        measured=Measured(every),
    )


def _steps(content: Content) -> tuple[list[Step], list[str]]:
    """The steps that hold, rising, and what is to be said of lines that are left out."""
    content.require_room(COPIES * content.size)
    steps: list[Step] = []
    replaced, first, cut = 0, "", False
    for number, line in enumerate(_lines(content), 1):
        step = _step(content, number, line)
        if cut := step is None:
            break
        first = first or (f"step {step.step:,} in line {number:,}" if _again(steps, step) else "")
        while _again(steps, step):
            steps.pop()
            replaced += 1
        if steps and steps[-1].d != step.d:
            raise BadInput(
                f"{where(content.label)}: line {number:,} is of {step.d} streams and the line "
                f"before of {steps[-1].d}; give the log of one run"
            )
        steps.append(step)
    notes = [CUT] if cut else []
    if replaced:
        notes.insert(
            0,
            f"the log goes back, at first to {first}, as of a run that was taken up again: the "
            f"lines before it from that step on are left out ({replaced:,} in all)",
        )
    return steps, notes


def _lines(content: Content) -> Iterator[bytes]:
    """One after another: what is made of them takes less than their text."""
    with content.open() as file:
        while line := file.readline(MAX_LINE):
            yield line


def _again(steps: list[Step], step: Step) -> bool:
    """Whether the last step is not before this one."""
    return bool(steps) and steps[-1].step >= step.step


def _names(steps: Sequence[Step]) -> list[str]:
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
    entries = json.loads(line, object_pairs_hook=_unique, parse_int=_integer)
    step, d = entries["step"], entries["d"]
    if not (type(step) is int and 0 <= step < MAX_STEP and type(d) is int and 0 < d < MAX_D):
        raise ValueError("a step")
    own = {n: v for n, v in entries.items() if not isinstance(v, dict)}
    sites = {n: v for n, v in entries.items() if isinstance(v, dict) and n != ASIDE}
    composite = entries.get(ASIDE) or {}
    for word in (own.pop("verdict", None), own.pop("alarm", None)):
        if word is not None and word not in WORDS:
            raise ValueError("a verdict")
    for numbers in (own, composite, *sites.values()):
        if not NUMBERS.issuperset(map(type, numbers.values())):
            _check_flags(numbers)
    labels = {n: entries[n] for n in ("verdict", "alarm") if n in entries}
    return Step(step, d, own | labels, sites, composite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; raises ValueError where it has a key twice, of which one would be taken.

    A log has the same keys in every line, which are kept once.
    """
    entries = {intern(key): value for key, value in pairs}
    if len(entries) < len(pairs):
        raise ValueError("a key twice")
    return entries


def _integer(text: str) -> int:
    """A whole number; raises ValueError of one beyond any that a monitor writes."""
    if len(text) > MAX_DIGITS:
        raise ValueError("a long number")
    return int(text)


def _check_flags(numbers: Mapping[str, Any]) -> None:
    """Raises ValueError where something is no number, and none of `FLAGS`."""
    if any(type(v) not in NUMBERS for name, v in numbers.items() if name not in FLAGS):
        raise ValueError("a number")


def _step(content: Content, number: int, line: bytes) -> Step | None:
    """The numbers of a line; None of one that is still being written."""
    try:
        return step_of(line)
    except NO_STEP:
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            return None
        raise BadInput(
            f"{where(content.label)}: {not_a_step(number)}; give the log as it was written"
        ) from None


def not_a_step(number: int) -> str:
    """What is said of a line, by its number, that holds no step."""
    return f"line {number:,} is none of a monitor"


def _site(order: int, name: str) -> Site:
    """The place that a name says: ``layers.3.attn``."""
    parts = name.split(".")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit()]
    return Site(numbers[0] if numbers else order, escape(parts[-1], 40), escape(name, 200))
