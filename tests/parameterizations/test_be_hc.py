import numpy as np
import pytest

from birkhoff_cli.analyses.core.errors import TooLarge, UsageError
from birkhoff_cli.analyses.parameterizations.be_hc import BEHC

BASES = ("random", "local-shift", "structured")


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 9, 16])
def test_it_is_the_sum_over_its_permutations(basis, d, rng):
    method = BEHC(d, basis=basis)
    theta = rng.normal(size=method.parameters)
    weights = np.exp(theta) / np.exp(theta).sum()
    h = np.zeros((d, d))
    for weight, order in zip(weights, method.permutations, strict=True):
        h[np.arange(d), order] += weight
    assert np.allclose(method(theta), h, rtol=0, atol=1e-14)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 12, 64])
def test_distinct_permutations_the_identity_first(basis, d):
    perms = BEHC(d, basis=basis).permutations
    assert (np.sort(perms, axis=1) == np.arange(d)).all()
    assert (perms[0] == np.arange(d)).all()
    assert len(np.unique(perms, axis=0)) == len(perms)


def test_the_published_number_or_all_there_are():
    assert [BEHC(d).parameters for d in (1, 2, 3, 4, 5, 64)] == [1, 2, 6, 24, 64, 64]
    assert [BEHC(d, basis="local-shift").parameters for d in (1, 5, 64, 100)] == [1, 5, 64, 64]
    assert [BEHC(d, basis="structured").parameters for d in (1, 2, 3, 4, 5, 64)] == [
        *(1, 2, 6, 8, 20, 64)
    ]


def test_local_shifts():
    shifts = BEHC(5, basis="local-shift").permutations[:, 0].tolist()
    assert shifts == [0, 1, 4, 2, 3]


def test_structured_begins_with_a_shift_and_a_reversal():
    perms = BEHC(8, k=4, basis="structured").permutations
    assert perms[1].tolist() == [1, 2, 3, 4, 5, 6, 7, 0]
    assert perms[2].tolist() == [0, 7, 6, 5, 4, 3, 2, 1]


def test_the_basis_depends_on_its_own_seed_only():
    first, again = BEHC(6).permutations, BEHC(6).permutations
    assert (first == again).all()
    assert (BEHC(6, basis_seed=1).permutations != first).any()


@pytest.mark.parametrize("basis", BASES)
def test_many_streams(basis):
    method = BEHC(64, basis=basis)
    h = method(method.initial())
    assert np.abs(h.sum(-1) - 1).max() < 1e-12 and np.abs(h.sum(-2) - 1).max() < 1e-12


def test_the_start_favours_the_identity():
    h = BEHC(64)(BEHC(64).initial())
    assert np.diag(h).min() > 0.9 * np.e / (np.e + 63)
    assert (BEHC(64, k=2).initial() == [1, 0]).all()


def test_the_count_is_static():
    assert BEHC(16).count(1) == BEHC(16).count(4096) == 64
    assert BEHC(16, k=10).flops() == 3 * 10 + 2 * 16**2 * 10


@pytest.mark.parametrize(
    "d, options, message",
    [
        (3, {"k": 7}, "k = 7 random permutations of d = 3 streams cannot be; expected 1 to 6"),
        (3, {"k": 0}, "k = 0 random permutations of d = 3 streams cannot be; expected 1 to 6"),
        (
            8,
            {"k": 9, "basis": "local-shift"},
            "k = 9 local-shift permutations of d = 8 streams cannot be; expected 1 to 8",
        ),
        (
            8,
            {"k": 33, "basis": "structured"},
            "k = 33 structured permutations of d = 8 streams cannot be; expected 1 to 32",
        ),
        (
            8,
            {"basis": "fourier"},
            "basis 'fourier' cannot be; expected one of random, local-shift, structured",
        ),
        (8, {"basis_seed": -1}, "basis-seed = -1 cannot be; expected at least 0"),
    ],
)
def test_refusals(d, options, message):
    with pytest.raises(UsageError) as refused:
        BEHC(d, **options)
    assert str(refused.value) == message


def test_a_basis_that_would_not_fit_is_refused_before_it_is_made():
    method = BEHC(2000)
    with pytest.raises(TooLarge, match="^k = 64 permutation matrices of side 2000 take 2,048 MB"):
        method(method.initial())
