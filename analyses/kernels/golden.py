"""Golden vectors: parameters, matrices, a cotangent and its gradient, where kernels go wrong.

Parameters and cotangents are numbers of the narrow format, so that float64 and narrow copies begin
with the same numbers; matrices and gradients are computed of them in float64, then rounded once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import Parameterization
from birkhoff_cli.analyses.core.random_numbers import Seed, generator
from birkhoff_cli.analyses.kernels.arithmetic import round_to

SIDES = (1, 2, 3, 4, 8)


class Narrow(NamedTuple):
    """A format that vectors are rounded to.

    Attributes:
        form: its name in `arithmetic`.
        normal: its smallest normal number.
        denormal: its smallest number.
    """

    form: str
    normal: float
    denormal: float


FORMATS: Mapping[str, Narrow] = {
    "float32": Narrow("float32", 2.0**-126, 2.0**-149),
    "bfloat16": Narrow("bf16", 2.0**-126, 2.0**-133),
    "float16": Narrow("fp16", 2.0**-14, 2.0**-24),
}

Make = Callable[[np.random.Generator, tuple[int, int], Narrow], Array]
"""Parameters ``(count, p)`` of a case."""


class Case(NamedTuple):
    """What kernels get wrong: how many matrices, and their parameters."""

    size: int
    make: Make


def _spread(width: float) -> Make:
    """Uniform between -width / 2 and width / 2."""
    return lambda rng, shape, _: rng.uniform(-width / 2, width / 2, shape)


def _ties(rng: np.random.Generator, shape: tuple[int, int], _: Narrow) -> Array:
    """Few values, so that a row has its maximum twice."""
    return rng.integers(0, 3, shape).astype(float)


def _dominant(rng: np.random.Generator, shape: tuple[int, int], _: Narrow) -> Array:
    """One entry far above the others."""
    theta = rng.standard_normal(shape)
    theta[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] += DOMINANT
    return theta


DOMINANT = 60.0


def _masked(rng: np.random.Generator, shape: tuple[int, int], _: Narrow) -> Array:
    """A third of the entries off the diagonal are -inf: no row and no column is empty."""
    d = round(shape[1] ** 0.5)
    off = (rng.random(shape) < MASKED) & ~np.eye(d, dtype=bool).ravel()
    if d > 1:
        off[:, 1] = True
    return np.where(off, -np.inf, 2 * rng.standard_normal(shape))


MASKED = 1 / 3


def _denormal_parameters(rng: np.random.Generator, shape: tuple[int, int], to: Narrow) -> Array:
    """Half of them are too small to be normal numbers."""
    tiny = rng.uniform(-1, 1, shape) * to.normal
    return np.where(rng.random(shape) < 0.5, tiny, rng.standard_normal(shape))


def _denormal_results(rng: np.random.Generator, shape: tuple[int, int], to: Narrow) -> Array:
    """Half of them are so small that their exponential is no normal number."""
    low, high = np.log(to.denormal), np.log(to.normal)
    return np.where(rng.random(shape) < 0.5, rng.uniform(low, high, shape), 0.0)


CASES: Mapping[str, Case] = {
    "spread_0": Case(1, _spread(0)),
    "spread_1": Case(33, _spread(1)),
    "spread_5": Case(65, _spread(5)),
    "spread_20": Case(33, _spread(20)),
    "spread_50": Case(17, _spread(50)),
    "spread_100": Case(7, _spread(100)),
    "spread_200": Case(5, _spread(200)),
    "ties": Case(9, _ties),
    "dominant": Case(5, _dominant),
    "masked": Case(17, _masked),
    "denormal_inputs": Case(3, _denormal_parameters),
    "denormal_results": Case(7, _denormal_results),
}


class Vectors(NamedTuple):
    """One case for one number of streams; float64.

    Attributes:
        d: number of streams.
        case: name of the case.
        parameters: ``(count, p)``.
        matrices: ``(count, d, d)``.
        cotangent: a gradient in the matrices, the same shape.
        gradient: the gradient in the parameters that it gives, ``(count, p)``.
    """

    d: int
    case: str
    parameters: Array
    matrices: Array
    cotangent: Array
    gradient: Array


def draw_vectors(methods: Sequence[Parameterization], seed: Seed, to: str) -> Iterator[Vectors]:
    """Every case for every method; entries are masked only where parameters are logits of entries.

    Args:
        methods: the same for several numbers of streams.
        seed: of all random numbers.
        to: one of `FORMATS`.

    Raises:
        UsageError: a map that has no parameters, or no finite value in a case.
    """
    narrow = FORMATS[to]
    entropy = seed if isinstance(seed, tuple) else (seed,)
    for method in methods:
        if not method.parameters:
            raise UsageError(f"{method.name} has no parameters, and so no gradient; take another")
        evaluate = method.differentiable()
        for number, (name, case) in enumerate(CASES.items()):
            if name == "masked" and (method.balancing() is None or method.d == 1):
                continue
            rng = generator((*entropy, method.d, number))
            theta = nearest(case.make(rng, (case.size, method.parameters), narrow), to)
            cotangent = nearest(rng.standard_normal((case.size, method.d, method.d)), to)
            with np.errstate(over="ignore"):  # of a number that is then the largest or infinite
                h, pull_back = evaluate(theta)
                vectors = Vectors(method.d, name, theta, h, cotangent, pull_back(cotangent.copy()))
            if not (np.isfinite(vectors.matrices).all() and np.isfinite(vectors.gradient).all()):
                raise UsageError(f"{method.name} has no finite matrix and gradient in {name}")
            yield vectors


def nearest(values: Array, to: str) -> Array:
    """The nearest numbers of a format, ties to even, as float64."""
    form = FORMATS[to].form
    if form != "bf16":
        return round_to(values, form).astype(np.float64)
    narrow = values.astype(np.float32)
    # rounding twice is wrong where the first result lies between two numbers of bf16: step back
    between = (narrow.view(np.uint32) & np.uint32(0xFFFF)) == 0x8000
    towards = np.where(values > narrow, np.float32(np.inf), np.float32(-np.inf))
    moved = np.where(between & (values != narrow), np.nextafter(narrow, towards), narrow)
    return round_to(moved, form).astype(np.float64)
