"""A small language model of any method with random weights, to time the method inside a network."""

from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.networks.language_model import Affine, Branch, LanguageModel

LAYERS, WIDTH, HEADS, LENGTH, VOCABULARY = 4, 32, 4, 64, 96
"""Those of the models in examples/: nanoGPT on characters."""

HIDDEN, SITES = 4 * WIDTH, 2 * LAYERS
SCALE = 0.01
"""Of all that follows the streams, as at the published start."""

SPREAD = 0.02


def count_weights(method: Parameterization) -> int:
    """Numbers with which the sites of the model follow its streams; the others are few."""
    return SITES * method.d * WIDTH * (method.parameters + 2 * method.d)


def small_model(method: Parameterization, like: Any, seed: int) -> LanguageModel:
    """The model with torch weights, of the device and dtype of a tensor ``like``.

    H, what a branch reads and where it writes follow the streams at every site, for every method
    alike, whatever its paper does.
    """
    import torch

    generator = torch.Generator(like.device).manual_seed(seed)

    def normal(*shape: int) -> Any:
        values = torch.empty(shape, dtype=like.dtype, device=like.device)
        return values.normal_(0, SPREAD, generator=generator)

    def linear(outputs: int, inputs: int) -> Affine:
        return Affine(normal(outputs, inputs))

    def norm() -> Affine:
        return Affine(torch.ones(WIDTH, dtype=like.dtype, device=like.device))

    return LanguageModel(
        embedding=normal(VOCABULARY, WIDTH),
        positions=normal(LENGTH, WIDTH),
        branches=tuple(
            branch
            for _ in range(LAYERS)
            for branch in (
                Branch("attn", norm(), linear(3 * WIDTH, WIDTH), linear(WIDTH, WIDTH)),
                Branch("mlp", norm(), linear(HIDDEN, WIDTH), linear(WIDTH, HIDDEN)),
            )
        ),
        connections=tuple(_site(method, normal) for _ in range(SITES)),
        norm=norm(),
        heads=HEADS,
    )


def _site(method: Parameterization, normal: Any) -> Connection:
    """A site whose three gates follow all streams together; it begins where the map does."""
    import torch

    d, p = method.d, method.parameters
    static = normal(p + 2 * d)
    with torch.no_grad():
        static[:p] = torch.as_tensor(method.initial())
    scale, order = torch.full_like(static[:1], SCALE)[0], np.arange(p + 2 * d)
    ends = (0, p, p + d, p + 2 * d)
    mixing, pre, post = (
        Gate(static[a:b], scale, order[None, a:b], bounds)
        for a, b, bounds in zip(ends, ends[1:], (None, (0, 1), (0, 2)), strict=False)
    )
    weight = normal(d * WIDTH, p + 2 * d)
    return Connection(method, d, WIDTH, mixing, pre, post, weight, Norm("inside", 1e-6))
