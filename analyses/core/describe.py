"""A method as it is typed."""

from dataclasses import fields
from typing import Any

from birkhoff_cli.analyses.core.parameterization import Parameterization


def specification(method: Parameterization) -> str:
    """The method and its options but d, as ``--method`` takes them: ``kromhc:factors=2x3``.

    Of options at their default only whole numbers are named, such as go-mHC's block size.
    """
    options = [
        f"{f.name.replace('_', '-')}={_word(value)}"
        for f in fields(method)
        if f.name in method.options and _telling(value := method.options[f.name], f.default)
    ]
    return f"{method.name}:{','.join(options)}" if options else method.name


def _telling(value: Any, default: Any) -> bool:
    return value != default or (isinstance(value, int) and not isinstance(value, bool))


def _word(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
