import itertools

import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.errors import TooLarge
from birkhoff_cli.analyses.geometry.permutations import inverse_order
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6])
def test_it_is_the_sum_over_permutations(d, rng):
    theta = rng.normal(size=MHCLite(d).parameters)
    weights = np.exp(theta) / np.exp(theta).sum()
    h = np.zeros((d, d))
    for weight, order in zip(weights, itertools.permutations(range(d)), strict=True):
        for i, j in enumerate(order):
            h[i, j] += weight
    assert np.allclose(MHCLite(d)(theta), h, rtol=0, atol=1e-14)


def test_a_large_logit_gives_its_permutation():
    theta = np.full((24, 24), -1000.0)
    np.fill_diagonal(theta, 1000.0)
    h = MHCLite(4)(theta)
    assert (h.argmax(-1) == np.array(list(itertools.permutations(range(4))))).all()
    assert ((h == 0) | (h == 1)).all()


def test_d_8_works():
    theta = np.random.default_rng(0).normal(size=(2, 40320))
    for dtype, bound in ((np.float64, 1e-13), (np.float32, 1e-5)):
        h = MHCLite(8)(theta.astype(dtype))
        assert np.abs(h.sum(-1) - 1).max() < bound and np.abs(h.sum(-2) - 1).max() < bound


def test_the_start():
    h = MHCLite(4)(MHCLite(4).initial())
    assert np.abs(h - np.eye(4)).max() < 0.008
    identity = 1 / (1 + 23 * np.exp(-8))
    assert h[0, 0] == pytest.approx(identity + 5 * np.exp(-8) * identity, abs=1e-15)


def test_published_counts():
    assert MHCLite(4).count(64) == (4 * 64 + 1) * 24 + 2 * 16 * 64 + 8 + 3
    assert MHCLite(4).flops() == 3 * 24 + 2 * 16 * 24


def test_beyond_d_8_it_counts_and_refuses_the_rest(rng):
    method = MHCLite(9)
    assert method.parameters == 362_880
    assert method.flops() == (3 + 2 * 81) * 362_880
    assert MHCLite(32).count(64) > 10**35
    attempts = (
        method.initial,
        lambda: method.draw(1, rng),
        lambda: method.draw(1, rng, "dirichlet"),
        lambda: method(np.zeros((1, 1))),
        lambda: MHCLite(64).draw(1, rng, "init"),
    )
    for attempt in attempts:
        with pytest.raises(
            TooLarge, match=r"^d = \d+ has .* permutation matrices, .*B of memory; "
        ):
            attempt()
    with pytest.raises(TooLarge, match=r"362,880 permutation matrices, 235 MB .* take go-mhc"):
        method.initial()
    assert method.draw(1, rng, "polytope").shape == (1, 9, 9)


def test_the_recorded_static_matrices(checkpoints):
    folder = checkpoints / "mhclite_mhc_lite_n4"
    model = torch.load(folder / "ckpt.pt", weights_only=True)["model"]
    names = [f"transformer.h.{i}.hc_{b}.static_alpha" for i in range(6) for b in ("attn", "mlp")]
    logits = np.stack([model[n].numpy()[4:] for n in names]).astype(float)
    found = MHCLite(4)(logits[:, inverse_order(4)])
    expected = np.load(folder / "truth.npz")["H_static"]
    assert np.abs(found - expected).max() < 1e-6
    assert np.abs(MHCLite(4)(logits).swapaxes(-1, -2) - found).max() < 1e-15
