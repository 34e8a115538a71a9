"""How a function escapes torch's compiler, and what happens where it cannot.

A graph is broken at a function that is not compiled. With fullgraph=True a break is an error,
raised into the model; whether that was asked for is known only while the compiler reads the code.
"""

from collections.abc import Callable
from types import CodeType
from typing import Any

import torch

from birkhoff_cli.recording.warning import warn

_compiler: Callable[[], Any] = getattr(
    torch._C._dynamo.eval_frame, "get_eval_frame_callback", lambda: "not known"
)
"""What compiles the functions that are called now; None where nothing does."""

WHOLE = [False]
"""Whether the code that is being compiled must be one graph."""

FORGOTTEN = [0]
"""Graphs that had been compiled when all were forgotten."""

NOT_MEASURED = (
    "birkhoff: what is compiled with fullgraph=True leaves no room to look at its matrices, or to "
    "count its steps; compile it without"
)

NOT_AGAIN = (
    "birkhoff: what was compiled before may not be compiled again, as torch.compiler.set_stance "
    "says, and its matrices are not seen; begin before it is compiled"
)


def escaping(function: Callable[..., Any], whole: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is not compiled; in a graph that must be whole ``whole`` is."""
    disabled: Callable[..., Any] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]

    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():
            from torch._dynamo.comptime import comptime

            comptime(_ask)
            if WHOLE[0]:
                return whole(*args, **kwargs)
        elif _compiler() is None:  # the usual case, ten times faster
            return function(*args, **kwargs)
        return disabled(*args, **kwargs)

    run_as_it_is(call.__code__)
    return call


def run_as_it_is(code: CodeType) -> None:
    """Let the compiler not compile a function alone, which it may still read into a caller's graph.

    One function for all sites would be compiled again for each of them, up to the limit of that.
    """
    from torch._dynamo import eval_frame  # it sets an environment variable

    if (skip := getattr(eval_frame, "skip_code", None)) is not None:
        skip(code)


def _ask(context: Any) -> None:
    """Note whether a break is an error; the compiler calls this while it reads the code."""
    reader = context._i_will_not_complain_if_bc_breaks_InstructionTranslator()
    attributes = ("one_graph", "error_on_graph_break")
    before, WHOLE[0] = WHOLE[0], any(getattr(reader, word, False) for word in attributes)
    if WHOLE[0] and not before:
        warn(NOT_MEASURED)


def forget() -> None:
    """Let everything that was compiled be compiled again: it does not see hooks come or go."""
    from torch._dynamo import eval_frame

    graphs = torch._dynamo.utils.counters["stats"]
    if graphs["unique_graphs"] == FORGOTTEN[0]:
        return
    stance = getattr(getattr(eval_frame, "_stance", None), "stance", None)
    if stance == "fail_on_recompile":  # it would be an error in the model's forward
        warn(NOT_AGAIN)
        return
    torch.compiler.reset()
    FORGOTTEN[0] = graphs["unique_graphs"]
    WHOLE[0] = False
