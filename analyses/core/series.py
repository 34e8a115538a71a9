"""Several models in order of training: that they are of one run, and what is said of all steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.source import Source
from birkhoff_cli.analyses.core.titles import title_of_series
from birkhoff_cli.analyses.core.trace import MixingTrace


class Trained(Protocol):
    """A model, or what it did, at one step of its training."""

    @property
    def source(self) -> str:
        """Name for messages."""

    @property
    def step(self) -> int | None:
        """Training step, where it is known."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Provenance for file metadata."""


def check_steps(series: Sequence[Trained]) -> None:
    """Hold that several models are steps of one training.

    Raises:
        BadInput: a step that is not known, or one that two models share.
    """
    if len(series) < 2:
        return
    seen: dict[int, str] = {}
    for model in series:
        if model.step is None:
            raise BadInput(
                f"{model.source}: its training step is not known, so it is in no series; call the "
                f"file ckpt_N, or give one model"
            )
        if model.step in seen:
            raise BadInput(
                f"{seen[model.step]} and {model.source}: are both of training step {model.step}, "
                f"so they are no series; give one of them"
            )
        seen[model.step] = model.source


def check_sizes(series: Sequence[MixingTrace]) -> None:
    """Hold that several models have as many streams and as many sites.

    Raises:
        BadInput: two that differ; the message names them.
    """
    first = series[0]
    for trace in series:
        if (trace.d, len(trace.sites)) != (first.d, len(first.sites)):
            raise BadInput(
                f"{trace.source}: d = {trace.d} at {len(trace.sites)} sites and {first.source} "
                f"has d = {first.d} at {len(first.sites)}; give checkpoints of one model"
            )


def meta_of_series(series: Sequence[Source]) -> dict[str, Any]:
    """Metadata of a table of all steps: those of the last one, every file, and the title."""
    last = series[-1]
    every = [file for source in series for file in source.meta.get("inputs", ())]
    files = {repr(file): file for file in every}  # a digest that is put off shows no digits there
    own = {"inputs": [*files.values()], "d": last.d, "title": title_of_series(series)}
    return {**last.meta, **said_of_series(series), **own}


def said_of_series(series: Sequence[Trained]) -> dict[str, list[Any]]:
    """Steps of several models, and what is assumed of any: of which step, if not of all.

    A note in a folder may say a step, so that no digest of what was read tells it.
    """
    known = [model.step for model in series]
    facts: dict[str, list[Any]] = {"steps": known} if any(k is not None for k in known) else {}
    steps: dict[str, list[int | None]] = {}
    for model in series:
        for sentence in dict.fromkeys(model.meta.get("assumptions", ())):
            steps.setdefault(sentence, []).append(model.step)
    sentences = [
        sentence if len(of) == len(series) else f"{sentence} ({_at(of)})"
        for sentence, of in steps.items()
    ]
    return facts | ({"assumptions": sentences} if sentences else {})


def _at(steps: Sequence[int | None]) -> str:
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    return f"at step {steps[0]}{more}"


def over_steps(steps: Sequence[Summary]) -> dict[str, Any]:
    """The numbers of the last step; of several also ``steps``, the same of every step."""
    return {**steps[-1], **({"steps": [*steps]} if len(steps) > 1 else {})}
