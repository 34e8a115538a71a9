"""What every method keeps of its gradients."""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.testing._holding import hold, largest, near
from birkhoff_cli.testing._parameters import gaussian

STEP = 1e-6
"""Of central differences, whose error is of order STEP^2 and of rounding over STEP."""

SLOPE = 1e-6
"""Error of a central difference of an entry, relative to slopes of size 1."""

DIRECTIONS = 6
"""Random directions in which slopes are compared."""


def gradients_agree_with_differences(method: Parameterization) -> None:
    """By torch and as the method itself writes them out, against central differences."""
    if not method.parameters:
        return
    theta = gaussian(method, 2)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(2, method.d, method.d))
    ways = {"torch": _by_torch(method, theta, weights)}
    _, pullback = method.differentiable()(theta.copy())
    ways["differentiable()"] = np.asarray(pullback(weights.copy()))
    for _ in range(DIRECTIONS):
        way = rng.normal(size=theta.shape)
        ahead, behind = (method(theta + sign * STEP * way) for sign in (1, -1))
        slope = ((ahead - behind) * weights).sum((-2, -1)) / (2 * STEP)
        bound = SLOPE * max(1.0, largest(slope)) * method.d
        for name, gradient in ways.items():
            slope_by_method = (gradient * way).sum(-1)
            near(slope_by_method, slope, bound, f"slope by {name} and by differences")


def _by_torch(method: Parameterization, theta: Array, weights: Array) -> Array:
    import torch

    x = torch.asarray(theta).requires_grad_()
    h = method(x)
    hold(h.requires_grad, "H of a torch tensor that requires a gradient has none")
    (gradient,) = torch.autograd.grad((h * torch.asarray(weights)).sum(), x)
    return np.asarray(gradient)


def gradients_are_finite_near_and_far(method: Parameterization) -> None:
    """At the start, where some maps have a corner, and where exponentials run over."""
    import torch

    for scale in (0.0, 1.0, 1e3):
        for dtype in (torch.float32, torch.float64):
            start = method.initial() + gaussian(method, 4, scale)
            theta = torch.asarray(start).to(dtype).requires_grad_()
            h = method(theta)
            weights = torch.arange(h.numel(), dtype=dtype).reshape(h.shape)
            (gradient,) = torch.autograd.grad((h * weights).sum(), theta)
            here = f"{scale:g} away from the start in {dtype}"
            hold(gradient.dtype == dtype, f"the gradient {here} is {gradient.dtype}")
            hold(gradient.isfinite().all(), f"the gradient {here} is not finite")
