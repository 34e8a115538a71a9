"""Drift of products matrix by matrix: exact products in many digits, and no say for neighbours."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birkhoff_cli.analyses.geometry import dominant
from birkhoff_cli.analyses.geometry.drift import HIDDEN, PER_LINE, PER_MATRIX, measure
from birkhoff_cli.analyses.geometry.products import blocks, times
from birkhoff_cli.analyses.geometry.triangular_norms import accurate_singular_values
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.shc import SHC

EPS = float(np.finfo(float).eps)


def lanes(h):
    return np.ascontiguousarray(np.moveaxis(h, 0, -1))


def composites(h, precision=EPS):
    """The numbers of the product after every site, of ``(n, sites, d, d)``."""
    product, found = None, []
    for site in range(h.shape[1]):
        factor = blocks(lanes(h[:, site]), precision)
        product = factor if product is None else times(factor, product)
        found.append(measure(product, precision))
    return found


def exact(matrices):
    """The product of all, the last leftmost, and its numbers in 400 digits."""
    with mpmath.workdps(400):
        p = mpmath.matrix(matrices[0].tolist())
        for h in matrices[1:]:
            p = mpmath.matrix(h.tolist()) * p
        d = p.rows
        entries = [[p[i, j] for j in range(d)] for i in range(d)]
        singular = sorted(mpmath.svd_r(p, compute_uv=False), reverse=True)
        moduli = sorted(map(abs, mpmath.eig(p, left=False, right=False)), reverse=True)
        barycenter = mpmath.norm([x - mpmath.mpf(1) / d for row in entries for x in row])
        return {
            "spectral_norm": singular[0],
            "sigma_2": singular[1],
            "spectral_radius": moduli[0],
            "lambda_2": moduli[1],
            "amax_forward": max(mpmath.fsum(map(abs, row)) for row in entries),
            "amax_backward": max(mpmath.fsum(map(abs, c)) for c in zip(*entries, strict=True)),
            "barycenter_distance": barycenter,
            "log_lambda_2": mpmath.log(moduli[1]) if moduli[1] else -mpmath.inf,
            "log_barycenter_distance": mpmath.log(barycenter),
        }


def far(name, ours, true):
    """How far a number is off: logarithms by their difference, others by their ratio."""
    if name.startswith("log_"):
        return abs(mpmath.mpf(ours) - true)
    return abs(mpmath.mpf(ours) - true) / true if true else mpmath.mpf(ours)


NEITHER = {
    "integers": lambda r: r.integers(-2, 3, (3, 60, 4, 4)).astype(float),
    "integers from 0 on": lambda r: r.integers(0, 4, (3, 30, 4, 4)).astype(float),
    "around the identity": lambda r: np.eye(4) + 0.3 * r.normal(size=(3, 60, 4, 4)),
    "tiny": lambda r: 0.02 * (np.eye(3) + 0.3 * r.normal(size=(3, 60, 3, 3))),
    "gaussian, d = 2": lambda r: r.normal(size=(3, 60, 2, 2)),
    "gaussian, d = 6": lambda r: r.normal(size=(2, 30, 6, 6)),
    "of many sizes": lambda r: (
        r.normal(size=(3, 6, 4, 4)) * 10.0 ** r.integers(-6, 7, (3, 6, 4, 4))
    ),
    "of rank one": lambda r: r.normal(size=(3, 3, 4, 1)) * r.normal(size=(3, 3, 1, 4)),
    "one side exact": lambda r: MHC(4, iters=2).draw(120, r, scale=4.0).reshape(3, 40, 4, 4),
    "exact, then not": lambda r: np.concatenate(
        [GoMHC(4).draw(30, r).reshape(3, 10, 4, 4), r.random((3, 10, 4, 4))], 1
    ),
}


@pytest.mark.parametrize("name", NEITHER)
def test_what_is_known_of_a_product_is_right_and_the_rest_is_rounding(name, rng):
    h = NEITHER[name](rng)
    for depth in (1, 2, 6, 20, 60):
        if depth > h.shape[1]:
            continue
        found = composites(h[:, :depth])[-1]
        for k, matrices in enumerate(h[:, :depth]):
            truth = exact(matrices)
            for metric, true in truth.items():
                ours = found[metric][k]
                if np.isnan(ours):
                    assert metric in ("sigma_2", "lambda_2", "log_lambda_2")
                    hidden = true if metric == "sigma_2" else truth["lambda_2"]
                    limit = 1e-6 if name == "of many sizes" and metric != "sigma_2" else 1e-12
                    assert hidden < limit * truth["spectral_norm"]
                else:
                    # what is known is HIDDEN times its rounding, or larger
                    limit = 1 / HIDDEN
                    assert far(metric, ours, true) < limit, f"{metric} of {depth}: {ours}, {true}"


def test_a_product_that_cancels_to_rounding_has_no_numbers():
    """Powers of a cat map and of its inverse: the product is I, and nothing of it is left."""
    one, other = np.array([[2.0, 1], [1, 1]]), np.array([[1.0, -1], [-1, 2]])
    few, many = (np.stack([one] * n + [other] * n)[None] for n in (8, 30))
    known = composites(few)[-1]
    assert known["spectral_norm"] == pytest.approx(1, abs=1e-9)
    assert known["amax_forward"] == pytest.approx(1, abs=1e-9)
    unknown = composites(many)[-1]
    assert all(np.isnan(numbers).all() for numbers in unknown.values())


def test_where_factors_with_exact_sides_cancel_the_distance_is_unknown(rng):
    """Averaging in pairs one way, then the other, averages all: the barycenter to rounding."""
    pair, eye = np.full((2, 2), 0.5), np.eye(2)
    turn = np.linalg.qr(np.c_[np.ones(4), rng.normal(size=(4, 3))])[0][:, 1:]
    cut = [turn[:, :1] @ turn[:, :1].T + 0.25, turn[:, 1:2] @ turn[:, 1:2].T + 0.25]
    for factors in ([np.kron(pair, eye), np.kron(eye, pair)], cut):
        found = composites(np.array(factors)[None])[-1]
        assert found["barycenter_distance"] < 1e-15
        assert np.isnan(found["log_barycenter_distance"]) and np.isnan(found["log_lambda_2"])


def mixture(rng, sites):
    """Samples of every kind: both sides exact, one, none; signed, singular, off at one site."""
    shape = (-1, sites, 4, 4)
    h = np.concatenate(
        [
            GoMHC(4).draw(6 * sites, rng).reshape(shape),
            MHC(4).draw(6 * sites, rng, scale=3.0).reshape(shape),
            MHC(4, iters=2).draw(4 * sites, rng, scale=3.0).reshape(shape),
            MHC(4, iters=2, last="columns").draw(4 * sites, rng).reshape(shape),
            SHC(4).draw(4 * sites, rng).reshape(shape),
            np.eye(4) + 0.3 * rng.normal(size=(4, sites, 4, 4)),
            rng.random((4, sites, 4, 4)),
            np.broadcast_to(np.full((4, 4), 0.25), (1, sites, 4, 4)),
            np.broadcast_to(np.eye(4)[[1, 2, 3, 0]], (1, sites, 4, 4)),
            np.zeros((1, sites, 4, 4)),
        ]
    )
    h[0, sites // 2] += 1e-6 * rng.normal(size=(4, 4))
    return h


@pytest.mark.parametrize("precision", [np.float64, np.float32])
@settings(max_examples=25)
@given(data=st.data())
def test_no_number_of_a_sample_depends_on_its_neighbours(precision, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    h = mixture(rng, 6).astype(precision).astype(float)
    eps = float(np.finfo(precision).eps)
    some = data.draw(st.lists(st.integers(0, len(h) - 1), min_size=1, max_size=5))
    for every, alone in zip(composites(h, eps), composites(h[some], eps), strict=True):
        for name in PER_LINE | PER_MATRIX:
            np.testing.assert_allclose(
                alone[name], every[name][..., some], rtol=1e-12, atol=1e-15, err_msg=name
            )


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_the_two_largest_moduli_equal_lapack(k, rng):
    gaussian, positive = rng.normal(size=(400, k, k)), rng.random((400, k, k))
    long = gaussian @ gaussian @ positive @ gaussian
    families = {
        "gaussian": gaussian,
        "positive": positive,
        "long": long,
        "sparse": positive * (rng.random((400, k, k)) < 0.4),
        "near the identity": np.eye(k) + 1e-5 * positive,
        "permutations": np.array([np.eye(k)[rng.permutation(k)] for _ in range(20)]),
        "zero": np.zeros((3, k, k)),
    }
    for name, m in families.items():
        size = np.linalg.norm(m, axis=(1, 2), keepdims=True)
        m = m / np.where(size > 0, size, 1)
        found = dominant.two_largest_moduli(lanes(m))
        values, vectors = np.linalg.eig(m)
        moduli = np.sort(np.abs(values), axis=-1)
        bound = 1e-12 * np.minimum(np.linalg.cond(vectors), 1e6)
        if name == "sparse":  # a defective zero is up to eps^(1/k)
            bound = np.where(moduli[:, -2] > 1e-2, bound, 2e-3)
        assert (np.abs(found.first - moduli[:, -1]) <= bound).all(), name
        assert (np.abs(found.second - moduli[:, -2]) <= bound).all(), name


def test_lapack_is_asked_for_few_matrices_without_negative_entries(rng, monkeypatch):
    """bfloat16 matrices of mHC, and products of them."""
    asked = []
    by_lapack = dominant._by_lapack
    monkeypatch.setattr(dominant, "_by_lapack", lambda x: asked.append(x.shape[2]) or by_lapack(x))
    h = MHC(4).draw(2000, rng, scale=3.0).astype(np.float32)
    h = (h.view(np.uint32) & 0xFFFF0000).view(np.float32).astype(float)
    dominant.two_largest_moduli(lanes(h / np.linalg.norm(h, axis=(1, 2), keepdims=True)))
    assert sum(asked) < 0.02 * len(h)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 6, 7])
def test_second_singular_values_are_right_beside_the_first(k, rng):
    q, p = (np.linalg.qr(rng.normal(size=(200, k, k)))[0] for _ in range(2))
    for second in (0.9, 1e-3, 1e-7, 1e-11, 1e-14):
        values = np.r_[1.0, np.full(k - 1, second) * rng.uniform(0.5, 1, k - 1)][:k]
        m = (q * values) @ p
        norm, found = accurate_singular_values(lanes(m))
        exact = np.linalg.svd(m, compute_uv=False)
        assert np.abs(norm - exact[:, 0]).max() <= 8 * k * EPS
        if k > 1:
            assert np.abs(found - exact[:, 1]).max() <= 16 * k * EPS
