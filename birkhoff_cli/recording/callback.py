"""The monitor as a callback of transformers' Trainer, which is imported where one is made."""

import weakref
from contextlib import ExitStack
from typing import Any

from birkhoff_cli.recording.libraries._module import Hook, do_nothing, uncompiled
from birkhoff_cli.recording.monitor import Monitor, import_compiler, monitor
from birkhoff_cli.recording.running import Running

PACKAGE = "transformers"


class MonitorCallback:
    """``Trainer(..., callbacks=[MonitorCallback(every=100, to="run/hc.ndjson")])``.

    It has the arguments of `monitor` but the model. Steps are the Trainer's ``global_step``. The
    Trainer tells its callbacks nothing of an exception: the monitor ends when the exception has
    been dealt with, or at the next pass of the model.
    """

    def __init__(self, **options: Any) -> None:
        """Keep the options; the model is there when training begins."""
        self._options, self._stack = options, ExitStack()
        self._monitor: Monitor | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Begin to watch the model."""
        del args, control
        self._stack.close()
        self._stack = stack = ExitStack()  # of this training: the end of the last may come late
        weakref.finalize(self, stack.close)
        running = Running(PACKAGE, stack.close)

        def look(*_: object) -> None:
            if running.has_ended():
                stack.close()

        import_compiler()
        hook = Hook(uncompiled(look, do_nothing))
        stack.callback(more["model"].register_forward_pre_hook(hook).remove)
        options = {"first": state.global_step, **self._options}
        try:
            self._monitor = stack.enter_context(monitor(more["model"], **options))
        except BaseException:
            stack.close()
            raise

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Count the step."""
        del args, control, more, state
        if self._monitor is not None:
            self._monitor.step()

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Stop watching."""
        del args, state, control, more
        self._monitor = None
        self._stack.close()

    def __getattr__(self, name: str) -> Any:
        """Every other event of the Trainer is none of ours."""
        if name.startswith("on_"):
            return lambda *_, **__: None
        raise AttributeError(name)
