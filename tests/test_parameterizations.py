"""What every method promises, over the examples that its file gives."""

import subprocess
import sys
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.parameterization import (
    COLUMNS,
    DOUBLY_STOCHASTIC,
    NONNEGATIVE,
    NORM,
    ROWS,
)
from conftest import ROOT

EXAMPLES = [
    example
    for name in parameterizations.names()
    for example in discover.member(parameterizations.__name__, name).EXAMPLES
]
every = pytest.mark.parametrize("method", EXAMPLES, ids=repr)
LIBRARIES = {"numpy": np.asarray, "torch": torch.asarray}


def rounding(h):
    """Error of a sum of d entries, each from a few operations on numbers of size 1."""
    return 4 * max(4, h.shape[-1]) * float(np.finfo(h.dtype).eps)


def assert_exact(h, claims):
    h = np.asarray(h)
    bound = rounding(h)
    assert np.isfinite(h).all()
    if ROWS in claims:
        assert np.abs(h.sum(-1, dtype=float) - 1).max(initial=0) <= bound
    if COLUMNS in claims:
        assert np.abs(h.sum(-2, dtype=float) - 1).max(initial=0) <= bound
    if NONNEGATIVE in claims:
        assert (h >= 0).all()
    if NORM in claims:
        norms = np.linalg.norm(h.astype(float), 2, axis=(-2, -1))
        assert norms.max(initial=0) <= 1 + max(bound, 1e-10)


def gaussian(method, n=3, scale=1.0, dtype=float):
    return (scale * np.random.default_rng(0).normal(size=(n, method.parameters))).astype(dtype)


@every
@settings(max_examples=15, deadline=None)
@given(
    data=st.data(),
    spread=st.sampled_from([1.0, 30.0, 1e3]),
    library=st.sampled_from(list(LIBRARIES)),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_what_it_calls_exact_holds_to_rounding(method, data, spread, library, dtype):
    size = np.dtype(dtype).itemsize * 8
    entries = st.floats(-spread, spread, width=size)
    theta = data.draw(arrays(dtype, (2, method.parameters), elements=entries))
    h = method(LIBRARIES[library](theta))
    assert h.shape == (2, method.d, method.d)
    assert_exact(h, method.exact)


@every
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_what_it_calls_exact_holds_for_a_thousand_random_parameters(method, scale):
    for dtype in (np.float64, np.float32):
        assert_exact(method(gaussian(method, 1000, scale, dtype)), method.exact)


@every
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (0,), (2, 0)], ids=str)
def test_any_batch_shape_equals_a_loop_and_keeps_the_dtype(method, dtype, shape):
    theta = gaussian(method, 6, dtype=dtype)[: np.prod(shape, dtype=int)]
    theta = theta.reshape(*shape, method.parameters)
    for make in LIBRARIES.values():
        h = method(make(theta))
        assert h.shape == (*shape, method.d, method.d)
        assert h.dtype == make(theta).dtype
        for index in np.ndindex(shape):
            alone = np.asarray(method(make(theta[index])))
            assert np.allclose(np.asarray(h[index]), alone, rtol=0, atol=100 * rounding(alone))


@every
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_numpy_and_torch_agree(method, scale):
    theta = gaussian(method, 50, scale)
    assert np.allclose(method(theta), method(torch.asarray(theta)).numpy(), rtol=0, atol=1e-12)


@every
def test_the_layout_of_the_parameters_does_not_matter(method):
    theta = gaussian(method, 7)
    lanes = np.asfortranarray(theta)
    assert np.allclose(method(theta), method(lanes), rtol=0, atol=1e-14)
    turned = torch.asarray(np.ascontiguousarray(theta.T)).T
    assert np.allclose(method(theta), method(turned).numpy(), rtol=0, atol=1e-12)


@every
def test_the_parameters_are_left_as_they_were(method):
    for theta in (gaussian(method), np.asfortranarray(gaussian(method)), gaussian(method)[0]):
        before = theta.copy()
        h = method(theta)
        assert (theta == before).all()
        h += 1  # what it returns is the caller's, and no constant of the method
        assert np.allclose(method(theta) + 1, h, rtol=0, atol=1e-14)


@every
def test_gradients_agree_with_finite_differences(method):
    theta = torch.asarray(gaussian(method, 2)).requires_grad_()
    h = method(theta)
    assert h.requires_grad
    if method.parameters:
        assert torch.autograd.gradcheck(method, theta, fast_mode=method.parameters > 20)


@every
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_near_and_far(method, scale, dtype):
    start = method.initial() + gaussian(method, 4, scale)
    theta = torch.asarray(start).to(dtype).requires_grad_()
    h = method(theta)
    weights = torch.arange(h.numel(), dtype=dtype).reshape(h.shape)
    (gradient,) = torch.autograd.grad((h * weights).sum(), theta)
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()


@every
def test_the_start_is_a_float64_vector_that_gives_what_is_promised(method):
    start = method.initial()
    assert start.shape == (method.parameters,)
    assert start.dtype == np.float64
    assert_exact(method(start), method.exact)


@every
def test_every_distribution_draws_finite_matrices_again_and_again(method):
    assert method.distributions[0] == method.default_draw
    for how in method.distributions:
        first, again = (method.draw(9, np.random.default_rng(3), how) for _ in "ab")
        assert first.shape == (9, method.d, method.d)
        assert first.dtype == np.float64
        assert (first == again).all()
        if method.d > 1 and method.parameters and how != "init":
            assert (method.draw(9, np.random.default_rng(4), how) != first).any()
        assert method.draw(0, np.random.default_rng(3), how).shape == (0, method.d, method.d)


@every
def test_samplers_draw_doubly_stochastic_matrices(method):
    for sampler in method.samplers().values():
        assert_exact(sampler(500, np.random.default_rng(0)), DOUBLY_STOCHASTIC)


@every
def test_counts_are_whole_numbers_that_grow_with_the_width(method):
    narrow, wide = method.count(1), method.count(1000)
    assert isinstance(narrow, int) and isinstance(wide, int) and isinstance(method.flops(), int)
    assert 0 < narrow <= wide
    assert method.flops() >= 0


@every
def test_it_is_a_value(method):
    same = type(method)(**{f.name: getattr(method, f.name) for f in fields(method)})
    assert same == method and hash(same) == hash(method)
    with pytest.raises(AttributeError):
        method.d = 5


@pytest.mark.parametrize("name", parameterizations.names())
@pytest.mark.parametrize("d", [0, -3])
def test_no_method_has_fewer_than_one_stream(name, d):
    with pytest.raises(Exception, match=rf"^d = {d} streams cannot be; expected at least 1$"):
        parameterizations.load(name)(d)


def test_numpy_parameters_never_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from birkhoff_cli.analyses import parameterizations as p\n"
        "from birkhoff_cli.analyses.core import discover\n"
        "rng = np.random.default_rng(0)\n"
        "for name in p.names():\n"
        "    for e in discover.member(p.__name__, name).EXAMPLES:\n"
        "        e(e.initial())\n"
        "        [e.draw(2, rng, how) for how in e.distributions]\n"
        "assert not {'torch', 'array_api_compat', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_no_warning_reaches_the_user_of_torch():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.set_warn_always(True)
        try:
            for method in EXAMPLES:
                method(torch.asarray(gaussian(method)))
        finally:
            torch.set_warn_always(False)
