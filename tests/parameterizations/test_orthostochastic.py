import numpy as np
import pytest
import torch

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.parameterizations.orthostochastic import Orthostochastic


def published(logits, steps=5, eps=1e-7):
    """What the code base does to its stored logits, then the transpose that it applies."""
    x = logits / (np.linalg.norm(logits) + eps)
    for _ in range(steps):
        a = x @ x.T
        x = 3 * x + (-3.2 * a + 1.2 * a @ a) @ x
    return (x * x).T


@pytest.mark.parametrize("steps", [0, 1, 5, 12])
@pytest.mark.parametrize("d", [1, 2, 4, 5])
def test_newton_schulz_on_the_stored_orientation(steps, d, rng):
    stored = rng.normal(size=(6, d, d))
    expected = np.array([published(x, steps) for x in stored])
    theta = np.swapaxes(stored, 1, 2).reshape(6, d * d)
    method = Orthostochastic(d, steps)
    assert np.allclose(method(theta), expected, rtol=0, atol=1e-12)
    assert np.allclose(method(torch.asarray(theta)).numpy(), expected, rtol=0, atol=1e-12)


def test_many_steps_square_the_polar_factor(rng):
    x = rng.normal(size=(4, 4)) + 4 * np.eye(4)
    u, _, v = np.linalg.svd(x)
    found = Orthostochastic(4, steps=200)(x.ravel())
    assert np.allclose(found, (u @ v) ** 2, rtol=0, atol=1e-12)


def test_the_published_start_mixes_almost_uniformly():
    """The polar factor of 0 / -8 logits is 2 J / d - I up to sign, its square 1 / 4 for d = 4."""
    h = Orthostochastic(4)(Orthostochastic(4).initial())
    assert np.abs(h - 0.25).max() < 0.03
    assert np.abs(h.sum(-1) - 1).max() > 1e-3


def test_zero_logits_give_zero_without_a_warning():
    assert (Orthostochastic(4)(np.zeros(16)) == 0).all()


def test_counts():
    assert Orthostochastic(4).count(1) == Orthostochastic(4).count(64) == 16 + 4 + 4
    assert Orthostochastic(4).flops() == 3 * 16 + 5 * (6 * 64 + 5 * 16) + 16


@pytest.mark.parametrize("options", [{"steps": -1}, {"eps": 0.0}, {"eps": float("nan")}])
def test_refusals(options):
    with pytest.raises(UsageError, match="cannot be; expected"):
        Orthostochastic(4, **options)


def test_the_recorded_static_matrices(checkpoints):
    folder = checkpoints / "tb_mhc_ortho"
    data = torch.load(folder / "ckpt.pt", weights_only=True)
    names = [f"transformer.h.{i}.hc_{b}.H_res_logits" for i in range(6) for b in ("attn", "mlp")]
    logits = np.stack([data["model"][n].numpy().T for n in names]).astype(float)
    method = Orthostochastic(4, data["config"]["ns_steps"], data["config"]["ns_eps"])
    assert method == Orthostochastic(4)
    expected = np.load(folder / "truth.npz")["H_static"]
    assert np.abs(method(logits.reshape(-1, 16)) - expected).max() < 1e-6
