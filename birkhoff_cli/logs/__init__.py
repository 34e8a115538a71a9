"""Logs of training runs: ours, and those of nanoGPT forks.

A step is one row of the result, whatever rows it has in the file: numbers that stand in rows of
their own are put together, and of a number that is there twice, as after a run was taken up again,
the last is taken, which is said.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.training_log import LAYERS, LOSS, NUMBERS, TrainingLog
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import check_regular, is_folder
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import Content, of_file
from birkhoff_cli.logs import steps
from birkhoff_cli.logs.columns import Columns, columns_of, label_of, listed
from birkhoff_cli.logs.events import EVENT_FILE
from birkhoff_cli.logs.names import LAYER, STEP, choose, is_log, refuse_twins, sentence
from birkhoff_cli.training.log import LOG_FILE

__all__ = ["holds_log", "read", "read_all"]

FINITE = "finite"
"""A column that is false where a number is null because JSON cannot hold it."""

MAX_REPEATED = 0.5
"""Share of the steps that may be logged twice with other numbers, in the log of one run."""


def read_all(paths: Sequence[Path]) -> tuple[TrainingLog, ...]:
    """The logs of several runs, each with a name of its own.

    Raises:
        BadInput: as `read`.
    """
    logs = [read(path) for path in paths]
    parents = [escape(path.resolve().parent.name) for path in paths]
    names = _apart([log.name for log in logs], lambda k, name: f"{parents[k]}/{name}")
    names = _apart(names, lambda k, name: f"{name} ({k + 1})")
    return tuple(replace(log, name=name) for log, name in zip(logs, names, strict=True))


def _apart(names: Sequence[str], longer: Callable[[int, str], str]) -> list[str]:
    """Names with a longer one in place of each that is there twice: only seeds share a name."""
    return [longer(k, name) if names.count(name) > 1 else name for k, name in enumerate(names)]


def holds_log(path: Path) -> bool:
    """Whether a file is a training log by its columns, and no table of an analysis.

    What is wrong with a file that is none is said by whoever reads it.
    """
    try:
        with refusing(path):
            columns = columns_of(of_file(path))
    except BadInput:
        return False
    return columns.author is None and is_log(choose(columns.names))


def read(path: Path) -> TrainingLog:
    """The log of a run.

    Args:
        path: of the log, or of the directory of a run: with a ``log.parquet``, or one event file.

    Raises:
        BadInput: no such file, no log, or numbers that are none.
    """
    path = _in_folder(path) if is_folder(path) else path
    check_regular(path)
    with refusing(path):
        content = of_file(path)
        columns = columns_of(content)
        chosen = choose(columns.names)
        refuse_twins(path, chosen, columns.names)
        layers = sorted(filter(LAYER.fullmatch, columns.names), key=_number)
        raw = columns.read([*chosen.values(), *({FINITE} & {*columns.names})])
        if layers and raw:
            steps.require_norms(content, len(layers), len(next(iter(raw.values()))))
            raw = {**raw, **columns.read(layers)}
        log = _log(content, columns, chosen, raw, layers)
        facts = {
            "name": escape(places.label(path)),
            "size": content.size,
            "sha256": content.digest.sha256,
        }
    return replace(log, meta={**log.meta, "inputs": [facts]})


def _in_folder(path: Path) -> Path:
    """The log in the directory of a run."""
    if (path / LOG_FILE).is_file():
        return path / LOG_FILE
    events = sorted(path.glob(EVENT_FILE))
    if len(events) > 1:
        raise BadInput(
            f"{where(path)}: holds {len(events)} event files, such as {escape(events[0].name)}; "
            f"give one of them: a run that was taken up again writes one each time"
        )
    if not events:
        raise BadInput(f"{where(path)}: holds no {LOG_FILE}; give the log itself")
    return events[0]


def _number(name: str) -> int:
    match = LAYER.fullmatch(name)
    return int(match[1]) if match else 0


def _log(
    content: Content,
    columns: Columns,
    chosen: Mapping[str, str],
    raw: Mapping[str, list[Any]],
    layers: Sequence[str],
) -> TrainingLog:
    """The log of what was read."""
    path = content.label
    if not chosen.keys() & set(NUMBERS):
        raise BadInput(
            f"{where(path)}: has no loss and no gradient norm (its columns: "
            f"{listed(columns.names)}); call them loss and grad_norm"
        )
    assumption = sentence(chosen, columns.names)
    assumptions = [*columns.assumptions, *([assumption] if assumption else [])]
    rows = len(next(iter(raw.values())))
    if not rows:
        raise BadInput(f"{where(path)}: has no rows; did the run take a step?")
    if STEP in chosen:
        every = steps.whole_steps(path, chosen[STEP], raw[chosen[STEP]])
    else:
        every = np.arange(1, rows + 1)
        assumptions.append("has no column of steps: rows are numbered from 1")
    step, index = np.unique(every, return_inverse=True)
    values, logged, twice = {}, {}, np.zeros(len(step), bool)
    for name in NUMBERS:
        cells = raw[chosen[name]] if name in chosen else [None] * rows
        if name == LOSS and FINITE in raw:
            pairs = zip(cells, raw[FINITE], strict=True)
            cells = [math.nan if c is None and f in (False, "false") else c for c, f in pairs]
        numbers, there = steps.numbers(path, chosen.get(name, name), cells)
        values[name], logged[name], again = steps.by_step(numbers, there, index, len(step))
        twice |= again
    if twice.mean() > MAX_REPEATED:
        raise BadInput(
            f"{where(path)}: has several rows for most steps, with other numbers; "
            f"give the log of one run"
        )
    if twice.any():
        first = step[twice][0]
        assumptions.append(
            f"{count(int(twice.sum()), 'step')} logged twice with other numbers, the first of them "
            f"{first:,}: the last numbers are taken"
        )
    split = [*zip(*(raw[name] for name in layers), strict=True)]
    lists = split or raw.get(chosen.get(LAYERS, ""), [])
    norms = steps.layer_norms(content, lists, index, len(step))
    meta = {"assumptions": assumptions} if assumptions else {}
    return TrainingLog(label_of(path), step, values, logged, norms, meta)
