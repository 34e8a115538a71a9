"""The steps of a run: AdamW, warm-up and cosine, clipped gradients; and how far it has come.

Source: github.com/karpathy/nanoGPT, train.py.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from birkhoff_cli import rooms
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import MAX_SCALE, Parameterization, require
from birkhoff_cli.analyses.core.training_log import LAYERS
from birkhoff_cli.training import network, token_mixing
from birkhoff_cli.training.network import Sizes, State
from birkhoff_cli.training.text import Text

BETAS = (0.9, 0.95)
DECAY = 0.1
CLIP = 1.0
LAST = 0.1
"""The learning rate at the end, as a share of the highest."""

EVALUATIONS = 10
"""Batches of each part of the text on which a model is judged, the same at every step."""

NEVER = 1 << 40
"""A step that no run has: the seed of the batches of an evaluation."""


@dataclass(frozen=True)
class Plan:
    """What is trained, on what, and how long."""

    map: Parameterization
    sizes: Sizes
    updates: int
    batch: int
    learning_rate: float
    warmup: int
    every: int
    seed: int
    device: Literal["cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]
    mix: Literal["streams", "tokens"] = "streams"

    def __post_init__(self) -> None:
        """Refuse what no run can be."""
        for name in ("updates", "batch", "every"):
            require(getattr(self, name) >= 1, f"--{name} {getattr(self, name)}", "at least 1")
        require(self.warmup >= 0, f"--warmup {self.warmup}", "0 or more")
        require(0 <= self.seed < 1 << 64, f"--seed {self.seed}", "0 or more, below 2^64")
        fits = 0 < self.learning_rate <= MAX_SCALE
        require(fits, f"--learning-rate {self.learning_rate}", f"above 0, {MAX_SCALE:g} at most")

    @property
    def network(self) -> Any:
        """The module of what is trained: its start, its batches, its loss and its matrices."""
        return {"streams": network, "tokens": token_mixing}[self.mix]

    def require_memory(self) -> None:
        """Hold that a step has room, and the libraries that take it, before they are loaded.

        Raises:
            TooLarge: the machine, the container or the limit of the process has too little.
        """
        self.map.require_memory()
        work = self._step_bytes() if self.device == "cpu" else 0
        rooms.require("torch", "torch._dynamo", "pyarrow", work=work)
        require_memory(work, f"a step with --batch {self.batch} and --width {self.sizes.width}")

    def _step_bytes(self) -> int:
        """About what one step keeps for its gradient, and the weights with their moments."""
        sizes, d = self.sizes, self.map.d
        streams = STREAMS * d * sizes.width + MATRIX * (self.map.parameters + d * d)
        each = streams if self.mix == "streams" else BRANCHES * sizes.width
        tokens = self.batch * sizes.length
        kept = tokens * (sizes.layers * each + LOGITS * sizes.vocabulary)
        weights = WEIGHTS * sizes.layers * sizes.width**2
        weights += (sizes.vocabulary + sizes.length) * sizes.width
        return FLOAT * (kept + MOMENTS * weights)


STREAMS, MATRIX, BRANCHES, LOGITS = 18, 8, 20, 3
"""Numbers that a step keeps: for a token and a layer, by the numbers of its streams, by the
parameters and entries of its H, by the width without streams; for a token, by the vocabulary.

Measured of peaks: within a third of them from 4 to 12 layers, for widths of 32 to 256.
"""

WEIGHTS, MOMENTS, FLOAT = 12, 4, 4
"""Weights of a layer by the square of its width; numbers kept of each; bytes of a number."""


@dataclass
class Run:
    """A model under way.

    Attributes:
        plan: what is trained.
        text: what it learns from.
        state: its tensors, which the optimizer changes in place.
        optimizer: torch's AdamW.
        step: steps taken.
        log: a row for every step taken.
    """

    plan: Plan
    text: Text
    state: State
    optimizer: Any
    step: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)


def begin(plan: Plan, text: Text) -> Run:
    """A run at step 0.

    Raises:
        Unsupported: there is no such device here.
        TooLarge: the parameters of a site do not fit in memory.
    """
    plan.require_memory()
    import torch

    if plan.device == "cuda" and not torch.cuda.is_available():
        raise Unsupported("--device cuda: torch finds no GPU on this machine; use --device cpu")
    started = plan.network.start(plan.map, plan.sizes, plan.seed)
    state = {name: value.to(plan.device).requires_grad_() for name, value in started.items()}
    return Run(plan, text, state, adamw(plan, state))


def adamw(plan: Plan, state: State) -> Any:
    """Decay for everything that is a matrix, as in nanoGPT."""
    import torch

    tensors = list(state.values())
    groups = [
        {"params": [t for t in tensors if t.dim() >= 2], "weight_decay": DECAY},
        {"params": [t for t in tensors if t.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=BETAS)


def advance(run: Run) -> Iterator[None]:
    """Take every step that is left, one at a time; judge every ``plan.every`` and at the end."""
    while run.step < run.plan.updates:
        row = _step(run)
        run.step += 1
        if run.step % run.plan.every == 0 or run.step == run.plan.updates:
            row |= judged(run)
        run.log.append(row)
        yield


def _step(run: Run) -> dict[str, Any]:
    """One step of the optimizer; a row of the log.

    Raises:
        BadInput: the loss is not finite, so that nothing more can be learned.
    """
    import torch

    plan = run.plan
    rate = learning_rate(plan, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    loss = _loss(run, run.text.learned, plan.seed, run.step)
    loss.backward()
    norms = _layer_norms(run)
    norm = torch.nn.utils.clip_grad_norm_(run.state.values(), CLIP)
    if not torch.isfinite(loss) or not torch.isfinite(norm):
        raise BadInput(
            f"training diverged at step {run.step + 1}: the loss or its gradient is not finite; "
            f"the checkpoints before it are there, try a lower --learning-rate"
        )
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    return {
        "step": run.step + 1,
        "loss": loss.item(),
        "gradient_norm": norm.item(),
        "learning_rate": rate,
        LAYERS: norms,
    }


def _layer_norms(run: Run) -> list[float]:
    """Norm of the gradient of each layer's tensors; what lies outside of layers is left out."""
    import torch

    named = [(run.plan.network.layer_of(n), t.grad) for n, t in run.state.items()]
    own = [(layer, g) for layer, g in named if layer is not None and g is not None]
    each = torch.stack([torch.linalg.vector_norm(g) for _, g in own]).double().square().tolist()
    squares = [0.0] * run.plan.sizes.layers
    for (layer, _), square in zip(own, each, strict=True):
        squares[layer] += square
    return [math.sqrt(square) for square in squares]


def learning_rate(plan: Plan, step: int) -> float:
    """Linear up to the highest, then half a cosine down to a tenth of it."""
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / (plan.warmup + 1)
    done = (step - plan.warmup) / max(1, plan.updates - plan.warmup)
    share = LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return plan.learning_rate * share


def _loss(run: Run, tokens: Any, *seed: int) -> Any:
    import torch

    plan = run.plan
    seen, targets = (
        part.to(plan.device) for part in plan.network.batch(tokens, plan.batch, plan.sizes, *seed)
    )
    with torch.autocast(plan.device, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        return plan.network.loss(run.state, plan.map, plan.sizes, seen, targets)


def judged(run: Run) -> dict[str, float]:
    """Losses on the same batches at every step, and how far row and column sums are from 1."""
    import torch

    parts = {"learned_loss": run.text.learned, "held_out_loss": run.text.held_out}
    with torch.inference_mode():
        numbers = {
            name: float(
                np.mean(
                    [
                        _loss(run, tokens, run.plan.seed, NEVER + k).item()
                        for k in range(EVALUATIONS)
                    ]
                )
            )
            for name, tokens in parts.items()
        }
        return numbers | _sums(run)


def _sums(run: Run) -> dict[str, float]:
    """Largest |sum - 1| of rows and columns of every H on one batch of held-out text."""
    plan = run.plan
    seen, _ = plan.network.batch(run.text.held_out, plan.batch, plan.sizes, plan.seed, NEVER)
    worst = {"row_error": 0.0, "column_error": 0.0}
    for matrix in plan.network.matrices(run.state, plan.map, plan.sizes, seen.to(plan.device)):
        h = matrix.double()
        for name, axis in (("row_error", -1), ("column_error", -2)):
            worst[name] = max(worst[name], (h.sum(axis) - 1).abs().max().item())
    return worst
