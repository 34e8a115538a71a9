"""An analysis in Python: ``run`` takes what a notebook has, and its result knows its module."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from birkhoff_cli.analyses.core.result import Result

P = ParamSpec("P")

PREPARED = "prepared"
"""Attribute of a decorated ``run``: the same for arguments that need no conversion."""

PLAIN = (str, int, float, type(None))
"""Types of options, which are taken as they are."""


def analysis(run: Callable[P, Result]) -> Callable[P, Result]:
    """Let ``run`` take methods and arrays for matrices, and its result know its module.

    Beside a method it also takes the fields of `Draws` and ``seed``, as the command does:
    ``spectrum.run(method, samples=1000, seed=0)``. See `birkhoff_cli.analyses.core.arguments`.
    """

    def prepared(**options: Any) -> Result:
        written: Callable[..., Result] = run
        result = written(**options)
        result.module = run.__module__
        return result

    @wraps(run)
    def call(*args: P.args, **options: P.kwargs) -> Result:
        if not args and all(isinstance(value, PLAIN) for value in options.values()):
            return prepared(**options)
        from birkhoff_cli.analyses.core.arguments import arguments  # a command starts sooner

        return prepared(**arguments(run, args, options))

    vars(call)[PREPARED] = prepared
    return call


def of_prepared(run: Callable[..., Result]) -> Callable[..., Result]:
    """The same ``run`` for whoever has its arguments as it is written, such as a command."""
    prepared: Callable[..., Result] = vars(run).get(PREPARED, run)
    return prepared
