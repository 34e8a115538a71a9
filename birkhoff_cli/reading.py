"""What a path holds: matrices, a checkpoint, a model to run."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from birkhoff_cli import matrices, places, series, streams
from birkhoff_cli.analyses.core.array_trace import AXES, OTHER, Axis
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.checkpoints import TENSORS
from birkhoff_cli.checkpoints.sites.settings import word
from birkhoff_cli.converters.draws import seed
from birkhoff_cli.request import Request
from birkhoff_cli.settings import read_checkpoint
from birkhoff_cli.steps import training_step
from birkhoff_cli.text import escape

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.token_run import TokenRun


def holds_matrices(path: Path, request: Request) -> bool:
    """Whether a path holds matrices, and nobody says which of its tensors are mixers."""
    names = (text.partition("=")[0] for text in request["set"] or ())
    return TENSORS not in names and (matrices.recognises(path) or bool(_parts_in(path)))


def _parts_in(path: Path) -> list[Path]:
    """The parts of the one trace in a folder; none of any other path."""
    # Path.is_dir raises for a long name
    is_folder = path.is_dir() if places.is_remote(path) else os.path.isdir(path)  # noqa: PTH112
    parts = series.expand([path]) if is_folder else []
    return parts if any(matrices.recognises(part) for part in parts) else []


def read_trace(path: Path, request: Request, axes: Axis | None = "samples") -> MixingTrace:
    """The matrices at a path; of a checkpoint those of the streams that were asked for.

    Args:
        path: of the matrices or of a checkpoint.
        request: what was asked for.
        axes: what an array (n, d, d) is, unless ``--set axes=`` says it; None leaves it open.
    """
    if holds_matrices(path, request):
        if parts := _parts_in(path):
            return _only(path, read_models(parts, request, axes))
        typed_axes = axes_of(request)
        trace = matrices.read(path, typed_axes or axes)
        if typed_axes and AXES not in trace.meta:
            raise UsageError(
                f"--set {AXES}={typed_axes}: {escape(path)} holds no array (n, d, d); leave it out"
            )
    else:
        trace = streams.trace(read_checkpoint(path, request), inputs_of(request), seed(request))
    return dataclasses.replace(trace, step=training_step(path, trace.step))


def _only(folder: Path, models: Sequence[tuple[Path, MixingTrace]]) -> MixingTrace:
    """The one trace of a folder, under the folder's name."""
    if len(models) > 1:
        steps = sorted(trace.step for _, trace in models if trace.step is not None)
        ends = f" ({steps[0]:,} to {steps[-1]:,})" if steps else ""
        raise BadInput(
            f"{escape(folder)}: holds matrices of {len(models)} training steps{ends} and here one "
            f"is needed; name the files of one"
        )
    return dataclasses.replace(models[0][1], source=escape(folder))


def read_models(
    paths: Sequence[Path], request: Request, axes: Axis | None = "samples"
) -> list[tuple[Path, MixingTrace]]:
    """The matrices at every path, with the path; files that are parts of one trace as one."""
    traces = [read_trace(path, request, axes) for path in paths]
    if len(traces) == 1:
        return [(paths[0], traces[0])]
    from birkhoff_cli import trace_parts  # few traces are in several files

    return trace_parts.join_parts(traces, paths, [holds_matrices(path, request) for path in paths])


def read_series(
    paths: Sequence[Path], request: Request, axes: Axis | None = "samples"
) -> tuple[MixingTrace, ...]:
    """The matrices at every path, in order of training steps.

    Raises:
        BadInput: they are no series.
    """
    sources, traces = zip(*read_models(paths, request, axes), strict=True)
    return series.set_steps(traces, sources)


def read_token_runs(paths: Sequence[Path], request: Request) -> "tuple[TokenRun, ...]":
    """The model at every path with the tokens to run, in order of training steps.

    Raises:
        BadInput: a path that holds matrices and no model, or models that are no series.
    """
    return series.set_steps([_token_run(path, request) for path in paths], paths)


def _token_run(path: Path, request: Request) -> "TokenRun":
    if holds_matrices(path, request):
        raise BadInput(f"{escape(path)}: holds matrices; to run tokens, give a checkpoint")
    checkpoint = read_checkpoint(path, request)
    return streams.token_run(checkpoint, inputs_of(request), seed(request))


def axes_of(request: Request) -> Axis | None:
    """What ``--set axes=`` says an array (n, d, d) is; None if nothing else is set, or not this.

    Raises:
        UsageError: it is neither samples nor sites.
    """
    pairs = [text.partition("=") for text in request["set"] or ()]
    if len(pairs) != 1 or pairs[0][0] != AXES:
        return None
    axes = word({AXES: pairs[0][2]}, AXES, OTHER)
    return next((axis for axis in OTHER.values() if axis == axes), None)


def inputs_of(request: Request) -> streams.Inputs:
    """What the streams of a checkpoint carry."""
    names = {field.name for field in dataclasses.fields(streams.Inputs)} & request.options.keys()
    return streams.Inputs(**{name: request[name] for name in names if request.is_set(name)})
