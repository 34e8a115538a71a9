"""What members share: types of modules and callbacks, and how a hook escapes the compiler."""

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from birkhoff_cli.analyses.core.arrays import Array

Module: TypeAlias = Any
"""A ``torch.nn.Module``, whose attributes have no types."""

Give: TypeAlias = Callable[[Array], None]
Detach: TypeAlias = Callable[[], object]

Fill: TypeAlias = Callable[[Array], Array]
"""From empty streams, whose shape, dtype and device are right, to streams."""

ADD = "hand its matrices over with Recorder.add"
"""What to do about code that is not known here."""


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs as it is where a model was compiled.

    Nothing was if torch's compiler is not even imported, which takes seconds.
    """
    if "torch._dynamo" not in sys.modules:
        return function
    import torch

    disabled: Callable[..., Any] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return disabled
