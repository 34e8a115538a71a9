"""Passes of a model: from where its own forward begins to where it ends, however it ends.

Activation checkpointing calls sites again inside of backward: those calls are of no pass.
"""

import sys
import threading
from collections.abc import Callable

from birkhoff_cli.recording.libraries._module import Detach, Hook, Module, do_nothing, uncompiled


def in_backward() -> bool:
    """Whether torch is computing gradients in this thread: what is called now is called again."""
    import torch

    return bool(torch._C._current_graph_task_id() != -1)


def is_traced() -> bool:
    """Whether torch only takes down what a model does, or transforms it: its numbers are none.

    A trace, an export, a function of functorch, or a graph of CUDA's that is captured.
    """
    import torch

    return bool(
        torch._C._get_tracing_state() is not None
        or torch.compiler.is_exporting()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or _is_captured()
    )


def _is_captured() -> bool:
    import torch

    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return bool(begun and torch.cuda.is_current_stream_capturing())


def is_training(model: Module) -> bool:
    """Whether a pass that begins now is one of training."""
    import torch

    return bool(model.training and torch.is_grad_enabled())


class Passes:
    """Tells where passes begin and end, of one thread at a time.

    Attributes:
        inside: whether the model's own forward runs.
    """

    def __init__(
        self, model: Module, begin: Callable[[bool], None], end: Callable[[bool], None]
    ) -> None:
        """Nothing is watched yet.

        Args:
            model: the model.
            begin: is called with whether the pass is one of training.
            end: is called with whether the pass was complete.
        """
        self.inside = False
        self._model, self._begin, self._end = model, begin, end
        self._thread = 0  # in which the pass runs
        self._error: BaseException | None = None

    def attach(self) -> Detach:
        """Watch the model."""
        handles = [
            self._model.register_forward_pre_hook(Hook(uncompiled(self._before, do_nothing))),
            self._model.register_forward_hook(
                Hook(uncompiled(self._after, do_nothing)), always_call=True
            ),
        ]

        def detach() -> None:
            for handle in handles:
                handle.remove()

        return detach

    def _before(self, called: Module, *_: object) -> None:
        if called is not self._model or in_backward() or is_traced():
            return
        if self.inside:
            if self._is_elsewhere():
                return
            self._end(False)  # an interrupt ended the last one without a call of `_after`
        self.inside, self._error = True, sys.exception()
        self._thread = threading.get_ident()
        self._begin(is_training(self._model))

    def _is_elsewhere(self) -> bool:
        """Whether the pass runs in another thread."""
        here = self._thread == threading.get_ident()
        return not here and any(t.ident == self._thread for t in threading.enumerate())

    def _after(self, called: Module, *_: object) -> None:
        if called is not self._model or in_backward() or not self.inside or self._is_elsewhere():
            return
        self.inside = False
        self._end(sys.exception() is self._error)
