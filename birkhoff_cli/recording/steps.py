"""Which training step it is: by calls of the optimizer, or by the calls of ``step()`` alone.

An optimizer counts if it holds a parameter of the model, and once however many optimizers step
between two training passes.
"""

from collections.abc import Callable
from typing import Any
from weakref import ref

from birkhoff_cli.recording.libraries._module import Detach, Module, do_nothing, uncompiled
from birkhoff_cli.recording.warning import warn

STRANGE, WITHOUT = 3, 1000
"""Calls of optimizers of other parameters, and passes, after which steps must have been counted."""


class Steps:
    """Training steps that were taken, from 0.

    Attributes:
        taken: how many.
        counted: whether one was counted here.
    """

    def __init__(self, model: Module, done: Callable[[int], None], first: int = 0) -> None:
        """Start to count.

        Args:
            model: whose parameters an optimizer must hold.
            done: is called after every step with its number; the first is 1.
            first: steps that were taken before.
        """
        self.taken, self.counted, self._model, self._done = first, False, model, done
        self._manual = False
        self._passes = 0  # training passes since the last step that was counted
        self._strange = 0  # calls of optimizers that hold nothing of the model
        self._of_optimizer = False  # whether an optimizer's call was the last step
        self._own: dict[int, tuple[Any, int, bool]] = {}  # by id: some are equal or not hashable
        self._failed = False

    @property
    def is_lost(self) -> bool:
        """Whether a run goes on and nothing counts its steps, as with copies of the parameters."""
        without = self._strange >= STRANGE and self._passes >= STRANGE
        return not self.counted and (without or self._passes >= WITHOUT)

    def attach(self) -> Detach:
        """Watch all optimizers."""
        from torch.optim.optimizer import register_optimizer_step_post_hook as register

        remove: Detach = register(uncompiled(self._guarded, do_nothing)).remove
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

    def _guarded(self, optimizer: Any, *_: Any) -> None:
        """An error of ours is said once, and ends no training."""
        try:
            self._after_optimizer(optimizer)
        except Exception as error:
            if not self._failed:
                self._failed = True
                name, fault = type(optimizer).__name__, type(error).__name__
                warn(f"birkhoff: a step of {name} is not counted: {fault}: {error}")

    def _after_optimizer(self, optimizer: Any) -> None:
        if self._manual:
            return
        if not self._is_own(optimizer):
            self._strange += 1
            return
        if self._of_optimizer and not self._passes:
            return  # a second optimizer of the same step
        self._of_optimizer = True
        self._count()

    def _count(self) -> None:
        self._passes, self.counted = 0, True
        self.taken += 1
        self._done(self.taken)

    def _is_own(self, optimizer: Any) -> bool:
        """Whether an optimizer holds a parameter of the model."""
        groups = getattr(optimizer, "param_groups", ())
        ids = sum(len(group["params"]) for group in groups)
        known, size, own = self._own.get(id(optimizer), (None, -1, False))
        if known is None or known() is not optimizer or (not own and size != ids):
            ours = {id(parameter) for parameter in self._model.parameters()}
            own = any(id(p) in ours for group in groups for p in group["params"])
            self._own[id(optimizer)] = (ref(optimizer), ids, own)  # parameters may be added to it
        return own
