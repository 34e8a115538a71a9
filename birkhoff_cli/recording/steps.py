"""Which training step it is: by calls of the optimizer, or by the calls of ``step()`` alone.

An optimizer counts if it holds a parameter of the model, and once however many optimizers step
between two training passes.
"""

from collections.abc import Callable
from typing import Any

from birkhoff_cli.recording.libraries._module import Detach, Module


class Steps:
    """Training steps that were taken, from 0.

    Attributes:
        taken: how many.
    """

    def __init__(self, model: Module, done: Callable[[int], None]) -> None:
        """Start to count.

        Args:
            model: whose parameters an optimizer must hold.
            done: is called after every step with its number; the first is 1.
        """
        self.taken, self._model, self._done = 0, model, done
        self._manual = False
        self._passes = 0  # training passes since the last step that was counted
        self._of_optimizer = False  # whether an optimizer's call was the last step
        self._own: dict[int, bool] = {}

    def attach(self) -> Detach:
        """Watch all optimizers."""
        from torch.optim.optimizer import register_optimizer_step_post_hook as register

        remove: Detach = register(self._after_optimizer).remove
        return remove

    def passed(self) -> None:
        """A training pass has begun."""
        self._passes += 1

    def step(self) -> None:
        """Count one; from now on optimizers do not count."""
        first, self._manual = not self._manual, True
        if first and self._of_optimizer and not self._passes:
            return  # the optimizer's call before it was this step
        self._count()

    def _after_optimizer(self, optimizer: Any, *_: Any) -> None:
        if self._manual or not self._is_own(optimizer):
            return
        if self._of_optimizer and not self._passes:
            return  # a second optimizer of the same step
        self._of_optimizer = True
        self._count()

    def _count(self) -> None:
        self._passes = 0
        self.taken += 1
        self._done(self.taken)

    def _is_own(self, optimizer: Any) -> bool:
        """Whether an optimizer holds a parameter of the model."""
        if id(optimizer) not in self._own:
            ours = {id(parameter) for parameter in self._model.parameters()}
            held = (id(p) for group in optimizer.param_groups for p in group["params"])
            self._own[id(optimizer)] = not ours.isdisjoint(held)
        return self._own[id(optimizer)]
