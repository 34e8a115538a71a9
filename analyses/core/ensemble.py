"""Random matrices that are not those of random parameters, and what is known of their law."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

if TYPE_CHECKING:
    from fractions import Fraction  # a command that needs none starts sooner

Sampler = Callable[[int, np.random.Generator], Any]
"""``(n, rng) -> (n, d, d)`` float64 matrices."""


class Circulants(NamedTuple):
    """How circulant 3 x 3 matrices are drawn: in words, and ``(n, rng) -> (n, 3, 3)``."""

    description: str
    draw: Sampler


class Ensemble(ABC):
    """A distribution of ``d x d`` matrices; every default says that nothing more is known."""

    @abstractmethod
    def __call__(self, n: int, rng: np.random.Generator) -> Array:
        """Random matrices ``(n, d, d)``, float64."""

    def entry_variance(self) -> "Fraction | None":
        """Variance of an entry, of mean 1/d; None if not known.

        Only of a law that no permutation of rows or of columns changes.
        """
        return None

    def circulants(self) -> Circulants | None:
        """The like of it on circulant matrices, for d = 3."""
        return None
