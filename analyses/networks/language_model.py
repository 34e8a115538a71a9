"""A small language model whose residual connections are hyper-connections: nanoGPT's.

The embedding of a token and of its position is copied to d streams. Every site mixes them, reads
one vector from them, and writes what its branch makes of it back. At the end every stream is
normalised, and only then are they summed; the embedding, transposed, gives the logits.

Source: github.com/karpathy/nanoGPT; hyper-connections as in arXiv:2409.19606, algorithm 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.networks.connection import Connection, Weights

EPS = 1e-5
"""What nanoGPT's layer norms add to the variance."""


class Affine(NamedTuple):
    """``weight (outputs, inputs) @ x + bias``; of a layer norm, ``weight (width,) * x + bias``."""

    weight: Array
    bias: Array | None = None


class Branch(NamedTuple):
    """Layer norm, a wider layer, causal attention or GELU, and back to the width of a stream.

    Attributes:
        name: attn or mlp.
        norm: of ``(width,)``.
        inner: ``(3 * width, width)``, queries, keys and values of all heads; or the hidden layer.
        outer: ``(width, width)`` or ``(width, hidden)``.
    """

    name: Literal["attn", "mlp"]
    norm: Affine
    inner: Affine
    outer: Affine


@dataclass(frozen=True)
class LanguageModel:
    """The weights, by what they do; of numpy to keep them, of torch to run them.

    Attributes:
        embedding: ``(vocabulary, width)``; its transpose makes the logits.
        positions: ``(block, width)``: block is the longest sequence that can be run.
        branches: one for each site, attention before mlp in every layer.
        connections: the sites, in order of depth.
        norm: before streams are summed.
        heads: of attention, in every layer.
    """

    embedding: Array
    positions: Array
    branches: tuple[Branch, ...]
    connections: tuple[Connection, ...]
    norm: Affine
    heads: int

    @property
    def vocabulary(self) -> int:
        """Number of tokens that have an embedding."""
        return int(self.embedding.shape[0])

    @property
    def block(self) -> int:
        """Length of the longest sequence."""
        return int(self.positions.shape[0])

    def converted(self, convert: Callable[[Array], Array]) -> "LanguageModel":
        """Every array replaced: numpy to torch, to another device or dtype, to a parameter."""

        def affine(a: Affine) -> Affine:
            return Affine(convert(a.weight), None if a.bias is None else convert(a.bias))

        return replace(
            self,
            embedding=convert(self.embedding),
            positions=convert(self.positions),
            branches=tuple(Branch(b.name, *map(affine, b[1:])) for b in self.branches),
            connections=tuple(c.converted(convert) for c in self.connections),
            norm=affine(self.norm),
        )

    def unmixed(self) -> "LanguageModel":
        """The same model with H = I at every site."""
        return replace(self, connections=tuple(replace(c, map=None) for c in self.connections))


class State(NamedTuple):
    """What happens at one site; streams are ``(sequences, length, d, width)``.

    Attributes:
        before: streams in.
        weights: what the site makes of them: H, and what its branch reads and where it writes.
        mixed: ``H @ before``.
        after: streams out, with the branch's part.
    """

    before: Array
    weights: Weights
    mixed: Array
    after: Array


def states(model: LanguageModel, tokens: Array) -> Iterator[State]:
    """Site after site, what tokens ``(sequences, length)`` make of the streams."""
    x = (model.embedding[tokens] + model.positions[: tokens.shape[-1]])[..., None, :]
    x = x.expand(*x.shape[:-2], model.connections[0].d, -1)
    for connection, branch in zip(model.connections, model.branches, strict=True):
        weights = connection(x)
        mixed = weights.mixing @ x
        read = (weights.pre[..., None, :] @ x)[..., 0, :]
        written = _branch(branch, read, model.heads)
        after = mixed + weights.post[..., None] * written[..., None, :]
        yield State(x, weights, mixed, after)
        x = after


def logits(model: LanguageModel, tokens: Array) -> Array:
    """``(sequences, length, vocabulary)``: what follows each of tokens ``(sequences, length)``."""
    for state in states(model, tokens):
        x = state.after
    return read_out(model, x)


def read_out(model: LanguageModel, streams: Array) -> Array:
    """Logits ``(..., vocabulary)`` of the streams ``(..., d, width)`` after the last site."""
    return _normalised(model.norm, streams).sum(-2) @ model.embedding.T


def loss(model: LanguageModel, tokens: Array, targets: Array) -> Array:
    """Mean cross entropy, in nats, of the targets that follow each token."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits(model, tokens).flatten(0, -2), targets.flatten())


def _branch(branch: Branch, x: Array, heads: int) -> Array:
    """``(sequences, length, width)`` to the same."""
    from torch.nn.functional import gelu, linear

    inner = linear(_normalised(branch.norm, x), *branch.inner)
    return linear(_attention(inner, heads) if branch.name == "attn" else gelu(inner), *branch.outer)


def _attention(x: Array, heads: int) -> Array:
    """Causal attention of ``(..., length, 3 * width)``: queries, keys, values, head by head."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = x.unflatten(-1, (3, heads, -1)).movedim((-3, -2), (0, -3))
    read = scaled_dot_product_attention(q, k, v, is_causal=True)
    return read.transpose(-3, -2).flatten(-2)


def _normalised(norm: Affine, x: Array) -> Array:
    from torch.nn.functional import layer_norm

    return layer_norm(x, x.shape[-1:], *norm, EPS)
