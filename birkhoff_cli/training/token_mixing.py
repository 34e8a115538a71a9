"""BE-HC's own network as named tensors, and what it learns: characters that were masked.

The start is that of the language model, with the logits of H as the paper has them: the method's
initial value plus N(0, 0.01), which for k = 64 permutations is 4 % of the identity.

Source: BE-HC ("Birkhoff-Exact Hyper-Connections"), sections B.2 and B.3; masks as in BERT,
arXiv:1810.04805, without its random replacements.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.networks.token_mixing import Block, TokenMixer, logits, mixed
from birkhoff_cli.training import text
from birkhoff_cli.training.network import SPREAD, Sizes, State, named
from birkhoff_cli.training.text import Tokens

MASKED = 0.15
NOISE = 0.01
UNASKED = -100
"""What torch's cross entropy leaves out."""


def arguments(map_: Parameterization, sizes: Sizes) -> dict[str, Any]:
    """What a checkpoint says of itself under ``model_args``."""
    return {
        "n_layer": sizes.layers,
        "n_embd": sizes.width,
        "block_size": sizes.length,
        "vocab_size": sizes.vocabulary,
        **named(map_),
    }


def start(map_: Parameterization, sizes: Sizes, seed: int) -> State:
    """Every tensor: Gaussian weights, gains of 1, H at its initial value.

    Raises:
        UsageError: H is not as large as a sequence is long.
    """
    import torch

    seen = f"--mix tokens with --d {map_.d} and sequences of {sizes.length} tokens"
    require(map_.d == sizes.length, seen, f"--d {map_.d} --length {map_.d}, or the like")
    generator = torch.Generator().manual_seed(seed)
    theta = map_.theta(sizes.layers, np.random.default_rng(seed), "init", NOISE)

    def normal(*shape: int, spread: float = SPREAD) -> Any:
        return torch.randn(*shape, generator=generator) * spread

    width, last = sizes.width, SPREAD / sqrt(2 * sizes.layers)
    state = {
        "embedding": normal(sizes.vocabulary + 1, width),
        "positions": normal(sizes.length, width),
        "norm": torch.ones(width),
    }
    for layer in range(sizes.layers):
        block = Block(
            torch.tensor(theta[layer], dtype=torch.float32),
            torch.ones(width),
            torch.ones(width),
            normal(4 * width, width),
            normal(width, 4 * width, spread=last),
        )
        state |= {f"blocks.{layer}.{n}": value for n, value in block._asdict().items()}
    return state


def model(state: State, map_: Parameterization, sizes: Sizes) -> TokenMixer:
    """What the tensors compute; gradients go through to them."""
    blocks = (
        Block(*(state[f"blocks.{layer}.{name}"] for name in Block._fields))
        for layer in range(sizes.layers)
    )
    return TokenMixer(map_, state["embedding"], state["positions"], tuple(blocks), state["norm"])


def layer_of(name: str) -> int | None:
    """The block that a tensor belongs to; None of one outside."""
    module, number, *_ = name.split(".") + [""]
    return int(number) if module == "blocks" else None


def stored(state: State) -> State:
    """The state as it is."""
    return {name: value.detach() for name, value in state.items()}


def batch(tokens: Tokens, count: int, sizes: Sizes, *seed: int) -> tuple[Any, Any]:
    """Sequences ``(count, length)`` with as many masks in each, and the tokens behind the masks."""
    import torch

    whole, _ = text.batch(tokens, count, sizes.length, *seed)
    order = np.random.default_rng((*seed, 1)).random(whole.shape).argsort(1)
    masked = torch.from_numpy(order < max(1, round(MASKED * sizes.length)))
    return whole.masked_fill(masked, sizes.vocabulary), whole.masked_fill(~masked, UNASKED)


def loss(state: State, map_: Parameterization, sizes: Sizes, seen: Any, targets: Any) -> Any:
    """Mean cross entropy, in nats, of the masked tokens."""
    from torch.nn.functional import cross_entropy

    predictions = logits(model(state, map_, sizes), seen)
    return cross_entropy(predictions.flatten(0, 1), targets.flatten(), ignore_index=UNASKED)


def matrices(state: State, map_: Parameterization, sizes: Sizes, seen: Any) -> Iterator[Any]:
    """H of every block, ``(d, d)``, as it is applied: what it makes of unit vectors."""
    import torch

    del seen
    unit = torch.eye(map_.d, device=state["positions"].device)
    for block in model(state, map_, sizes).blocks:
        yield mixed(map_, block.theta, unit)
