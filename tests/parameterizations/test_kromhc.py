from functools import reduce
from itertools import permutations

import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.errors import TooLarge, UsageError
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC


def factor(logits, side):
    weights = np.exp(logits) / np.exp(logits).sum()
    return sum(
        w * np.eye(side)[list(p)] for w, p in zip(weights, permutations(range(side)), strict=True)
    )


@pytest.mark.parametrize(
    "d, factors, sides",
    [
        (1, (), (1,)),
        (2, (), (2,)),
        (16, (), (2, 2, 2, 2)),
        (12, (), (2, 2, 3)),
        (12, (3, 4), (3, 4)),
        (12, (4, 1, 3), (4, 1, 3)),
        (7, (), (7,)),
    ],
)
def test_it_is_the_kronecker_product_first_factor_outermost(d, factors, sides, rng):
    method = KromHC(d, factors)
    assert tuple(part.d for part in method.parts) == sides
    theta = rng.normal(size=(3, method.parameters))
    for row, h, t in zip(theta, method(theta), method(torch.asarray(theta)).numpy(), strict=True):
        ends = np.cumsum([part.parameters for part in method.parts])
        pieces = np.split(row, ends[:-1])
        expected = reduce(np.kron, [factor(x, s) for x, s in zip(pieces, sides, strict=True)])
        assert np.allclose(h, expected, rtol=0, atol=1e-14)
        assert np.allclose(t, expected, rtol=0, atol=1e-14)


def test_two_by_two_factors_are_keep_and_swap():
    keep_swap = np.array([np.log(0.9), np.log(0.1), np.log(0.3), np.log(0.7)])
    outer = np.array([[0.9, 0.1], [0.1, 0.9]])
    inner = np.array([[0.3, 0.7], [0.7, 0.3]])
    assert np.allclose(KromHC(4)(keep_swap), np.kron(outer, inner), rtol=0, atol=1e-15)


def test_two_by_two_factors_are_symmetric_and_commute(rng):
    a, b = KromHC(8)(rng.normal(size=(2, 6)))
    assert np.allclose(a, a.T, atol=1e-16)
    assert np.allclose(a @ b, b @ a, atol=1e-15)


def test_the_start():
    assert np.abs(KromHC(4)(KromHC(4).initial()) - np.eye(4)).max() < 7e-4
    assert KromHC(6).initial().tolist() == [0, -8, 0, -8, -8, -8, -8, -8]


def test_published_counts():
    """go-mHC: Table 1, and Table 4 with K equal factors of side i."""
    for k, i, d in ((2, 2, 4), (4, 2, 16), (2, 3, 9), (1, 3, 3)):
        method = KromHC(d, (i,) * k)
        f = [1, 1, 2, 6][i]
        kronecker = (i ** (2 * k + 2) - i**4) // (i**2 - 1)
        assert method.flops() == 3 * k * f + 2 * k * i**2 * f + kronecker
        assert method.count(64) == (d * 64 + 1) * k * f + 2 * d**2 * 64 + 2 * d + 3


@pytest.mark.parametrize(
    "d, factors, message",
    [
        (
            12,
            (2, 3),
            "factors 2,3 of product 6 for d = 12 streams cannot be; "
            "expected product 12, such as 2,2,3",
        ),
        (
            4,
            (-2, -2),
            "factors -2,-2 of product 4 for d = 4 streams cannot be; "
            "expected product 4, such as 2,2",
        ),
        (
            4,
            (0,),
            "factors 0 of product 0 for d = 4 streams cannot be; expected product 4, such as 2,2",
        ),
    ],
)
def test_factors_that_do_not_fit(d, factors, message):
    with pytest.raises(UsageError) as refused:
        KromHC(d, factors)
    assert str(refused.value) == message


def test_a_large_prime_counts_and_refuses_the_rest(rng):
    method = KromHC(22)
    assert method.parameters == 2 + 39_916_800
    draws = (lambda how=how: method.draw(1, rng, how) for how in method.distributions)
    for attempt in (method.initial, *draws):
        with pytest.raises(TooLarge, match=r"^d = 11 has 39,916,800 permutation matrices, "):
            attempt()


def test_the_recorded_static_matrices(checkpoints):
    folder = checkpoints / "kromhc_n4"
    model = torch.load(folder / "ckpt.pt", weights_only=True)["model"]
    names = [f"transformer.h.{i}.hc_{b}.static_alpha" for i in range(6) for b in ("attn", "mlp")]
    logits = np.stack([model[n].numpy()[4:] for n in names]).astype(float)
    expected = np.load(folder / "truth.npz")["H_static"]
    assert np.abs(KromHC(4)(logits) - expected).max() < 1e-6
