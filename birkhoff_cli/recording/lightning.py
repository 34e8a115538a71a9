"""The monitor as a callback of Lightning, which is imported where one is made."""

import sys
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from birkhoff_cli.recording.monitor import monitor
from birkhoff_cli.recording.record import find


def _called(module: Any) -> Any:
    """The part of a LightningModule that its training step calls: the only one with sites."""
    holding = [child for child in module.children() if find(child)]
    return holding[0] if len(holding) == 1 else module


def MonitorCallback(**options: Any) -> Any:  # noqa: N802 (it makes an object of Lightning's class)
    """``Trainer(callbacks=[MonitorCallback(every=100, to="run/hc.ndjson")])``.

    Args:
        options: those of `monitor` but the model. Steps are Lightning's ``global_step``.
    """
    old = "pytorch_lightning" in sys.modules
    base: Any = import_module("pytorch_lightning" if old else "lightning.pytorch").Callback

    class Watch(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self._stack = ExitStack()

        def on_train_start(self, trainer: Any, module: Any) -> None:
            self._stack.close()
            settings = {"first": trainer.global_step, **options}
            self._stack.enter_context(monitor(_called(module), **settings))

        def on_train_end(self, trainer: Any, module: Any) -> None:
            del trainer, module
            self._stack.close()

        def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
            del trainer, module, exception
            self._stack.close()

        def __reduce__(self) -> Any:
            """Processes that are spawned are given one of their own."""
            return _made, (options,)

    return Watch()


def _made(options: dict[str, Any]) -> Any:
    return MonitorCallback(**options)
