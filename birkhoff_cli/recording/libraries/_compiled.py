"""How a function escapes torch's compiler, and what happens where it cannot.

A graph is broken at a function that is not compiled. With fullgraph=True a break is an error,
raised into the model; whether that was asked for is known only while the compiler reads the code.
"""

from collections.abc import Callable
from typing import Any

import torch

from birkhoff_cli.recording.warning import warn

WHOLE = [False]
"""Whether the code that is being compiled must be one graph."""

NOT_MEASURED = (
    "birkhoff: a model compiled with fullgraph=True leaves no room to look at its matrices; "
    "compile it without"
)


def escaping(function: Callable[..., Any], whole: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is not compiled; in a graph that must be whole ``whole`` is."""
    disabled: Callable[..., Any] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]

    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():
            from torch._dynamo.comptime import comptime  # it sets an environment variable

            comptime(_ask)
            if WHOLE[0]:
                return whole(*args, **kwargs)
        return disabled(*args, **kwargs)

    return call


def _ask(context: Any) -> None:
    """Note whether a break is an error; the compiler calls this while it reads the code."""
    reader = context._i_will_not_complain_if_bc_breaks_InstructionTranslator()
    words = ("one_graph", "error_on_graph_break")
    before, WHOLE[0] = WHOLE[0], any(getattr(reader, word, False) for word in words)
    if WHOLE[0] and not before:
        warn(NOT_MEASURED)


def forget() -> None:
    """Let everything that was compiled be compiled again: it does not see hooks come or go."""
    if torch._dynamo.utils.counters["stats"]["unique_graphs"]:
        torch.compiler.reset()
        WHOLE[0] = False
