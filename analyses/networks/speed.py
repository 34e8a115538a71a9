"""How fast a method is on this machine: its matrices, what they do to streams, and a whole network.

Everything runs through torch: on the CPU in one thread, against CPU time, which is its own whoever
else is busy there; on a GPU against a clock.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.errors import NoRoom, TooLarge
from birkhoff_cli.analyses.core.facts import Facts
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.networks.live_memory import peak_bytes

SECONDS, ROUNDS = 0.05, 5
"""A rate is the median of a few rounds, each of a fixed length at least."""

MAX_NUMBERS = 400_000
"""Numbers in a measured batch; the gradient of 20 Sinkhorn sweeps keeps a hundred copies."""

COPIES = 200
MODEL_NUMBERS, MODEL_COPIES, MAX_SEQUENCES = 2_000_000, 40, 4
"""Numbers of parameters and streams in a batch of the model, copies that its gradient keeps, and
its longest batch."""

SPEEDS = (
    column("batch", "float64", "matrices made at a time", nullable=True),
    column("forward", "float64", "made per second", unit="1/s", nullable=True),
    column("forward_backward", "float64", "made, with gradients", unit="1/s", nullable=True),
    column("sequences", "float64", "sequences of 64 tokens the model takes", nullable=True),
    column(
        "tokens", "float64", "tokens the small model reads per second", unit="1/s", nullable=True
    ),
    column(
        "tokens_backward",
        "float64",
        "tokens it takes per second with the gradient of all its weights",
        unit="1/s",
        nullable=True,
    ),
    column("mixed", "float64", "tokens whose streams a matrix mixes at a time", nullable=True),
    column("dense", "float64", "tokens per second, H @ streams", unit="1/s", nullable=True),
    column(
        "dense_bytes",
        "float64",
        "most memory that one token takes at once: H is made and multiplied; its streams aside",
        unit="B",
        nullable=True,
    ),
    column(
        "gather",
        "float64",
        "tokens per second of the method's own way, without H; null if it has none",
        unit="1/s",
        nullable=True,
    ),
    column("gather_bytes", "float64", "most memory of a token that way", unit="B", nullable=True),
    column(
        "spread",
        "float64",
        "largest (fastest - slowest round) / median of these rates",
        nullable=True,
    ),
    column("unmeasured", "string", "why a rate is not known", nullable=True),
)


class Rate(NamedTuple):
    """Times a second, the median over rounds, and how far the rounds are apart, relative to it."""

    median: float
    spread: float


def measure(
    method: Parameterization, draws: Draws, width: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Columns `SPEEDS` of a method at random parameters; null, with the reason, what is too large.

    Args:
        method: of its d.
        draws: batch, distribution of the parameters, dtype and device.
        width: of the streams that are mixed by one matrix; the small model has its own.
        rng: of parameters and streams.
    """
    row: dict[str, Any] = {c.name: None for c in SPEEDS}
    spreads: list[float] = []
    reasons: list[str] = []
    with one_thread():
        for part in (_making, _network, _mixing):
            try:
                for name, value in part(method, draws, width, rng).items():
                    rate = isinstance(value, Rate)
                    row[name] = value.median if rate else value
                    spreads += [value.spread] if rate else []
            except NoRoom:  # for a library: no method is too large
                raise
            except TooLarge as error:
                reasons.append(str(error))
    return row | {
        "spread": max(spreads, default=None),
        "unmeasured": "; ".join(reasons) or None,
    }


def _making(
    method: Parameterization, draws: Draws, width: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Matrices per second, forward, and forward and backward."""
    del width
    import torch

    size = method.parameters + method.d**2
    batch = max(1, min(draws.samples, MAX_NUMBERS // size))
    require_memory(8 * COPIES * batch * size, f"{batch:,} matrices with their gradients")
    there = _parameters(method, batch, draws, rng)
    learned = there.clone().requires_grad_()
    weights = torch.ones((batch, method.d, method.d), dtype=there.dtype, device=there.device)

    def forward() -> None:
        with torch.no_grad():
            method(there)

    def backward() -> None:
        torch.autograd.grad(method(learned), learned, weights)

    return {
        "batch": batch,
        "forward": _rate(forward, draws.device, batch),
        "forward_backward": _rate(backward, draws.device, batch),
    }


def _network(
    method: Parameterization, draws: Draws, width: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Tokens per second of `small_model`, forward, and with the gradient of all its weights."""
    del width
    import torch

    from birkhoff_cli.analyses.networks import language_model, small_model

    numbers = method.parameters + method.d * (method.d + small_model.WIDTH)
    fitting = MODEL_NUMBERS // (small_model.LENGTH * numbers)
    shape = max(1, min(MAX_SEQUENCES, fitting)), small_model.LENGTH
    activations = MODEL_COPIES * small_model.SITES * shape[0] * shape[1] * numbers
    size = 8 * (2 * small_model.count_weights(method) + activations)
    require_memory(size, "the small model with its gradients")
    like = _parameters(method, 1, draws, rng)
    model = small_model.small_model(method, like, int(rng.integers(2**31)))
    inputs, targets = (
        torch.as_tensor(rng.integers(small_model.VOCABULARY, size=shape), device=like.device)
        for _ in range(2)
    )
    learned: list[Any] = []

    def leaf(values: Any) -> Any:
        learned.append(values.detach().requires_grad_())
        return learned[-1]

    trained = model.converted(leaf)

    def forward() -> None:
        with torch.no_grad():
            language_model.logits(model, inputs)

    def backward() -> None:
        value = language_model.loss(trained, inputs, targets)
        torch.autograd.grad(value, learned, allow_unused=True)

    tokens = shape[0] * shape[1]
    return {
        "sequences": shape[0],
        "tokens": _rate(forward, draws.device, tokens),
        "tokens_backward": _rate(backward, draws.device, tokens),
    }


def _mixing(
    method: Parameterization, draws: Draws, width: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Tokens per second whose streams one matrix mixes: as a product, and by `Facts.mix`."""
    import torch

    theta = _parameters(method, 1, draws, rng)[0]
    tokens = max(1, MAX_NUMBERS // (method.d * width))
    size = 8 * (4 * method.d * width * tokens + COPIES * (method.parameters + method.d**2))
    require_memory(size, f"streams of {method.d} x {width:,} numbers")
    streams = torch.as_tensor(
        rng.standard_normal((method.d, tokens * width)), dtype=theta.dtype, device=theta.device
    )

    one = streams[:, :width].clone()
    with torch.no_grad():
        h = method(theta)
        row: dict[str, Any] = {
            "mixed": tokens,
            "dense": _rate(lambda: h @ streams, draws.device, tokens),
            "dense_bytes": peak_bytes(lambda: Facts.mix(method, theta, one), theta, one),
        }
        if type(method).mix is not Facts.mix:
            row["gather"] = _rate(lambda: method.mix(theta, streams), draws.device, tokens)
            row["gather_bytes"] = peak_bytes(lambda: method.mix(theta, one), theta, one)
    return row


def _parameters(method: Parameterization, n: int, draws: Draws, rng: np.random.Generator) -> Any:
    """Random parameters ``(n, p)`` of torch, as the draws say."""
    import torch

    theta = method.theta(n, rng, draws.draw or "gaussian", draws.scale)
    return torch.as_tensor(
        np.ascontiguousarray(theta), dtype=getattr(torch, draws.dtype), device=draws.device
    )


def _rate(call: Callable[[], Any], device: str, count: int) -> Rate:
    """So many at every call: per second of this process's CPU time, or of a clock on a GPU."""
    import torch

    clock = time.perf_counter if device == "cuda" else time.process_time
    wait: Callable[[], Any] = torch.cuda.synchronize if device == "cuda" else bool
    call()
    rates = []
    for _ in range(ROUNDS):
        wait()
        begin, calls, spent = clock(), 0, 0.0
        while spent < SECONDS:
            call()
            wait()
            calls, spent = calls + 1, clock() - begin
        rates.append(count * calls / spent)
    median = float(np.median(rates))
    return Rate(median, (max(rates) - min(rates)) / median)
