"""Several checkpoints of one run: a series over training steps.

Most analyses look at one model. Given a series, they run once for every step, and their tables
stand one below the other with a column ``step`` in front.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge, UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.sentences import ASIDE
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.containers import escape, open_store, where
from birkhoff_cli.containers.kinds import HEAD, MAX_ENTRIES, is_checkpoint, is_folder, with_husks
from birkhoff_cli.matrices import list_steps
from birkhoff_cli.steps import split_step, step_in_name, stored_step, training_step

STEP = column("step", "int64", "training step of the checkpoint")
MARKS = ("config.json", "latest_checkpointed_iteration.txt", ".metadata", "refs")
"""Files whose presence marks a directory as a single checkpoint."""

MAX_STEPS = 10_000
"""Training steps of one file: each is read alone, a few milliseconds."""

MAX_NAMES = 3
"""Names of models in a message."""

Model = TypeVar("Model")


def expand(paths: Sequence[Path]) -> list[Path]:
    """Every checkpoint of the paths: a directory that holds several stands for all of them.

    So does a directory of parts of a trace for these, and a trace of several training steps, as
    ``FILE#step=N``.

    What cannot be reached stays as it is: whoever reads it says what is wrong.
    """
    return [member for path in paths for member in _in(path)]


def _in(path: Path) -> list[Path]:
    try:
        whole = not is_folder(path) or any(places.is_there(path / mark) for mark in MARKS)
    except BadInput:
        whole = True
    return _steps_of(path) if whole else _in_folder(path)


def _in_folder(path: Path) -> list[Path]:
    from birkhoff_cli.containers.folders import first_parts
    from birkhoff_cli.containers.ranks import are_ranks
    from birkhoff_cli.trace_parts import files_in

    entries = sorted(path.iterdir())[: MAX_ENTRIES + 1]
    places.fetch_heads(entries, HEAD)
    members = first_parts(with_husks(entries, filter(_is_member, entries)))
    members = members or [entry for entry in entries if _is_array_of_a_step(entry)]
    whole = any(entry.name.endswith(".index.json") for entry in entries) or are_ranks(entries)
    if members or whole:
        return members if len(members) > 1 and len(entries) <= MAX_ENTRIES and not whole else [path]
    return [one for part in files_in(path) for one in _steps_of(part)] or [path]


def _steps_of(path: Path) -> list[Path]:
    """A file, or the training steps of one that holds several.

    Raises:
        TooLarge: each is read alone, and so many would take minutes.
    """
    steps = list_steps(path)
    if len(steps) > MAX_STEPS:
        raise TooLarge(
            f"{where(path)}: holds matrices of {len(steps):,} training steps, and {MAX_STEPS:,} "
            f"are read at most; name one as {where(path)}#step={steps[-1]}, or write fewer"
        )
    return [places.path_of(f"{path}#step={step}") for step in steps] if len(steps) > 1 else [path]


def _is_array_of_a_step(entry: Path) -> bool:
    """A file of an array whose name says a training step."""
    return entry.suffix == ".npy" and step_in_name(entry.stem) is not None and not entry.is_dir()


def _is_member(entry: Path) -> bool:
    """A checkpoint file, or a directory whose name says a training step."""
    if entry.is_dir():
        return step_in_name(entry.name) is not None
    return entry.is_file() and is_checkpoint(entry)


def order_by_step(models: Sequence[Model], paths: Sequence[Path]) -> list[tuple[int | None, Model]]:
    """Models with their training steps, in order of these; a single one may have none.

    Raises:
        BadInput: several that are no series: a step is not known or there twice, or the models
            differ in their format, method or settings.
    """
    steps = [training_step(p, getattr(m, "step", None)) for p, m in zip(paths, models, strict=True)]
    pairs = list(zip(steps, models, strict=True))
    if len(pairs) == 1:
        return [*pairs]
    if why := _why_no_series(steps, models, paths):
        raise _no_series(paths, why)
    return sorted(pairs, key=lambda pair: pair[0] or 0)


def check_steps(paths: Sequence[Path]) -> None:
    """Hold that the step of every file is known, before it is asked what else it lacks.

    Raises:
        BadInput: the step of one is not, so these are several models.
    """
    for path in paths:
        try:
            with open_store(path) as store:
                step = training_step(path, stored_step(store.config))
        except BirkhoffError:  # whoever reads it says what is wrong
            continue
        if step is None:
            raise _no_series(paths, _unknown_step(path))


def _no_series(paths: Sequence[Path], why: str) -> BadInput:
    names = ", ".join(where(path) for path in paths[:MAX_NAMES])
    names += f" and {len(paths) - MAX_NAMES} more" if len(paths) > MAX_NAMES else ""
    return BadInput(f"{names}: are no series over training steps: {why}; {ASIDE}")


def _unknown_step(path: Path) -> str:
    return f"the step of {where(path)} is not known; call it ckpt_N, or give one of them"


def _why_no_series(
    steps: Sequence[int | None], models: Sequence[Any], paths: Sequence[Path]
) -> str | None:
    """What speaks against it, and the way out."""
    if None in steps:
        return _unknown_step(paths[steps.index(None)])
    first: dict[int | None, Path] = {}
    for step, path in zip(steps, paths, strict=True):
        if step in first:
            return f"{where(first[step])} and {where(path)} are both of step {step}; give one"
        first[step] = path
    facts = [_facts(model) for model in models]
    for path, own in zip(paths, facts, strict=True):
        for name in (n for n in {**facts[0], **own} if facts[0].get(n) != own.get(n)):
            return (
                f"{where(path)} has {name} {escape(own.get(name), 40)} and {where(paths[0])} "
                f"{escape(facts[0].get(name), 40)}; give checkpoints of one run"
            )
    return None


def _facts(model: Any) -> dict[str, Any]:
    """Sites, format, method and settings of a model; of a trace those of what it recorded."""
    meta = model.meta.get("recorded", model.meta)
    settings = meta.get("settings")
    values = settings if isinstance(settings, Mapping) else {}
    return {
        "sites": len(model.sites),
        "format": meta.get("format"),
        "method": meta.get("method"),
        **{n: s.get("value") for n, s in values.items() if n != "iter_num" and isinstance(s, dict)},
    }


def copies(models: Sequence[Any], paths: Sequence[Path]) -> dict[int, str]:
    """The sentence about a member of which the same bytes were read as of another one.

    It is that of the first such member, by its number, and says how many more there are.

    Args:
        models: checkpoints, traces or others with a ``meta``.
        paths: where each was.
    """
    pairs: list[tuple[int, Path, Path]] = []
    first: dict[str, Path] = {}
    for k, (path, model) in enumerate(zip(paths, models, strict=True)):
        (digest, *more) = model.meta.get("inputs") or [{}]
        sha256 = digest.get("sha256")
        if more or type(sha256) is not str or split_step(path)[1] is not None:
            continue  # of several files, or of one whose digest is not known yet
        other = first.setdefault(sha256, path)
        if other is not path:
            pairs.append((k, path, other))
    more = f" (and {len(pairs) - 1} more such)" if len(pairs) > 1 else ""
    return {
        k: f"{where(path)} is a model of its own, though all that is read of it is the same, to "
        f"the last bit, as of {where(other)}{more}"
        for k, path, other in pairs[:1]
    }


def stack(results: Sequence[tuple[int | None, Result]], assumptions: Sequence[str] = ()) -> Result:
    """The tables of all steps as one.

    Args:
        results: with their steps, in order of these.
        assumptions: about all of them together.

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
            own = {k: v for k, v in result.summarise().items() if k != STEP.name}
            summaries.append({STEP.name: step, **own})

    return Result(
        schema=(STEP, *schema),
        steps=steps(),
        summarise=lambda: {**summaries[-1], "steps": summaries},
        total=sum(result.total for _, result in results),
        meta={
            "series": {str(step): result.meta for step, result in results},
            **({"assumptions": [*assumptions]} if assumptions else {}),
        },
        failed=lambda: next(filter(None, (result.failed() for _, result in results)), None),
    )


def set_steps(traces: Sequence[Any], paths: Sequence[Path]) -> tuple[Any, ...]:
    """Traces in order of their training steps, each with its step."""
    noted = [*traces]
    for k, sentence in copies(traces, paths).items():
        assumptions = [*noted[k].meta.get("assumptions", ()), sentence]
        noted[k] = replace(noted[k], meta={**noted[k].meta, "assumptions": assumptions})
    return tuple(replace(trace, step=step) for step, trace in order_by_step(noted, paths))
