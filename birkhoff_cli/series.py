"""Several checkpoints of one run: a series over training steps.

Most analyses look at one model. Given a series, they run once for every step, and their tables
stand one below the other with a column ``step`` in front.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os.path import lexists
from pathlib import Path
from typing import Any, TypeVar

from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.containers.kinds import MAX_ENTRIES, is_checkpoint, is_folder

STEP = column("step", "int64", "training step of the checkpoint; else its place in the series")
MARKS = ("config.json", "latest_checkpointed_iteration.txt", ".metadata", "refs")
"""What makes a directory one checkpoint."""

Item = TypeVar("Item")


def members(given: Sequence[Path]) -> list[Path]:
    """Every checkpoint that was named, those of a directory that holds a series one by one.

    What cannot be reached stays as it is: whoever reads it says what is wrong.
    """
    return [member for path in given for member in _in(path)]


def _in(path: Path) -> list[Path]:
    try:
        whole = not is_folder(path) or any(lexists(path / mark) for mark in MARKS)
    except BadInput:
        whole = True
    if whole:
        return [path]
    entries = sorted(path.iterdir())[: MAX_ENTRIES + 1]
    found = [entry for entry in entries if entry.is_file() and is_checkpoint(entry)]
    whole = any(entry.name.endswith(".index.json") for entry in entries)
    return found if len(found) > 1 and len(entries) <= MAX_ENTRIES and not whole else [path]


def ordered(items: Sequence[Item], paths: Sequence[Path]) -> list[tuple[int, Item]]:
    """Items by training step: as stored, else as the last number of their names, else as given."""
    stored = [getattr(item, "step", None) for item in items]
    named = [_last_number(path.stem) for path in paths]
    for steps in (stored, named):
        if len(set(steps)) == len(items) and None not in steps:
            pairs = zip(steps, items, strict=True)
            return sorted(((s, i) for s, i in pairs if s is not None), key=lambda pair: pair[0])
    return list(enumerate(items))


def _last_number(word: str) -> int | None:
    found = re.findall("[0-9]{1,15}", word)
    return int(found[-1]) if found else None


def stacked(results: Sequence[tuple[int, Result]]) -> Result:
    """The tables of all steps as one.

    Raises:
        UsageError: tables that differ, as of models with different numbers of streams.
    """
    schema = results[0][1].schema
    if any(result.schema != schema for _, result in results):
        raise UsageError("these models differ in their streams; give checkpoints of one model")
    summaries: list[dict[str, Any]] = []

    def steps() -> Iterator[Columns]:
        for step, result in results:
            for columns in result.steps:
                yield {"step": step, **columns} if columns else columns
            summaries.append({"step": step, **result.summarise()})

    return Result(
        schema=(STEP, *schema),
        steps=steps(),
        summarise=lambda: {"steps": summaries},
        total=sum(result.total for _, result in results),
        meta={"series": {str(step): result.meta for step, result in results}},
        failed=lambda: next(filter(None, (result.failed() for _, result in results)), None),
    )


def numbered(traces: Sequence[Any], paths: Sequence[Path]) -> tuple[Any, ...]:
    """Traces in order, each with a step."""
    return tuple(replace(trace, step=step) for step, trace in ordered(traces, paths))
