"""A language model and the tokens to run it on."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.networks.language_model import LanguageModel, State, states

TOKENS = 4096
"""Tokens in a batch: what a model keeps of them does not grow with how many there are."""

WIDE = 256
"""Width of a stream from which on a layer is worth sharing among cores."""


@dataclass(frozen=True)
class TokenRun:
    """A model at one step of its training, and the sequences that go through it.

    Attributes:
        load: reads the model, of numpy arrays in float32; a series is never in memory as a whole.
        tokens: ``(sequences, length)`` int64.
        sites: layer, branch and name, in order of depth.
        source: where the model comes from, for titles and messages.
        step: training step, where it is known.
        meta: provenance for file metadata.
    """

    load: Callable[[], LanguageModel] = field(repr=False)
    tokens: Array = field(repr=False)
    sites: tuple[Site, ...]
    source: str
    step: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of tokens."""
        return int(self.tokens.size)


def in_torch(model: LanguageModel) -> LanguageModel:
    """The same model, of torch tensors that share its memory."""
    import torch

    return model.converted(lambda array: torch.as_tensor(np.asarray(array)))


def batches(tokens: Array) -> Iterator[Array]:
    """Whole sequences, ``(some, length)`` torch, about `TOKENS` tokens at a time."""
    import torch

    step = sequences_in_batch(tokens)
    for start in range(0, len(tokens), step):
        yield torch.from_numpy(tokens[start : start + step])


def sequences_in_batch(tokens: Array) -> int:
    """Sequences that go through a model together."""
    length: int = tokens.shape[1]
    return max(1, TOKENS // length)


@contextmanager
def inference(model: LanguageModel) -> Iterator[None]:
    """No gradients; every core for a wide model, as many threads as before for a narrow one.

    The command line starts torch with one thread: what it does elsewhere is too small to share.
    """
    import torch

    before = torch.get_num_threads()
    if model.positions.shape[1] >= WIDE:
        torch.set_num_threads(max(before, os.cpu_count() or 1))
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def matrices(model: LanguageModel, tokens: Array) -> Array:
    """H of every site, ``(samples, sites, d, d)`` numpy: tokens in order, sequence by sequence.

    Args:
        model: of torch tensors.
        tokens: ``(sequences, length)`` torch.
    """
    d = model.connections[0].d
    return _at_sites(model, tokens, lambda _, state: state.weights.mixing, (d, d))


def parameters(model: LanguageModel, tokens: Array) -> Array:
    """Parameters of H of every site, ``(samples, sites, p)``, as `matrices`."""

    def of(site: Connection, state: State) -> Array:
        return site.parameters(site.logits(state.before))

    return _at_sites(model, tokens, of, model.connections[0].mixing.static.shape)


def gates(model: LanguageModel, tokens: Array) -> Array:
    """H_pre, H_post and H of every site, ``(samples, sites, d + 2, d)``, as `matrices`."""
    d = model.connections[0].d
    return _at_sites(model, tokens, lambda _, state: state.weights.rows, (d + 2, d))


def _at_sites(
    model: LanguageModel,
    tokens: Array,
    take: Callable[[Connection, State], Array],
    shape: tuple[int, ...],
) -> Array:
    """What ``take`` makes of every site, ``(samples, sites, *shape)`` numpy."""
    import torch

    with inference(model):
        pairs = zip(model.connections, states(model, tokens), strict=True)
        values = [take(site, state).expand(*tokens.shape, *shape) for site, state in pairs]
        return torch.stack(values, dim=2).flatten(0, 1).cpu().numpy()
