"""What may be known of a parameterization beyond its map.

Whatever differs from method to method is asked of the method, here. Every default says that
nothing is known, or does the work in the way that every map allows; a member overrides what it
knows. The claims of all members are tested against drawn matrices.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.ensemble import Circulants, Ensemble
from birkhoff_cli.analyses.core.pullback import Differentiable, by_torch
from birkhoff_cli.analyses.core.shapes import Shaped

if TYPE_CHECKING:
    from fractions import Fraction

    from birkhoff_cli.analyses.core.mixture import Mixture
    from birkhoff_cli.analyses.core.parameterization import Parameterization
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.geometry.sinkhorn import Balancing
    from birkhoff_cli.analyses.regions._known_reach import Reach


class Facts(ABC):
    """A map from parameters to matrices, with a default for everything that it may know."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Length p of the parameter vector of one matrix."""

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Values of the options but d, by name."""

    @abstractmethod
    def __call__(self, theta: Shaped[Array, "*batch p"]) -> Shaped[Array, "*batch d d"]:
        """Matrices ``(..., d, d)`` of parameters ``(..., p)``, differentiable, in their dtype."""

    @abstractmethod
    def simplified(self) -> "Parameterization":
        """A method of the same image, without products or averages that hold only one matrix."""

    def resolved(self) -> Mapping[str, Any]:
        """Every option but d, with what a variant sets in place of those that are not given."""
        return self.options

    # ways to compute

    def differentiable(self) -> Differentiable:
        """The map with its gradient: by torch, unless the member writes it out."""
        if not self.parameters:
            return lambda theta: (self(theta), lambda _: np.zeros_like(theta))
        return by_torch(self)

    def mix(
        self, theta: Shaped[Array, " p"], streams: Shaped[Array, "d width"]
    ) -> Shaped[Array, "d width"]:
        """``H @ streams`` for the parameters of one matrix and streams ``(d, width)``."""
        return self(theta) @ streams

    def eigenvalues(self, theta: Shaped[Array, "*batch p"]) -> Shaped[Array, "*batch d"] | None:
        """Eigenvalues ``(..., d)`` of the matrices of numpy parameters, if there is a formula.

        The 1 comes first; the array is real where all of them always are.
        """
        del theta
        return None

    def transpose_parameters(
        self, theta: Shaped[Array, "*batch p"]
    ) -> Shaped[Array, "*batch p"] | None:
        """Parameters ``(..., p)`` with the rows and columns of their logits exchanged.

        None where parameters are not those of entries.
        """
        del theta
        return None

    def variations(self) -> "Iterator[tuple[str, Parameterization]]":
        """The same map with other settings, as ports often have them, and what differs in words."""
        return iter(())

    def chart(self) -> Any:
        """A better way to move within the image than over the parameters, if there is one.

        See `birkhoff_cli.analyses.geometry.charts`.
        """
        return None

    def known_reach(self) -> "Reach | None":
        """What is known by argument of the eigenvalues it reaches, if anything is."""
        return None

    # the image

    @property
    def permutations(self) -> Any:
        """``(k, d)`` permutations that the map mixes with the weights softmax(theta); else None."""
        return None

    def mixtures(self) -> "tuple[Mixture, ...]":
        """Mixtures whose weights are softmax of parts of theta; none if the map has none."""
        if (perms := self.permutations) is None:
            return ()
        from birkhoff_cli.analyses.core.mixture import Mixture

        return (Mixture(len(perms), perms),)

    def nearest(self, h: Shaped[Array, "n d d"]) -> Shaped[Array, "n d d"] | None:
        """The points of the image, limits included, nearest to float64 matrices, if computable.

        NaN in all entries where only a search can tell; None if that is everywhere.
        """
        simple = self.simplified()
        return None if simple is self else simple.nearest(h)

    @property
    def factor_sides(self) -> tuple[int, ...]:
        """Sides of the factors, if matrices are Kronecker products or averages of these."""
        return ()

    def balancing(self) -> "Balancing | None":
        """How Sinkhorn-Knopp makes a matrix of the logits ``theta``, row by row; else None."""
        return None

    # the plane of a cycle

    def projection_support(self) -> "Support | None":
        """Closure of the projections of all matrices onto the plane of the d-cycle, d >= 3.

        None if not known.
        """
        simple = self.simplified()
        return None if simple is self else simple.projection_support()

    def slice_support(self) -> "Support | None":
        """Closure of the matrices that lie in the plane of a 3-cycle, d >= 3; None if not known."""
        simple = self.simplified()
        return None if simple is self else simple.slice_support()

    @property
    def is_local(self) -> bool:
        """Whether the matrices with a 3 x 3 block beside I are those of d = 3 beside I.

        Limits of matrices count; d is at least 3.
        """
        return False

    def circulants(self, how: str) -> Circulants | None:
        """How circulant matrices are drawn, d = 3, if not by parameters that are alike.

        Args:
            how: the distribution whose like is wanted.
        """
        ensemble = self.samplers().get(how)
        return ensemble.circulants() if ensemble else None

    def tied_parameters(self) -> Array | None:
        """Which parameters must be alike for the matrix to be circulant; None if not known.

        ``(p,)`` indices: the map of ``theta[tied]`` is circulant for every theta.
        """
        return None

    # random matrices

    def samplers(self) -> Mapping[str, Ensemble]:
        """Distributions of matrices that are not those of random parameters."""
        return {}

    def entry_variance(self, how: str) -> "Fraction | None":
        """Variance of an entry of mean 1/d; None if not known.

        Only of a law that no permutation of rows or of columns changes.

        Args:
            how: the distribution.
        """
        ensemble = self.samplers().get(how)
        return ensemble.entry_variance() if ensemble else None

    # counts

    def allocated(self, width: int) -> int | None:
        """Numbers that the released code of go-mHC's Table 9 allocates for a site, if it has it.

        With the gain of the norm; ``width`` channels per stream.
        """
        del width
        return None
