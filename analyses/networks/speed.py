"""How fast a map makes matrices on this machine, forward and with its gradient."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.threads import one_thread

SECONDS, ROUNDS = 0.05, 3
"""A measurement is the median of a few rounds, each of a fixed length at least."""

MAX_NUMBERS = 400_000
"""Numbers in a measured batch; the gradient of 20 Sinkhorn sweeps keeps a hundred copies."""

COPIES = 200


class Speed(NamedTuple):
    """Matrices of a measured batch, and matrices per second."""

    batch: int
    forward: float
    forward_backward: float


def measure_speed(method: Parameterization, draws: Draws, rng: np.random.Generator) -> Speed:
    """The speed of a map at random parameters, through torch in one thread.

    Raises:
        TooLarge: a batch does not fit in memory.
    """
    size = method.parameters + method.d**2
    batch = max(1, min(draws.samples, MAX_NUMBERS // size))
    require_memory(8 * COPIES * batch * size, f"{batch:,} matrices with their gradients")
    theta = method.theta(batch, rng, draws.draw or "gaussian", draws.scale)
    return Speed(batch, *_rates(method, theta, draws))


def _rates(method: Parameterization, theta: Any, draws: Draws) -> tuple[float, float]:
    """Matrices per second, forward, and forward and backward; one thread on the CPU."""
    import torch

    kind = getattr(torch, draws.dtype)
    there = torch.as_tensor(np.ascontiguousarray(theta), dtype=kind, device=draws.device)
    learned = there.clone().requires_grad_()
    weights = torch.ones((len(theta), method.d, method.d), dtype=kind, device=draws.device)

    def forward() -> None:
        with torch.no_grad():
            method(there)

    def backward() -> None:
        torch.autograd.grad(method(learned), learned, weights)

    with one_thread():
        seconds = [_seconds(call, draws.device) for call in (forward, backward)]
    return len(theta) / seconds[0], len(theta) / seconds[1]


def _seconds(call: Callable[[], None], device: str) -> float:
    """Median over rounds of the time of a call; on the CPU its own, whoever else is busy there."""
    import torch

    clock = time.perf_counter if device == "cuda" else time.process_time
    wait: Callable[[], Any] = torch.cuda.synchronize if device == "cuda" else bool
    call()
    found = []
    for _ in range(ROUNDS):
        wait()
        begin, calls, spent = clock(), 0, 0.0
        while spent < SECONDS:
            call()
            wait()
            calls, spent = calls + 1, clock() - begin
        found.append(spent / calls)
    return float(np.median(found))
