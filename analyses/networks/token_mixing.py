"""A network whose blocks mix the tokens of a sequence by one matrix each: BE-HC's own form.

Every block is ``X' = X + H RMSNorm(X)`` and then ``X'' = X' + W_2 GELU(W_1 RMSNorm(X'))``. H is
learned, static, and d x d for sequences of d tokens; any parameterization can give it.

H is not causal: a row reads the tokens that follow it, too, and the next token would be an input.
What is left to learn are tokens that were masked, from both sides.

Mixing is ``I + H`` of something bounded, and no contraction: in root mean square it adds at most
the largest gain of the norm if H has norm 1, so that X grows linearly in depth. That H is doubly
stochastic keeps the mean over tokens, and their differences fall behind it.

Source: BE-HC ("Birkhoff-Exact Hyper-Connections"), sections 2.3 and B.2, algorithm 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.parameterization import Parameterization

EPS = 1e-5
"""What RMSNorm adds to the mean square."""


class Block(NamedTuple):
    """One layer.

    Attributes:
        theta: ``(p,)``, parameters of H.
        norm_mix: ``(width,)``, gain of the norm before H.
        norm_mlp: ``(width,)``, gain of the norm before the hidden layer.
        inner: ``(hidden, width)``.
        outer: ``(width, hidden)``.
    """

    theta: Array
    norm_mix: Array
    norm_mlp: Array
    inner: Array
    outer: Array


@dataclass(frozen=True)
class TokenMixer:
    """The weights, of torch.

    Attributes:
        map: the parameterization of H, for as many streams as there are tokens.
        embedding: ``(vocabulary + 1, width)``: the last row is the mask, the others, transposed,
            make the logits.
        positions: ``(d, width)``.
        blocks: in order of depth.
        norm: ``(width,)``, gain of the last norm.
    """

    map: Parameterization
    embedding: Array
    positions: Array
    blocks: tuple[Block, ...]
    norm: Array


def states(model: TokenMixer, tokens: Array) -> Iterator[Array]:
    """X before the first block and after every block, ``(d, sequences, width)``."""
    from torch.nn.functional import gelu, linear

    x = model.embedding[tokens.T] + model.positions[:, None]
    yield x
    for block in model.blocks:
        x = x + mixed(model.map, block.theta, _normalised(x, block.norm_mix))
        hidden = gelu(linear(_normalised(x, block.norm_mlp), block.inner))
        x = x + linear(hidden, block.outer)
        yield x


def logits(model: TokenMixer, tokens: Array) -> Array:
    """``(sequences, d, vocabulary)``: what each of tokens ``(sequences, d)`` is."""
    for state in states(model, tokens):
        x = state
    return _normalised(x, model.norm).swapaxes(0, 1) @ model.embedding[:-1].T


def mixed(map_: Parameterization, theta: Array, x: Array) -> Array:
    """``H x`` for tokens ``(d, ...)``."""
    return map_.mix(theta, x.flatten(1)).reshape(x.shape)


def _normalised(x: Array, gain: Array) -> Array:
    from torch.nn.functional import rms_norm

    return rms_norm(x, gain.shape, gain, EPS)
