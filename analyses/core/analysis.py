"""An analysis in Python: ``run`` takes what a notebook has, and its result knows its module."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from birkhoff_cli.analyses.core.result import Result

P = ParamSpec("P")

PLAIN = (str, int, float, type(None))
"""Types of options, which are taken as they are."""


def analysis(run: Callable[P, Result]) -> Callable[P, Result]:
    """Let ``run`` take methods and arrays for matrices, and its result know its module.

    Beside a method it also takes the fields of `Draws` and ``seed``, as the command does:
    ``spectrum.run(method, samples=1000, seed=0)``. See `birkhoff_cli.analyses.core.arguments`.
    """

    @wraps(run)
    def call(*args: P.args, **options: P.kwargs) -> Result:
        written: Callable[..., Result] = run
        if args or not all(isinstance(value, PLAIN) for value in options.values()):
            # only here: an analysis that takes no matrices starts sooner without
            from birkhoff_cli.analyses.core.arguments import arguments

            result = written(**arguments(run, args, options))
        else:
            result = written(**options)
        result.module = run.__module__
        return result

    return call
