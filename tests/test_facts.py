"""What methods claim of themselves beyond their map, against matrices of theirs."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.geometry import cycles
from birkhoff_cli.analyses.geometry.image import Image
from birkhoff_cli.analyses.parameterizations.averaged_go_mhc import AveragedGoMHC
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic
from birkhoff_cli.analyses.planes.samplers import on_slice

EXAMPLES = [
    example
    for name in parameterizations.names()
    for example in discover.member(parameterizations.__name__, name).EXAMPLES
]
SIZES = [parameterizations.load(name)(d) for name in parameterizations.names() for d in (3, 4, 5)]
METHODS = [*dict.fromkeys([*EXAMPLES, *SIZES])]
every = pytest.mark.parametrize("method", METHODS, ids=repr)


def those(fact):
    """The methods that know something; a fact that none knows would test nothing."""
    found = [m for m in METHODS if fact(m) is not None]
    assert found
    return pytest.mark.parametrize("method", found, ids=repr)


def in_plane(fact):
    return those(lambda m: fact(m) if m.d > 2 else None)


def spread_draws(method, rng):
    """Matrices of every distribution, of parameters also far out."""
    for how in method.distributions:
        yield method.draw(400, rng, how)
        if how not in method.samplers():
            yield method.draw(400, rng, how, 8.0)


def points(h):
    return cycles.point(cycles.coefficients(h))


@in_plane(lambda m: m.projection_support())
def test_all_matrices_project_into_the_support(method, rng):
    support = method.projection_support()
    assert support.d == method.d
    for h in spread_draws(method, rng):
        re, im = points(h)
        assert support.outside(re, im, 1e-9) == 0


@in_plane(lambda m: m.slice_support())
def test_matrices_of_the_slice_are_circulant_and_lie_in_its_support(method, rng):
    support, drawn = method.slice_support(), 0
    for how in method.distributions:
        if sampler := on_slice(method, Draws(draw=how)):
            h = sampler.draw(1000, rng)
            alpha = cycles.coefficients(h)
            size = max(1, np.abs(h).max())
            assert np.abs(h - cycles.circulant(alpha)).max() < 1e-14 * size
            assert support.outside(*cycles.point(alpha), 1e-9) == 0
            drawn += len(h)
    assert drawn or not method.is_local


@those(lambda m: m.tied_parameters())
def test_parameters_that_are_alike_make_a_circulant_matrix(method, rng):
    tied = method.tied_parameters()
    assert tied.shape == (method.parameters,) and (tied[tied] == tied).all()
    h = method(3 * rng.standard_normal((50, method.parameters))[:, tied])
    alpha = cycles.coefficients(h)
    assert np.abs(h - cycles.circulant(alpha)).max() < 1e-13 * max(1, np.abs(h).max())
    assert method.d == 1 or np.ptp(alpha[1]) > 1e-3, "more than one circulant matrix"


@pytest.mark.parametrize("name", parameterizations.names())
def test_a_local_method_reaches_small_matrices_beside_the_identity(name, rng):
    """Those of d = 3 that it draws, up to limits: what a descent finds is an upper bound."""
    small, large = (parameterizations.load(name)(d) for d in (3, 4))
    if not large.is_local:
        return
    h = np.tile(np.eye(4), (4, 1, 1))
    h[:, :3, :3] = small.draw(4, rng)
    assert Image(large, 16, rng).distance(h).max() < 2e-3


CLAIMS = [
    (method, how)
    for method in METHODS
    for how in method.distributions
    if method.entry_variance(how)
]


def test_the_variances_that_are_known():
    known = {(type(method).__name__, how) for method, how in CLAIMS}
    assert known == {
        *((name, "haar") for name in ("GoMHC", "AveragedGoMHC", "Orthostochastic")),
        *((name, "polytope") for name in ("MHC", "MHCLinear", "MHCLite")),
        *((name, "dirichlet") for name in ("MHCLite", "BEHC")),
    }
    assert BEHC(5).entry_variance("dirichlet") is None, "only some permutations"
    assert MHC(5).entry_variance("polytope") is None


@pytest.mark.parametrize("method, how", CLAIMS, ids=repr)
def test_the_variance_of_entries_and_the_law_of_products(method, how, rng):
    d, n, variance = method.d, 20_000, float(method.entry_variance(how))
    h, g = (method.draw(n, rng, how) for _ in "hg")
    assert np.abs(h.mean(0) - 1 / d).max() < 5 * np.sqrt(variance / n)
    square = np.square(h - 1 / d)
    assert (np.abs(square.mean(0) - variance) < 5 * square.std(0) / np.sqrt(n)).all()
    # invariant under permutations of rows or of columns: the square multiplies over a product
    distance = np.square(g @ h - 1 / d).sum((1, 2))
    expected = (d - 1) * (d * d * variance / (d - 1)) ** 2
    assert abs(distance.mean() - expected) < 5 * distance.std() / np.sqrt(n)


@those(lambda m: m.eigenvalues(np.zeros((1, m.parameters))))
def test_eigenvalues_are_those_of_lapack(method, rng):
    theta = 2 * rng.standard_normal((20, method.parameters))
    found, expected = method.eigenvalues(theta), np.linalg.eigvals(method(theta))
    assert found.shape == expected.shape and np.abs(found[:, 0] - 1).max() < 1e-12
    for a, b in zip(found, expected, strict=True):
        apart = np.abs(a[:, None] - b)
        assert apart[linear_sum_assignment(apart)].max() < 1e-7
    shape = method.eigenvalues(theta.reshape(4, 5, -1)).shape
    assert shape == (4, 5, method.d)


@every
def test_mixing_streams_is_a_product_with_the_matrix(method, rng):
    theta, streams = rng.standard_normal(method.parameters), rng.standard_normal((method.d, 6))
    expected = method(theta) @ streams
    assert np.abs(method.mix(theta, streams) - expected).max() < 1e-13 * np.abs(expected).max()
    there = method.mix(torch.asarray(theta), torch.asarray(streams))
    assert np.abs(there.numpy() - expected).max() < 1e-12 * np.abs(expected).max()


@those(lambda m: m.permutations)
def test_permutations_are_mixed_with_softmax_weights(method, rng):
    theta = rng.standard_normal((5, method.parameters))
    weights = np.exp(theta) / np.exp(theta).sum(1, keepdims=True)
    vertices = np.eye(method.d)[method.permutations]
    assert np.abs(method(theta) - np.tensordot(weights, vertices, 1)).max() < 1e-14


@every
def test_factors_are_factors(method, rng):
    """Van Loan: the entries by index of a factor and of the rest are a matrix of rank 1."""
    if not (sides := method.factor_sides):
        return
    assert prod(sides) == method.d
    a, b = sides[0], method.d // sides[0]
    h = method(rng.standard_normal(method.parameters))
    turned = h.reshape(a, b, a, b).swapaxes(1, 2).reshape(a * a, b * b)
    assert np.linalg.matrix_rank(turned, tol=1e-12) <= method.options.get("terms", 1)


SIMPLE = [
    (AveragedGoMHC(3, s=1), GoMHC(3, s=1)),
    (AveragedGoMHC(3, s=1, field="complex"), GoMHC(3, s=1, field="complex")),
    (KromHC(3), MHCLite(3)),
    (KromHC(4, factors=(1, 4)), MHCLite(4)),
    (KromGoMHC(3, s=2), GoMHC(3, s=2)),
    (KromSum(4, terms=1), KromHC(4)),
    (KromSum(3, terms=2), MHCLite(3)),
]


@pytest.mark.parametrize("method, simple", SIMPLE, ids=repr)
def test_the_simplified_method_has_the_same_image(method, simple, rng):
    assert method.simplified() == simple == simple.simplified()
    for one, other in ((method, simple), (simple, method)):
        h = one.draw(4, rng, "gaussian")
        assert Image(other, 16, rng).distance(h).max() < 1e-3


@every
def test_what_is_simple_stays_so(method):
    simple = method.simplified()
    assert simple.d == method.d and simple.simplified() == simple
    if simple != method and method.d > 2:
        assert method.projection_support() == simple.projection_support()
        assert method.slice_support() == simple.slice_support()


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.d == 3 and m.options.get("s", 1) > 1], ids=repr
)
def test_edges_are_reached_between_their_pieces(method, rng):
    s, cycle = method.s, np.roll(np.eye(3), 1, axis=1)
    share = np.arange(s + 1)[:, None, None] / s
    assert Image(method, 24, rng).distance(share * np.eye(3) + (1 - share) * cycle).max() < 1e-3


@those(lambda m: m.balancing())
def test_balancing_is_sinkhorn_on_the_logits(method, rng):
    """A hundred plain sweeps are the limit of sixty of the method's; all variants know it."""
    logits = method.balancing().tau * rng.standard_normal((20, method.d, method.d))
    h = np.exp(logits / method.balancing().tau)
    axes = (-2, -1) if method.balancing().last == "rows" else (-1, -2)
    for axis in axes * 100:
        h = h / h.sum(axis, keepdims=True)
    theta = logits.reshape(20, -1)
    assert np.abs(replace(method, iters=60)(theta) - h).max() < 1e-4  # a guard of 1e-6 is added
    last = method(theta).sum(-1 if method.balancing().last == "rows" else -2)
    assert np.abs(last - 1).max() < 1e-5
    for name, variant in method.balancing().variants.items():
        assert variant.balancing().variants[name] == variant
        assert (variant.d, variant.parameters) == (method.d, method.parameters)


@those(lambda m: m.allocated(64))
def test_the_code_allocates_what_is_learned_and_the_gain_of_the_norm(method):
    assert method.allocated(64) >= method.count(64) + 64 * method.d


@every
def test_options_make_the_method_again(method):
    assert type(method)(method.d, **method.options) == method


def test_a_distribution_without_a_circulant_like_has_no_slice():
    """Where a sampler is not of parameters, parameters that are alike are not its like."""
    broken = BEHC(3, k=5)
    assert broken.tied_parameters() is None and broken.circulants("dirichlet") is None
    assert on_slice(broken, Draws(draw="dirichlet")) is None
    assert on_slice(Orthostochastic(3), Draws(draw="haar")).description.startswith(
        "block-circulant"
    )
