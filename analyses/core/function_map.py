"""A function of one's own as a parameterization: from a vector of parameters to a matrix.

Nothing is claimed of its matrices, so that nothing but measuring tells what they are. It may take
numpy arrays or torch tensors, one vector or a batch of them: all is tried at a few points, where
the function is called some ten times. Derivatives are torch's if it takes tensors, else central
differences.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import isroutine
from math import prod
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, namespace
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.analyses.core.parameterization import Parameterization, require
from birkhoff_cli.analyses.core.shortage import is_short_of_memory

Way: TypeAlias = Literal["batch", "vmap", "loop"]
"""How a function gets a batch: as it is, through torch's vmap, or row by row."""

GOLDEN = (np.sqrt(5) - 1) / 2
PROBES = 3
AGREEMENT = 1e-9
"""Largest difference of a batch to its rows one by one that rounding explains."""


@dataclass(frozen=True)
class FunctionMap(Parameterization):
    """The map of a function; `birkhoff_cli.method` makes one."""

    function: Callable[[Array], Array] | None = None
    length: int = 0

    source: ClassVar[str] = "a function of yours"
    exact: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        """Hold that it gives matrices.

        Raises:
            UsageError: it does not, or it cannot be called with so many parameters.
        """
        super().__post_init__()
        require(self.length >= 0, f"parameters = {self.length}", "0 or more")
        if self._numpy is None and self._torch is None:
            error = vars(self)["_error"]
            raise UsageError(
                f"{self.name} gives no {self.d} x {self.d} matrix of {self.length} parameters, as "
                f"a numpy array or a torch tensor ({' '.join(str(error).split())}); mend it, or "
                f"give other d and parameters"
            )

    @property
    def name(self) -> str:
        """The function's name."""
        return _name(self.function)

    @property
    def options(self) -> dict[str, Any]:
        """None."""
        return {}

    @property
    def parameters(self) -> int:
        """As it was told."""
        return self.length

    def initial(self) -> Array:
        """Near 0 and not at it, where derivatives often vanish: a fixed sequence, up to 0.1."""
        return 0.2 * ((np.arange(1, self.length + 1) * GOLDEN) % 1) - 0.1

    def flops(self) -> int:
        """Not known.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"the cost of {self.name} is not known; measure it")

    def __call__(self, theta: Array) -> Array:
        """Matrices ``(..., d, d)`` of parameters ``(..., p)``, in their dtype."""
        batch = tuple(theta.shape[:-1])
        flat = theta.reshape((prod(batch), self.length))
        return self._matrices(flat).reshape((*batch, self.d, self.d))

    def _matrices(self, theta: Array) -> Array:
        if namespace(theta) is np:
            if self._numpy is not None:
                values = [np.asarray(v) for v in self._run(self._numpy, theta)]
                return _joined(np, values, theta, self.d).astype(theta.dtype, copy=False)
            return self._through_torch(theta)
        import torch

        if self._torch is None:
            differentiated: Array = _differences().apply(theta, self)
            return differentiated
        return _joined(torch, self._run(self._torch, theta), theta, self.d).to(theta.dtype)

    def _run(self, way: Way, theta: Array) -> list[Array]:
        """Batches of matrices whose rows together are those of theta."""
        function: Any = self.function
        if not len(theta):
            return []
        if way == "loop":
            return [function(row)[None] for row in theta]
        if way == "vmap":
            from torch.func import vmap

            function = vmap(function)
        return [function(theta)]

    def _through_torch(self, theta: Array) -> Array:
        import torch

        with torch.no_grad():
            h = self(torch.from_numpy(np.ascontiguousarray(theta)))
        return h.numpy()

    @cached_property
    def _probes(self) -> Array:
        points = np.outer(np.arange(1, PROBES + 1), np.arange(1, self.length + 1)) * GOLDEN
        return 2 * (points % 1) - 1

    @cached_property
    def _numpy(self) -> Way | None:
        """How it takes numpy arrays, if it does."""
        return self._way(self._probes, lambda value: np.asarray(value), ("batch",))

    @cached_property
    def _torch(self) -> Way | None:
        """How it takes torch tensors and hands gradients on, if it does."""
        try:
            import torch
        except ImportError:
            return None
        theta = torch.from_numpy(self._probes).requires_grad_()

        def value(h: Any) -> Array:
            if not isinstance(h, torch.Tensor) or (self.length and not h.requires_grad):
                raise TypeError("it gives no tensor that depends on its parameters")
            return h.detach().numpy()

        return self._way(theta, value, ("batch", "vmap"))

    def _way(
        self, theta: Array, value: Callable[[Any], Array], ways: tuple[Way, ...]
    ) -> Way | None:
        """The first way that gives what rows one by one give; None if these give no matrices."""
        try:
            with warnings.catch_warnings(action="ignore"):
                single = np.concatenate([value(h) for h in self._run("loop", theta)])
            if single.shape != (PROBES, self.d, self.d) or single.dtype.kind not in "fiu":
                raise TypeError(f"it gives {single.dtype} of shape {single.shape[1:]}")
        except Exception as error:  # code of others fails in any way at all
            if is_short_of_memory(error):
                raise MemoryError from error
            vars(self)["_error"] = error
            return None
        for way in ways:
            try:
                with warnings.catch_warnings(action="ignore"):
                    (batch,) = (value(h) for h in self._run(way, theta))
            except Exception:  # noqa: S112 (it is called row by row then)
                continue
            if batch.shape == single.shape and _agree(batch, single):
                return way
        return "loop"


def _agree(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=AGREEMENT, atol=AGREEMENT, equal_nan=True))


def _joined(xp: Any, parts: list[Array], theta: Array, d: int) -> Array:
    if not parts:
        return theta.reshape(-1)[:0].reshape((0, d, d))
    return parts[0] if len(parts) == 1 else xp.concatenate(parts)


def _name(function: Any) -> str:
    """The name of a function, or of the class of what is called like one."""
    name = str(function.__name__ if isroutine(function) else type(function).__name__)
    return "function" if name == "<lambda>" else name.replace("_", "-").strip("-").lower()


@cache
def _differences() -> Any:
    """A function of torch whose derivative is that of central differences, in float64."""
    import torch

    class Differences(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, theta: Any, map_: FunctionMap) -> Any:
            ctx.map, ctx.theta, ctx.slope = map_, theta.detach().cpu().numpy(), None
            h = map_(ctx.theta)
            return torch.from_numpy(h).to(theta)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            if ctx.slope is None:
                ctx.slope = torch.from_numpy(_slope(ctx.map, ctx.theta.astype(np.float64)))
            inner = torch.einsum("nij,nijp->np", gradient.double().cpu(), ctx.slope)
            return inner.to(gradient), None

    return Differences


def _slope(map_: FunctionMap, theta: Array) -> Array:
    """dH/dtheta ``(n, d, d, p)`` at ``(n, p)``; its error is of order eps^(2/3)."""
    n, p = theta.shape
    require_memory(8 * n * map_.d**2 * p, f"the derivatives of {map_.name} at {n:,} points")
    slope = np.empty((n, map_.d, map_.d, p))
    for k in range(p):
        step = np.zeros_like(theta)
        step[:, k] = np.finfo(float).eps ** (1 / 3) * np.maximum(1, np.abs(theta[:, k]))
        high, low = theta + step, theta - step
        width = (high - low)[:, k]  # what is added is rounded, too
        slope[..., k] = (map_(high) - map_(low)) / width[:, None, None]
    return slope
