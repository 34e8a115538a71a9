"""Maps with their gradients.

A `Differentiable` takes parameters ``(batch, p)`` to matrices ``(batch, d, d)`` and to a pullback,
which takes the gradient in the matrices to that in the parameters, once, before the next call.
"""

from collections.abc import Callable
from typing import TypeAlias

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.threads import one_thread

Pullback: TypeAlias = Callable[[Array], Array]
Differentiable: TypeAlias = Callable[[Array], tuple[Array, Pullback]]


def by_torch(function: Callable[[Array], Array]) -> Differentiable:
    """A map of torch tensors, differentiated by torch, for numpy arrays."""

    def evaluate(theta: Array) -> tuple[Array, Pullback]:
        import torch

        x = torch.from_numpy(theta).requires_grad_()
        with one_thread():
            h = function(x)

        def pullback(gradient: Array) -> Array:
            with one_thread():
                (slope,) = torch.autograd.grad(h, x, torch.from_numpy(gradient))
            return slope.numpy()

        return h.detach().numpy(), pullback

    return evaluate
