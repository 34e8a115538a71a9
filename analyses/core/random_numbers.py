"""Random numbers of blocks that are told apart by their number.

Block k of a draw has a stream of its own, so that it can be drawn alone, and the work cut anywhere.
The number of the block is in the counter of a Philox generator whose key is made of the seed. Its
first words start NumPy's SFC64, which draws a third faster than Philox itself.

Source: Salmon, Moraes, Dror & Shaw, SC11 (2011), for Philox.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import SFC64, Generator, Philox, SeedSequence
from numpy.random.bit_generator import ISeedSequence

from birkhoff_cli.analyses.core.arrays import Array

Seed = int | tuple[int, ...]
"""A whole number, 0 or more; with more numbers behind it, one of its children."""

MATRICES, CIRCULANTS, LOGITS, INPUTS, TARGETS = range(5)
"""What is drawn in blocks: each kind has numbers of its own."""


class _Key(ISeedSequence):
    """The key of a Philox generator: given as one, NumPy asks the system for a seed beside it."""

    def __init__(self, words: Array) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Array:
        return self.words[:n_words].astype(dtype)


class _Words(ISeedSequence):
    """The first numbers of a Philox generator, as NumPy starts other generators with them."""

    def __init__(self, philox: Philox) -> None:
        self.philox = philox

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Array:
        return self.philox.random_raw(n_words).astype(dtype)


def block_generator(seed: Seed, number: int, kind: int = MATRICES) -> Generator:
    """The random numbers of one block.

    Args:
        seed: of the whole draw.
        number: of the block.
        kind: what is drawn.
    """
    words: Any = _Words(Philox(_key(seed), counter=[0, 0, number, kind]))
    return Generator(SFC64(words))


def generator(seed: Seed) -> Generator:
    """The random numbers of what is not drawn in blocks."""
    return Generator(SFC64(SeedSequence(seed)))


@lru_cache(maxsize=64)
def _key(seed: Seed) -> Any:
    return _Key(SeedSequence(seed).generate_state(2, np.uint64))
