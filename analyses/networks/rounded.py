"""A language model whose numbers are held in a narrow format, and what it makes of tokens then.

What is rounded: the tensors of its hyper-connections (theta), every matrix H that is applied
(matrices), or all that a server quantises after training (model): the weights of attention, of mlp
and of the embeddings too. Norms and biases of the branches stay as they are, as servers leave them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry.rounding import MATRIX, ROW, stored
from birkhoff_cli.analyses.networks.connection import Connection, Weights
from birkhoff_cli.analyses.networks.language_model import (
    Affine,
    Branch,
    LanguageModel,
    read_out,
    states,
)

Scales = Literal["tensor", "row"]
"""Numbers that share a step: those of a whole tensor, or those of one of its outputs."""

OUTPUTS_LAST = (-2,)
"""Axes of the numbers that make one output, where a tensor has its outputs last."""

Store = Callable[[Array, tuple[int, ...]], Array]
"""From numbers, and the axes of those that share a step, to what a format holds of them."""


class Rounding(NamedTuple):
    """What is rounded, and how.

    Attributes:
        what: theta, matrices or model.
        format: of `geometry.rounding`.
        scales: numbers that share a step, if the format is one of whole numbers.
    """

    what: str
    format: str
    scales: Scales

    def store(self, x: Array, outputs: tuple[int, ...] = ROW) -> Array:
        """Numbers as they are held, in their own dtype.

        Args:
            x: of any shape.
            outputs: axes of the numbers that make one output.
        """
        array = np.asarray(x)
        axes = outputs if self.scales == "row" and array.ndim > 1 else MATRIX[-array.ndim :]
        return stored(array, self.format, axes if array.ndim else ()).astype(array.dtype)


@dataclass(frozen=True)
class StoredMixing(Connection):
    """A site whose H is held in a narrow format before it is applied."""

    rounding: Rounding | None = None

    def weights(self, z: Array | None) -> Weights:
        """Those of the site, H rounded; of torch."""
        weights = super().weights(z)
        if self.rounding is None:
            return weights
        return weights._replace(mixing=_in_numpy(self.rounding.store, weights.mixing))


def _in_numpy(store: Callable[[Array], Array], h: Array) -> Array:
    import torch

    return torch.from_numpy(store(h.numpy()))


def round_model(model: LanguageModel, rounding: Rounding) -> LanguageModel:
    """The model with what is to be rounded, of numpy arrays as before."""
    if rounding.what == "matrices":
        return replace(model, connections=tuple(_applied(c, rounding) for c in model.connections))
    sites = tuple(_tensors(c, rounding) for c in model.connections)
    if rounding.what == "theta":
        return replace(model, connections=sites)
    return replace(
        model,
        connections=sites,
        embedding=rounding.store(model.embedding),
        positions=rounding.store(model.positions),
        branches=tuple(_branch(b, rounding) for b in model.branches),
    )


def _applied(site: Connection, rounding: Rounding) -> StoredMixing:
    own = {f.name: getattr(site, f.name) for f in fields(site)}
    return StoredMixing(**own, rounding=rounding)


def _tensors(site: Connection, rounding: Rounding) -> Connection:
    """Every tensor; the large weight has its outputs last."""
    weight = None if site.weight is None else rounding.store(site.weight, OUTPUTS_LAST)
    return replace(site.converted(rounding.store), weight=weight)


def _branch(branch: Branch, rounding: Rounding) -> Branch:
    inner, outer = (Affine(rounding.store(a.weight), a.bias) for a in (branch.inner, branch.outer))
    return branch._replace(inner=inner, outer=outer)


class Run(NamedTuple):
    """What a model makes of a batch of tokens.

    Attributes:
        matrices: ``(tokens, sites, d, d)`` float64.
        losses: ``(tokens that have a next one,)``, cross entropy of the next token in nats.
        right: the same, 1 where the likeliest token is the next one.
    """

    matrices: Array
    losses: Array
    right: Array


def run_tokens(model: LanguageModel, tokens: Array) -> Run:
    """Run tokens ``(sequences, length)`` through a model, both of torch.

    The vocabulary's numbers are held for one sequence at a time.
    """
    import torch
    from torch.nn.functional import cross_entropy

    d = model.connections[0].d
    mixing = []
    for state in states(model, tokens):
        mixing.append(state.weights.mixing.expand(*tokens.shape, d, d))
        streams = state.after
    losses, right = [], []
    for sequence, own in zip(streams, tokens, strict=True):
        logits, following = read_out(model, sequence)[:-1], own[1:]
        losses.append(cross_entropy(logits, following, reduction="none"))
        right.append(logits.argmax(-1) == following)
    matrices = torch.stack(mixing, dim=2).flatten(0, 1)
    return Run(*(x.double().numpy() for x in (matrices, torch.cat(losses), torch.cat(right))))
