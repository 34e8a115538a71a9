"""What a path holds: matrices, a checkpoint, a model to run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from birkhoff_cli import checkpoints, matrices, streams
from birkhoff_cli.analyses.core.array_trace import AXES, OTHER, Axis
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.analyses.networks.token_run import TokenRun
from birkhoff_cli.checkpoints import TENSORS, Checkpoint
from birkhoff_cli.checkpoints.sites.settings import word
from birkhoff_cli.converters.draws import seed
from birkhoff_cli.converters.traces import inputs_of
from birkhoff_cli.request import Request
from birkhoff_cli.series import set_steps
from birkhoff_cli.steps import training_step
from birkhoff_cli.text import escape


def holds_matrices(path: Path, request: Request) -> bool:
    """Whether a path holds matrices, and nobody says which of its tensors are mixers."""
    names = (text.partition("=")[0] for text in request["set"] or ())
    return matrices.recognises(path) and TENSORS not in names


def read_trace(path: Path, request: Request, axes: Axis | None = "samples") -> MixingTrace:
    """The matrices at a path; of a checkpoint those of the streams that were asked for.

    Args:
        path: of the matrices or of a checkpoint.
        request: what was asked for.
        axes: what an array (n, d, d) is, unless ``--set axes=`` says it; None leaves it open.
    """
    if holds_matrices(path, request):
        said = axes_of(request)
        trace = matrices.read(path, said or axes)
        if said and AXES not in trace.meta:
            raise UsageError(
                f"--set {AXES}={said}: {escape(path)} holds no array (n, d, d); leave it out"
            )
    else:
        trace = streams.trace(read_checkpoint(path, request), inputs_of(request), seed(request))
    return dataclasses.replace(trace, step=training_step(path, trace.step))


def read_series(
    paths: Sequence[Path], request: Request, axes: Axis | None = "samples"
) -> tuple[MixingTrace, ...]:
    """The matrices at every path, in order of training steps.

    Raises:
        BadInput: they are no series.
    """
    return set_steps([read_trace(path, request, axes) for path in paths], paths)


def read_token_runs(paths: Sequence[Path], request: Request) -> tuple[TokenRun, ...]:
    """The model at every path with the tokens to run, in order of training steps.

    Raises:
        BadInput: a path that holds matrices and no model, or models that are no series.
    """
    return set_steps([_token_run(path, request) for path in paths], paths)


def _token_run(path: Path, request: Request) -> TokenRun:
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
    said = word({AXES: pairs[0][2]}, AXES, OTHER)
    return next((axis for axis in OTHER.values() if axis == said), None)


def settings_of(request: Request) -> dict[str, str]:
    """The words of ``--set``, by name; several patterns of tensors are one.

    Raises:
        UsageError: a setting without its value, or with two.
    """
    settings: dict[str, str] = {}
    for text in request["set"] or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text} is not of the form name=value; say --set iters=20")
        if key in settings and key != TENSORS:
            raise UsageError(f"--set {escape(key)} is there twice; say it once")
        settings[key] = f"{settings[key]},{value}" if key in settings else value
    return settings


def read_checkpoint(path: Path, request: Request) -> Checkpoint:
    """A checkpoint with the settings that override what was assumed.

    Raises:
        UsageError: a setting without its value.
    """
    file, _ = matrices.split_step(path)  # of a trace of a series, which is no checkpoint
    return checkpoints.read(file, settings_of(request))
