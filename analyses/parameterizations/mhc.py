"""mHC: exponentiate, then normalise columns and rows in turn (Sinkhorn-Knopp).

``theta`` holds the logits row by row in our orientation. A *variant* is what one paper or code
base does, turned to our orientation: most store the transpose of what they apply.

- ``paper``: 20 sweeps, each columns then rows; ``tokenbender``: 10, logits divided by 0.05.
- ``mhc-lite``: 20 sweeps, rows then columns.
- ``lucidrains``, ``megatron-main``: the same, with sums no smaller than 1e-12 or 1e-6.
- ``deepseek-v4``, ``megatron-dev``: columns then rows, 1e-6 added to the first softmax and to
  every later sum.
- ``xing``: rows then columns, 1e-6 added to every sum; ``motif``: the same, with sums no smaller
  than 1e-8. Both begin with the powers of logits that are clipped to [-30, 30] or [-20, 20].

After finitely many sweeps only the side that comes last holds, and with a guard it holds only
to about eps.

Source: mHC, arXiv:2512.24880; the variants from their code, as measured on its matrices.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, get_args

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, batch_first, lanes, namespace
from birkhoff_cli.analyses.core.ensemble import Ensemble
from birkhoff_cli.analyses.core.parameterization import (
    COLUMNS,
    MAX_SCALE,
    NONNEGATIVE,
    ROWS,
    Parameterization,
    require,
    require_scale,
)
from birkhoff_cli.analyses.core.pullback import Differentiable, Pullback
from birkhoff_cli.analyses.geometry.cycles import tied_entries
from birkhoff_cli.analyses.geometry.lanes import vectors
from birkhoff_cli.analyses.geometry.projection import only_doubly_stochastic
from birkhoff_cli.analyses.geometry.recipes import Name
from birkhoff_cli.analyses.geometry.sinkhorn import (
    Balancing,
    Guard,
    Side,
    Sweep,
    log_sweep,
    narrow,
    sweep,
    sweep_by_factors,
    sweep_with_pullback,
)
from birkhoff_cli.analyses.parameterizations._sinkhorn_variants import (
    EPS,
    MAX_ITERS,
    UNIFORM_START,
    VARIANTS,
    Settings,
    effective,
    scale_of_fixed,
    varied,
)

if TYPE_CHECKING:
    from birkhoff_cli.analyses.geometry.charts import Chart
    from birkhoff_cli.analyses.geometry.hypocycloids import Support
    from birkhoff_cli.analyses.regions._known_reach import Reach


@dataclass(frozen=True)
class MHC(Parameterization):
    """Truncated Sinkhorn-Knopp; what is not given comes from the variant."""

    variant: Annotated[Name, "whose Sinkhorn: sets the options below"] = "paper"
    iters: Annotated[int | None, "sweeps over both sides (20; tokenbender 10)"] = None
    tau: Annotated[float | None, "temperature dividing the logits (1; tokenbender 0.05)"] = None
    last: Annotated[Side | None, "side normalised last, and so exact"] = None
    guard: Annotated[Guard | None, "log: none needed; floor: max(sum, eps); add: sum + eps"] = None
    eps: Annotated[float | None, "size of the guard"] = None
    clip: Annotated[float | None, "largest logit, and smallest (xing 30, motif 20)"] = None

    source = "mHC, arXiv:2512.24880"

    def __post_init__(self) -> None:
        """Refuse settings no Sinkhorn could have."""
        super().__post_init__()
        known = ", ".join(VARIANTS)
        require(self.variant in VARIANTS, f"variant '{self.variant}'", f"one of {known}")
        s = self.settings
        require(
            0 <= s.iters <= MAX_ITERS, f"iters = {s.iters}", f"at least 0, {MAX_ITERS:,} at most"
        )
        fits = 1 / MAX_SCALE <= s.tau <= MAX_SCALE
        require(fits, f"tau = {s.tau:g}", f"above 0, {1 / MAX_SCALE:g} to {MAX_SCALE:g}")
        require(s.last in ("rows", "columns"), f"last '{s.last}'", "rows or columns")
        require(s.guard in EPS, f"guard '{s.guard}'", "log, floor or add")
        fits = 0 < s.clip <= MAX_SCALE or s.clip == math.inf
        require(fits, f"clip = {s.clip:g}", f"above 0, {MAX_SCALE:g} at most, or inf")
        require_scale(s.eps, "eps =")
        require(s.guard != "log" or not s.eps, f"eps = {s.eps:g} with guard log", "floor or add")

    @property
    def settings(self) -> Settings:
        """The variant's settings with what was given in their place."""
        preset = VARIANTS[self.variant]
        if self.guard not in (None, preset.guard):
            preset = preset._replace(eps=EPS.get(str(self.guard), 0.0))
        values = {n: getattr(self, n, None) for n in Settings._fields}
        return preset._replace(**{n: v for n, v in values.items() if v is not None})

    def resolved(self) -> Mapping[str, Any]:
        """The variant with all that it sets."""
        return {"variant": self.variant, **self.settings._asdict()}

    @property
    def exact(self) -> frozenset[str]:
        """The side normalised last, unless a guard keeps it from its sum."""
        s = self.settings
        sums = {s.last} if s.guard == "log" and s.iters else set()
        return frozenset({NONNEGATIVE, *sums})

    @property
    def parameters(self) -> int:
        """One logit per entry."""
        return self.d**2

    def __call__(self, theta: Array) -> Array:
        """Sinkhorn-Knopp; in the log domain where the linear one could leave the number range."""
        return self._balanced(theta, sweep)

    def _balanced(self, theta: Array, sweep: Sweep) -> Array:
        xp = namespace(theta)
        s = self.settings
        x = vectors(theta)
        z = x.reshape((self.d, self.d, *x.shape[1:]))
        z = z if s.tau == 1 else z / s.tau
        z = z if s.clip == math.inf else xp.clip(z, -s.clip, s.clip)
        first, last = self._axes
        axes = (first, last) * s.iters
        if s.guard == "log" and not axes:
            return batch_first(xp.exp(z), 2)
        shifted = z - xp.max(z, axis=first, keepdims=True)
        if s.guard == "log" and not narrow(shifted):
            return batch_first(log_sweep(z, axes), 2)
        h = xp.exp(z if s.start == "powers" else shifted)
        if s.guard == "add" and s.start == "usual":
            # V4 begins with a plain softmax + eps, whatever iters is
            h = h / xp.sum(h, axis=first, keepdims=True) + s.eps
            axes = (last, *axes[2:])
        return batch_first(sweep(h, axes, s.guard, s.eps), 2)

    def initial(self) -> Array:
        """0 on and -8 off the diagonal, or what the variant's code starts from."""
        if self.variant in UNIFORM_START:
            return np.zeros(self.d**2)
        eye = np.eye(self.d).ravel()
        return eye if self.variant == "lucidrains" else 8 * eye - 8

    def count(self, width: int) -> int:
        """Table 1 of go-mHC; tokenbender's logits are static: d^2 + 2d."""
        return self.d * (self.d + 2) if self.variant == "tokenbender" else super().count(width)

    def chart(self) -> "Chart | None":
        """The powers of the logits; without sweeps there is nothing better than theta.

        What is summed first may be scaled: a clip bounds only the ratios of its entries. Powers
        that are swept as they are reach down from the largest there is.
        """
        from birkhoff_cli.analyses.geometry.balances import SMALLEST, Balanced

        s = self.settings
        if not s.iters:
            return None
        largest = min(math.exp(s.clip), 1 / SMALLEST) if s.start == "powers" else None
        soft = s.guard == "add" and s.start == "usual"
        least = max(math.exp(-2 * s.clip), SMALLEST)
        return Balanced(self.d, self._axes * s.iters, s.guard, s.eps, soft, largest, least)

    def known_reach(self) -> "Reach | None":
        """Doubly stochastic matrices are fixed points of every sweep, up to a guard."""
        from birkhoff_cli.analyses.regions import _known_reach as known_reach

        s = self.settings
        if s.clip < math.inf or (s.guard == "floor" and (s.eps > 1 or not s.iters)):
            return None
        if s.guard == "add" and s.start != "usual":  # the first sums are not all alike
            return None
        because = "doubly stochastic matrices are fixed, up to the guards of their sums"
        return known_reach.doubly_stochastic(self.d, because, scale_of_fixed(s, self.d))

    def nearest(self, h: Array) -> Array | None:
        """A doubly stochastic matrix is a fixed point of every sweep, or a limit of such."""
        known = self.is_local and self.settings.clip == math.inf
        return only_doubly_stochastic(h) if known else None

    def flops(self) -> int:
        """4 S d^2 for S sweeps: Table 4 of go-mHC, C = 1."""
        return 4 * self.settings.iters * self.d**2

    @property
    def _axes(self) -> tuple[int, int]:
        """What the two halves of a sweep sum over: 0 makes columns sum to 1, 1 rows."""
        return (0, 1) if self.settings.last == "rows" else (1, 0)

    def balancing(self) -> Balancing:
        """The temperature, the last side, and every variant."""
        s = self.settings
        quick = partial(self._balanced, sweep=sweep_by_factors)
        return Balancing(s.tau, s.last, _variants(self.d), partial(effective, s, self.d), quick)

    def differentiable(self) -> Differentiable:
        """Written out where sweeps stay within the number range; by torch in the log domain."""
        s, by_torch = self.settings, super().differentiable()
        if s.clip < math.inf:
            return by_torch

        def evaluate(theta: Array) -> tuple[Array, Pullback]:
            z = np.ascontiguousarray(lanes(theta, 1)).reshape(self.d, self.d, -1) / s.tau
            z -= z.max(axis=self._axes[0], keepdims=True)
            if not s.iters or not narrow(z):
                return by_torch(theta)
            powers = np.exp(z)
            add = s.guard == "add"  # V4 begins with a plain softmax
            h, back = sweep_with_pullback(powers, self._axes * s.iters, s.guard, s.eps, softmax=add)

            def pullback(gradient: Array) -> Array:
                slope = back(lanes(gradient, 2)) * powers / s.tau
                return batch_first(slope.reshape(self.parameters, -1), 1)

            return batch_first(h, 2), pullback

        return evaluate

    def samplers(self) -> Mapping[str, Ensemble]:
        """Converged Sinkhorn of U(0, 1) entries; uniform on the Birkhoff polytope."""
        from birkhoff_cli.analyses.geometry.ensembles import SinkhornOfUniform, Uniform

        return {"sinkhorn-uniform": SinkhornOfUniform(self.d), "polytope": Uniform(self.d)}

    @property
    def is_local(self) -> bool:
        """Unless a guard adds to entries, which keeps them from 0."""
        return bool({ROWS, COLUMNS} & self.exact)

    def projection_support(self) -> "Support | None":
        """The polygon: a doubly stochastic matrix is a fixed point of every sweep without guard."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", self.d) if self.is_local else None

    def slice_support(self) -> "Support | None":
        """The triangle, for the same reason."""
        from birkhoff_cli.analyses.geometry.hypocycloids import Support

        return Support("polygon", 3) if self.is_local else None

    def tied_parameters(self) -> Array:
        """Entries along every shifted diagonal."""
        return tied_entries(self.d)

    def transpose_parameters(self, theta: Array) -> Array:
        """Those of every pair of entries, exchanged."""
        order = np.arange(self.d**2).reshape(self.d, self.d).T.ravel()
        return theta[..., order]

    def variations(self) -> Iterator[tuple[str, Parameterization]]:
        """Other numbers of iterations, sizes of the guard, and sides that come last."""
        for text, options in varied(self.settings):
            yield text, replace(self, **options)

    def allocated(self, width: int) -> int:
        """All that is learned, and the gain of the norm."""
        return self.count(width) + self.d * width


@cache
def _variants(d: int) -> Mapping[str, MHC]:
    return {name: MHC(d, variant=name) for name in get_args(Name)}


EXAMPLES = (
    MHC(4),
    MHC(3, variant="tokenbender"),
    MHC(4, variant="deepseek-v4"),
    MHC(2, variant="lucidrains", iters=3),
)
