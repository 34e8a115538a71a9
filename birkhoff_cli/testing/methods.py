"""What every method keeps: shapes, claims, gradients, start, counts, draws."""

import warnings
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import (
    COLUMNS,
    DOUBLY_STOCHASTIC,
    NONNEGATIVE,
    NORM,
    ROWS,
    Parameterization,
)
from birkhoff_cli.testing._gradients import (
    gradients_agree_with_differences,
    gradients_are_finite_near_and_far,
)
from birkhoff_cli.testing._holding import check, hold, largest, near
from birkhoff_cli.testing._parameters import gaussian, libraries

SHAPES = ((5,), (), (1,), (2, 3), (0,), (2, 0))
"""Batch shapes."""

SCALES = (1.0, 30.0, 1e3)
"""Spreads of random parameters."""


def check_method(method: Parameterization) -> None:
    """Hold that a method keeps all contracts.

    Args:
        method: an instance, such as ``MyMap(d=4)``. Check several sizes and options.

    Raises:
        AssertionError: what does not hold, and by how much.
    """
    hold(
        isinstance(method, Parameterization),
        f"{type(method).__name__} is not derived from birkhoff's Parameterization",
    )
    check(CONTRACTS, method, repr(method))


def rounding(h: Array) -> float:
    """Error of a sum of d entries, each from a few operations on numbers of size 1."""
    eps = float(np.finfo(h.dtype).eps)
    d: int = h.shape[-1]
    return 4 * max(4, d) * eps


def hold_claims(h: Any, claims: frozenset[str], what: str = "a matrix") -> None:
    """Hold that matrices ``(..., d, d)`` are finite and what is claimed of them.

    Raises:
        AssertionError: naming the claim and the largest error.
    """
    h = np.asarray(h)
    bound = rounding(h)
    hold(np.isfinite(h).all(), f"{what} has entries that are not finite")
    for claim, axis in ((ROWS, -1), (COLUMNS, -2)):
        if claim in claims:
            error = largest(h.sum(axis, dtype=float) - 1)
            hold(
                error <= bound,
                f"{what} claims exact {claim}, and a sum is off 1 by {error:.3g}; "
                f"rounding explains {bound:.1g}",
            )
    if NONNEGATIVE in claims:
        lowest = float(h.min(initial=0))
        hold(lowest >= 0, f"{what} claims to be nonnegative, and an entry is {lowest:.3g}")
    if NORM in claims:
        excess = largest(np.linalg.norm(h.astype(float), 2, axis=(-2, -1))) - 1
        bound = max(bound, 1e-10)
        hold(
            excess <= bound,
            f"{what} claims a spectral norm of 1, and one is larger by {excess:.3g}; "
            f"rounding explains {bound:.1g}",
        )


def what_it_claims_holds(method: Parameterization) -> None:
    """``exact`` up to rounding, for a thousand random parameters near and far, in both dtypes."""
    hold(
        isinstance(method.exact, frozenset) and method.exact <= DOUBLY_STOCHASTIC,
        f"exact is {method.exact!r}; expected a frozenset of {sorted(DOUBLY_STOCHASTIC)}",
    )
    for dtype in (np.float64, np.float32):
        for scale in SCALES:
            h = method(gaussian(method, 1000, scale, dtype))
            hold_claims(h, method.exact, f"with parameters of size {scale:g} in {dtype.__name__} H")


def any_batch_shape_is_a_loop(method: Parameterization) -> None:
    """Every shape and dtype of parameters is kept, and no matrix depends on its neighbours."""
    for name, make in libraries().items():
        for dtype in (np.float64, np.float32):
            every = gaussian(method, 6, dtype=dtype)
            alone = [np.asarray(method(make(row))) for row in every]
            for shape in SHAPES:
                size = int(np.prod(shape, dtype=int))
                theta = make(every[:size].reshape(*shape, method.parameters))
                h = method(theta)
                _hold_like(h, theta, method.d, f"{name}, theta {(*shape, method.parameters)}")
                rows = np.asarray(h).reshape(size, method.d, method.d)
                for k in range(size):
                    bound = 100 * rounding(alone[k])
                    near(rows[k], alone[k], bound, f"{name}, row {k} of {size} beside itself alone")


def _hold_like(h: Any, theta: Any, d: int, what: str) -> None:
    """Hold that matrices have the shape and dtype of their parameters."""
    shape = (*theta.shape[:-1], d, d)
    hold(tuple(h.shape) == shape, f"{what}: H is {tuple(h.shape)}; expected {shape}")
    hold(h.dtype == theta.dtype, f"{what}: H is {h.dtype}; expected {theta.dtype}")


def numpy_and_torch_agree(method: Parameterization) -> None:
    """The same parameters give the same matrices."""
    import torch

    for scale in (0.1, 1.0, 5.0):
        theta = gaussian(method, 50, scale)
        h, there = method(theta), method(torch.asarray(theta)).numpy()
        near(there, h, 1e-12, f"numpy and torch, parameters of size {scale:g}")


def the_layout_of_parameters_does_not_matter(method: Parameterization) -> None:
    """Arrays that are transposed in memory are read as they are."""
    import torch

    theta = gaussian(method, 7)
    h = method(theta)
    near(method(np.asfortranarray(theta)), h, 1e-14, "theta transposed in memory, numpy")
    turned = torch.asarray(np.ascontiguousarray(theta.T)).T
    near(method(turned).numpy(), h, 1e-12, "theta transposed in memory, torch")


def parameters_are_left_as_they_were(method: Parameterization) -> None:
    """Nothing is computed in place, and what is returned is the caller's."""
    for theta in (gaussian(method), np.asfortranarray(gaussian(method)), gaussian(method)[0]):
        before = theta.copy()
        h = method(theta)
        hold((theta == before).all(), "the map changes its argument")
        h += 1
        near(method(theta) + 1, h, 1e-14, "H after the matrices returned before were changed")


def every_parameter_has_an_effect(method: Parameterization) -> None:
    """``parameters`` is how many the map takes: each moves H, d > 1.

    But the weight of the only matrix of an average, which `simplified` leaves out.
    """
    p = method.parameters
    hold(isinstance(p, int) and p >= 0, f"parameters is {p!r}; expected a whole number")
    if method.d == 1 or not p:
        return
    theta = np.concatenate([gaussian(method, 2), method.initial()[None]])
    moved = np.zeros(p)
    for k in range(p):
        step = np.zeros(p)
        step[k] = 0.1
        moved[k] = largest(method(theta + step) - method(theta))
    idle = np.flatnonzero(moved == 0)
    hold(
        len(idle) == p - method.simplified().parameters,
        f"parameters is {p}, and {len(idle)} of them do not change H: {idle[:5].tolist()}",
    )


def the_start_is_a_vector_that_keeps_the_claims(method: Parameterization) -> None:
    """``initial()``: ``(p,)`` float64."""
    start = method.initial()
    p = method.parameters
    hold(start.shape == (p,), f"initial() is of shape {start.shape}; expected ({p},)")
    hold(start.dtype == np.float64, f"initial() is {start.dtype}; expected float64")
    hold(np.isfinite(start).all(), "initial() is not finite")
    hold_claims(method(start), method.exact, "at the start H")


def draws_follow_the_seed(method: Parameterization) -> None:
    """Every distribution: finite float64 matrices, the same from the same generator."""
    names, first = method.distributions, method.default_draw
    hold(names[0] == first, f"default_draw is {first}; of {names} it is not the first")
    for how in names:
        one, again = (method.draw(9, np.random.default_rng(3), how) for _ in "ab")
        what = f"draw {how}"
        shape = (9, method.d, method.d)
        hold(one.shape == shape and one.dtype == np.float64, f"{what}: {one.shape}, {one.dtype}")
        hold(np.isfinite(one).all(), f"{what}: entries are not finite")
        hold((one == again).all(), f"{what}: the same seed draws other matrices")
        if method.d > 1 and method.parameters and how != "init":
            other = method.draw(9, np.random.default_rng(4), how)
            hold((other != one).any(), f"{what}: another seed draws the same matrices")
        none = method.draw(0, np.random.default_rng(3), how)
        hold(none.shape == (0, *shape[1:]), f"{what}: no matrices have the shape {none.shape}")


def samplers_draw_doubly_stochastic_matrices(method: Parameterization) -> None:
    """Laws of matrices that are no law of parameters."""
    for name, sampler in method.samplers().items():
        drawn = sampler(500, np.random.default_rng(0))
        hold_claims(drawn, DOUBLY_STOCHASTIC, f"what sampler {name} draws")


def counts_are_whole_numbers(method: Parameterization) -> None:
    """Learned numbers grow with the width; FLOPs are not negative."""
    narrow, wide, flops = method.count(1), method.count(1000), method.flops()
    hold(
        all(isinstance(n, int) for n in (narrow, wide, flops)),
        "count and flops are no whole numbers",
    )
    hold(0 < narrow <= wide, f"count(1) is {narrow} and count(1000) is {wide}")
    hold(flops >= 0, f"flops() is {flops}")


def it_is_a_value(method: Parameterization) -> None:
    """A frozen dataclass: made again of its fields it is the same, and nothing can be assigned."""
    same = type(method)(**{f.name: getattr(method, f.name) for f in fields(method)})
    hold(same == method and hash(same) == hash(method), "made again of its fields it differs")
    try:
        method.d = method.d  # type: ignore[misc]
    except AttributeError:
        return
    raise AssertionError("its fields can be assigned; use @dataclass(frozen=True)")


def it_refuses_fewer_than_one_stream(method: Parameterization) -> None:
    """With the sentence that says so, whatever its own options are."""
    for d in (0, -3):
        try:
            type(method)(d=d)
        except UsageError as error:
            sentence = f"d = {d} streams cannot be; expected at least 1"
            hold(str(error) == sentence, f"d = {d} is refused with '{error}'; call super() first")
        else:
            raise AssertionError(f"d = {d} is taken")


def no_warning_reaches_the_user_of_torch(method: Parameterization) -> None:
    """Of either library."""
    for name, make in libraries().items():
        for warning in _warnings(method, make(gaussian(method))):
            raise AssertionError(f"{name} warns: {' '.join(str(warning).split())}")


def _warnings(method: Parameterization, theta: Any) -> Iterator[Any]:
    import torch

    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            method(theta)
    finally:
        torch.set_warn_always(before)
    yield from (each.message for each in heard)


CONTRACTS = (
    it_refuses_fewer_than_one_stream,
    it_is_a_value,
    the_start_is_a_vector_that_keeps_the_claims,
    any_batch_shape_is_a_loop,
    every_parameter_has_an_effect,
    what_it_claims_holds,
    numpy_and_torch_agree,
    the_layout_of_parameters_does_not_matter,
    parameters_are_left_as_they_were,
    gradients_agree_with_differences,
    gradients_are_finite_near_and_far,
    draws_follow_the_seed,
    samplers_draw_doubly_stochastic_matrices,
    counts_are_whole_numbers,
    no_warning_reaches_the_user_of_torch,
)
"""In the order in which a fault is easiest to understand."""
