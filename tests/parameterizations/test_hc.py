import numpy as np
import torch

from birkhoff_cli.analyses.parameterizations.hc import HC


def test_static_plus_gated_tanh(rng):
    static, dynamic = rng.normal(size=(2, 5, 3, 3))
    theta = np.concatenate([static.reshape(5, 9), dynamic.reshape(5, 9)], axis=1)
    assert np.allclose(HC(3, gate=0.3)(theta), static + 0.3 * np.tanh(dynamic), atol=1e-15)


def test_the_start_is_the_identity():
    assert (HC(4)(HC(4).initial()) == np.eye(4)).all()


def test_nothing_is_exact():
    assert HC(4).exact == frozenset()


def test_the_count_is_that_of_a_real_site(checkpoints):
    """mhc-lite type hc: all tensors of a site, the norm's gain included."""
    state = torch.load(checkpoints / "mhclite_hc_n4" / "ckpt.pt", weights_only=True)["model"]
    site = {k: v for k, v in state.items() if "h.0.hc_attn." in k and ".branch." not in k}
    assert HC(4).count(64) == sum(v.numel() for v in site.values())


def test_the_recorded_static_matrices(checkpoints):
    state = torch.load(checkpoints / "mhclite_hc_n4" / "ckpt.pt", weights_only=True)["model"]
    expected = np.load(checkpoints / "mhclite_hc_n4" / "truth.npz")["H_static"]
    names = [f"transformer.h.{i}.hc_{b}.static_alpha" for i in range(6) for b in ("attn", "mlp")]
    static = np.stack([state[n].numpy()[:, 1:].T for n in names]).reshape(-1, 16)
    theta = np.concatenate([static, np.zeros_like(static)], axis=1)
    assert (HC(4)(theta) == expected).all()
