"""Code bases since 2026: their sites against formulas written out in numpy's float64."""

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.checkpoints.sites.names import NamedStore
from models import MODELS, WIDTH, N, layered

EPS = 1e-6


def sites_of(name, settings=None, config=None):
    """The checkpoint, its sites, and the tensors of each by their names in the code."""
    model = MODELS[name]
    words = {**model.settings, **(settings or {})}
    store = model.store(config=config)
    found = formats.interpret(store, words)
    named = NamedStore(store)
    tensors = {
        tensor: [named.read(named_of(named, name)) for name in names]
        for tensor, names in found.dtypes.items()
    }
    own = [{t: arrays[k] for t, arrays in tensors.items()} for k in range(len(found.sites))]
    return found, list(found.connect(named)), own


def named_of(store, stored):
    return next(name for name, other in store.stored.items() if other == stored)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalised(x, eps=EPS):
    flat = x.reshape(len(x), -1).astype(np.float64)
    return flat / np.sqrt(np.square(flat).mean(-1, keepdims=True) + eps)


def sweeps(m, iters, guard):
    for _ in range(iters):
        m = m / guard(m.sum(-1, keepdims=True))
        m = m / guard(m.sum(-2, keepdims=True))
    return m


def v4(z, iters, eps=EPS):
    m = np.exp(z - z.max(-1, keepdims=True))
    m = m / m.sum(-1, keepdims=True) + eps
    m = m / (m.sum(-2, keepdims=True) + eps)
    return sweeps(m, iters - 1, lambda s: s + eps)


def compare(site, streams, h, pre, post):
    found = site(streams)
    np.testing.assert_allclose(found.mixing, h, atol=1e-6)
    np.testing.assert_allclose(found.pre, pre, atol=1e-6)
    np.testing.assert_allclose(found.post, post, atol=1e-6)


@pytest.fixture
def streams(rng):
    return (0.3 * rng.normal(size=(7, N, WIDTH))).astype(np.float32)


def test_motif3(streams):
    found, sites, own = sites_of("motif3")
    assert {s.name: s.value for s in found.settings}["iters"] == 3
    for site, t in zip(sites, own, strict=True):
        y = normalised(streams) * t["rms_norm.weight"]
        z = {
            kind: y @ t[f"proj_{kind}.weight"].T * t[f"alpha_{kind}"] + t[f"bias_{kind}"].ravel()
            for kind in ("pre", "post", "res")
        }
        m = np.exp(np.clip(z["res"], -20, 20)).reshape(-1, N, N)
        h = sweeps(m, 3, lambda s: np.maximum(s, 1e-8))
        compare(site, streams, h, *(sigmoid(np.clip(z[k], -10, 10)) for k in ("pre", "post")))


def test_motif3_clips_what_is_large():
    model = MODELS["motif3"]
    loud = model.store(lambda arrays: {k: 30 * v for k, v in arrays.items()})
    found = formats.interpret(loud, {})
    logits = [
        30 * array.astype(np.float64)
        for name, array in model.arrays.items()
        if name.endswith("bias_res")
    ]
    clipped = [np.exp(np.clip(z, -20, 20)) for z in logits]
    expected = [sweeps(m, 3, lambda s: np.maximum(s, 1e-8)) for m in clipped]
    np.testing.assert_allclose(found.trace().matrices[0], expected, atol=1e-6)


@pytest.mark.parametrize(("name", "iters", "clip"), [("xing4", 3, 30), ("xing4 apart", 20, 2)])
def test_xing4(streams, name, iters, clip):
    _, sites, own = sites_of(name)
    for site, t in zip(sites, own, strict=True):
        if name == "xing4":
            fn, base, scale = t["hc_fn"], t["hc_base"], t["hc_scale"]
        else:
            fn, base = t["mapping_weight"], t["bias"]
            scale = [t[f"alpha_{kind}"][0] for kind in ("pre", "post", "res")]
        z = normalised(streams) @ fn.T * np.repeat(scale, [N, N, N * N]) + base
        res = np.clip(z[:, 2 * N :], -clip, clip).reshape(-1, N, N)
        h = sweeps(np.exp(res - res.max(-1, keepdims=True)), iters, lambda s: s + EPS)
        compare(site, streams, h, sigmoid(z[:, :N]) + EPS, 2 * sigmoid(z[:, N : 2 * N]))


def test_xing4_with_bounds_of_two_sizes_is_refused():
    config = {"config.json": {"mhc_h_res_clamp_min": -5.0, "mhc_h_res_clamp_max": 30.0}}
    with pytest.raises(Unsupported, match=r"clamps logits to \[-5.0, 30.0\]"):
        formats.interpret(MODELS["xing4"].store(config=config), {})


@pytest.mark.parametrize("orientation", ["transposed", "stored"])
def test_openpangu2(streams, orientation):
    found, sites, own = sites_of("openpangu2", {"orientation": orientation})
    assert ("transposed" in found.convention) == (orientation == "transposed")
    for site, t in zip(sites, own, strict=True):
        y = normalised(streams) * t["norm_gamma"]
        z = y @ t["phi.weight"].T * np.repeat(t["branch_alpha"], [N, N, N * N]) + t["branch_beta"]
        h = v4(z[:, 2 * N :].reshape(-1, N, N), 3)
        h = h.swapaxes(1, 2) if orientation == "transposed" else h
        compare(site, streams, h, sigmoid(z[:, :N]) + EPS, 2 * sigmoid(z[:, N : 2 * N]))


def test_openpangu2_asks_for_its_orientation():
    with pytest.raises(Unsupported, match="orientation is disputed.*orientation=transposed or"):
        formats.interpret(MODELS["openpangu2"].store(), {})


def test_openpangu2_with_norms_between_layers_says_that_the_product_is_no_composite():
    model = MODELS["openpangu2"]
    config = {"config.json": {**model.config["config.json"], "block_post_layernorm_idx": [1]}}
    found = formats.interpret(model.store(config=config), model.settings)
    assert any("no composite" in a for a in found.assumptions)


def test_glm_in_megatron(streams):
    _, sites, own = sites_of("glm in megatron")
    for site, t in zip(sites, own, strict=True):
        y = normalised(streams, 1e-5) * t["norm.weight"]
        z = y @ t["mapping_proj.weight"].T * np.repeat(t["scale"], [N, N, N * N]) + t["bias"]
        h = v4(z[:, 2 * N :].reshape(-1, N, N), 20).swapaxes(1, 2)
        compare(site, streams, h, sigmoid(z[:, :N]) + EPS, 2 * sigmoid(z[:, N : 2 * N]))


@pytest.mark.parametrize("name", ["maxtext", "maxtext scanned"])
def test_maxtext(streams, name):
    model = MODELS[name]
    found = formats.interpret(model.store(), {})
    assert [s[:2] for s in found.sites] == [(i, b) for i in range(3) for b in ("attn", "mlp")]
    sites = found.connect(NamedStore(model.store()))
    for place, site, still in zip(found.sites, sites, found.trace().matrices[0], strict=True):
        branch = {"attn": "attention"}.get(place.branch, place.branch)

        def of(tensor, place=place, branch=branch):
            if name == "maxtext":
                return model.arrays[f"params-decoder-layers_{place.layer}-mhc_{branch}-{tensor}"]
            stack = model.arrays[f"params.decoder.layers.mhc_{branch}.{tensor.replace('-', '.')}"]
            return stack[:, place.layer]

        y = normalised(streams) * of("mhc_norm-scale")
        z = {
            kind: y @ of(f"{kind}_alpha") * of(f"{kind}_alpha_scale") + of(f"{kind}_beta").ravel()
            for kind in ("pre", "post", "res")
        }
        iters = 3 if name == "maxtext" else 20
        h = v4(z["res"].reshape(-1, N, N), iters).swapaxes(1, 2)
        compare(site, streams, h, sigmoid(z["pre"]) + EPS, 2 * sigmoid(z["post"]))
        still_h = v4(of("res_beta").astype(np.float64), iters).T
        np.testing.assert_allclose(still, still_h, atol=1e-6)


def test_gemma3n_is_altup(streams):
    found, sites, own = sites_of("gemma3n")
    assert (found.method, found.d, found.width) == ("altup", N, WIDTH)
    assert "AltUp" in found.convention
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(N)] * 3)
    for site, t in zip(sites, own, strict=True):
        x = streams[:, 1].astype(np.float64)
        y = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + EPS) * t["router_norm.weight"]
        m = np.tanh(y / WIDTH @ t["modality_router.weight"].T)
        h = np.eye(N) + (m @ t["prediction_coefs.weight"].T).reshape(-1, N, N)
        compare(site, streams, h, np.eye(N)[1], np.ones(N))


def test_an_active_stream_that_is_none_is_refused():
    config = {"config.json": {"altup_active_idx": N}}
    with pytest.raises(BadInput, match="stream 4 is active and there are 4"):
        formats.interpret(MODELS["gemma3n"].store(config=config), {})


def test_qwen4_mixes_nothing_and_needs_its_configuration():
    found = formats.interpret(MODELS["qwen4"].store(), {})
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(N)] * 6)
    assert found.method == "identity" and "H = I" in found.convention
    with pytest.raises(Unsupported, match=r"never mixed \(H = I\).*--set streams=N"):
        formats.interpret(MODELS["qwen4"].store(config={}), {})
    assert formats.interpret(MODELS["qwen4"].store(config={}), {"streams": "2"}).d == 2


def test_attention_residuals_are_no_streams():
    shapes = {"self_attention_res_proj.weight": (1, 8), "self_attention_res_norm.weight": (8,)}
    shapes = layered(shapes, "model.layers.{}.{}{}", branches=("",))
    model = MODELS["notebook"].__class__({k: np.zeros(s, np.float32) for k, s in shapes.items()})
    with pytest.raises(Unsupported, match="over depth; it has no streams"):
        formats.interpret(model.store(), {})
