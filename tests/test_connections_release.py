"""Sites of DeepSeek-V4 and of Megatron: what follows the streams, on streams that were recorded."""

from functools import partial

import numpy as np
import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.modules import deepseek, megatron
from test_formats_distributed import ARGS, SITES, saved
from test_formats_distributed import model as megatron_model
from test_formats_sharded import CONFIG, NAMINGS, sharded
from test_formats_sharded import tensors as v4_tensors

RECORDED = ("H", "H_pre", "H_post", "branch_in")
"""Arrays of tokens and sites."""


def connections(folder, settings=None):
    found = formats.read(folder, settings)
    with found.opened() as store:
        return found, tuple(found.connect(store))


def static(site):
    """H without streams, as a check that both ways to it agree."""
    return site.weights(None).mixing


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("name", ["hf_v4_origfmt", "megatron_main"])
def test_weights_are_those_of_the_trained_model_on_its_own_streams(checkpoints, name):
    truth = np.load(checkpoints / name / "truth.npz")
    streams = np.load(checkpoints / name / "streams.npz")["x_in"]
    found, sites = connections(checkpoints / name)
    assert len(sites) == len(found.sites) == len(truth["H_static"])
    applied = {name: truth[name][: len(streams)] for name in truth if name in RECORDED}
    for k, site in enumerate(sites[: streams.shape[1]]):
        h, pre, post = site(streams[:, k])
        errors = {"H": h - applied["H"][:, k], "H_post": post - applied["H_post"][:, k]}
        if "H_pre" in applied:
            errors["H_pre"] = pre - applied["H_pre"][:, k]
        else:  # the code hands on only what it made of it
            read = np.einsum("tj,tjc->tc", pre, streams[:, k])
            errors["branch_in"] = read - applied["branch_in"][:, k]
        worst = {what: np.abs(error).max() for what, error in errors.items()}
        assert max(worst.values()) <= 1e-5, (found.sites[k].name, worst)
    for site, expected in zip(sites, truth["H_static"], strict=True):
        np.testing.assert_allclose(static(site), expected, atol=1e-5)


def sinkhorn(z, first, second, iters, eps, softmax):
    """Normalise one axis, then the other, in float64; V4 adds eps where Megatron has a floor."""
    x = np.exp(z - z.max(-1, keepdims=True))
    if softmax:
        x = x / x.sum(-1, keepdims=True) + eps
        x = x / (x.sum(-2, keepdims=True) + eps)
    for _ in range(iters - softmax):
        for axis in (first, second):
            total = x.sum(axis, keepdims=True)
            x = x / (total + eps if softmax else np.maximum(total, eps))
    return x


def expected(z, scales, base, n, iters, eps, *, dev):
    """H, H_pre and H_post of ``z`` as DeepSeek-V4 and dev have them, or as Megatron's main."""
    pre, post, comb = np.split(z, [n, 2 * n], axis=-1)
    pre_base, post_base, comb_base = np.split(base.astype(np.float64), [n, 2 * n])
    logits = (comb * scales[2] + comb_base).reshape(-1, n, n)
    m = sinkhorn(logits, -1, -2, iters, eps, softmax=dev)
    pre = sigmoid(pre * scales[0] + pre_base) + (eps if dev else 0)
    return m.swapaxes(-1, -2) if dev else m, pre, 2 * sigmoid(post * scales[1] + post_base)


def compare(site, streams, wanted):
    for found, right in zip(site(streams), wanted, strict=True):
        np.testing.assert_allclose(found, right, atol=2e-5)


@pytest.mark.parametrize("naming", ["modules", "original", "release", "of several parts"])
@pytest.mark.parametrize("family", ["deepseek_v4", "glm5_next_text"])
def test_sites_of_deepseek_v4_in_every_naming(tmp_path, rng, naming, family):
    model = v4_tensors(rng, naming, n=3, width=5)
    config = {**CONFIG, "hc_mult": 3, "hidden_size": 5, "rms_norm_eps": 0.3, "model_type": family}
    found, sites = connections(sharded(tmp_path / "f", model, config=config))
    streams = rng.normal(size=(7, 3, 5)).astype(np.float32)
    flat = streams.reshape(7, 15).astype(np.float64)
    normed = flat / np.sqrt(np.square(flat).mean(-1, keepdims=True) + 0.3)
    for place, site, h in zip(found.sites, sites, found.trace().matrices[0], strict=True):
        branch = {"mlp": "ffn"}.get(place.branch, place.branch)
        fn, base, scale = (
            model[NAMINGS[naming].format(place.layer, branch, t)] for t in ("fn", "base", "scale")
        )
        compare(site, streams, expected(normed @ fn.T, scale, base, 3, 7, 1e-3, dev=True))
        np.testing.assert_array_equal(static(site), h)


def test_sites_of_hy_v4_mix_nothing(tmp_path, rng):
    shapes = {"fn": (6, 15), "base": (6,), "scale": (2,)}
    model = {
        f"model.layers.0.{branch}_hc.{tensor}": rng.normal(size=shape).astype(np.float32)
        for branch in ("attn", "mlp")
        for tensor, shape in shapes.items()
    }
    config = {"hc_magnitude": 3.0, "hc_eps": 0.01, "rms_norm_eps": 0.2, "num_hidden_layers": 1}
    found, sites = connections(sharded(tmp_path / "f", model, config=config))
    assert found.assumptions == ()
    streams = rng.normal(size=(7, 3, 5)).astype(np.float32)
    flat = streams.reshape(7, 15)
    z = flat / np.sqrt(np.square(flat).mean(-1, keepdims=True) + 0.2)
    for branch, site in zip(("attn", "mlp"), sites, strict=True):
        fn, base, scale = (model[f"model.layers.0.{branch}_hc.{t}"] for t in shapes)
        pre, post = np.split(z @ fn.T * np.repeat(scale, 3) + base, 2, axis=-1)
        eye = np.broadcast_to(np.eye(3), (7, 3, 3))
        compare(site, streams, (eye, sigmoid(pre) + 0.01, 3 * sigmoid(post) + 0.01))


def tensor_of(model, site, tensor):
    name = f"{SITES[site.branch]}_hyper_connection.{tensor}"
    stack = model.get(f"decoder.layers.{name}")
    numbered = f"decoder.layers.{site.layer}.{name}"
    return model[numbered] if stack is None else stack[site.layer]


@pytest.mark.parametrize("stacked", [True, False], ids=["stacked", "numbered"])
@pytest.mark.parametrize("variant", ["main", "dev"])
def test_sites_of_megatron(tmp_path, rng, stacked, variant):
    model = megatron_model(rng, stacked)
    found, sites = connections(saved(tmp_path / "f", model, ARGS), {"variant": variant})
    streams = (rng.normal(size=(7, 3, 5)) * 1e-5).astype(np.float32)  # so small that eps shows
    flat = streams.reshape(7, 15).astype(np.float64)
    normed = flat / (np.sqrt(np.square(flat).mean(-1, keepdims=True)) + 1e-6)
    for place, site, h in zip(found.sites, sites, found.trace().matrices[0], strict=True):
        of = partial(tensor_of, model, place)
        scales = [of(f"alpha_{kind}")[0] for kind in ("pre", "post", "res")]
        z = normed @ of("mapping_proj.weight").T
        compare(site, streams, expected(z, scales, of("bias"), 3, 7, 1e-6, dev=variant == "dev"))
        np.testing.assert_array_equal(static(site), h)


def test_a_checkpoint_that_is_replaced_meanwhile_is_refused(tmp_path, rng):
    found = formats.read(sharded(tmp_path / "f", v4_tensors(rng)))
    for change, sentence in (
        (lambda name: name.replace("layers.1", "layers.7"), "changed while it was read"),
        (lambda name: name, r"fn has shape \(8, 10\), expected \(8, 6\)"),
    ):
        model = {change(name): array for name, array in v4_tensors(rng, width=5).items()}
        sharded(tmp_path / "f", model)
        with found.opened() as store, pytest.raises(BadInput, match=sentence):
            tuple(found.connect(store))


def test_one_module_becomes_a_site_of_numpy_or_of_torch(rng):
    import torch

    v4 = {"fn": rng.normal(size=(8, 6)), "base": rng.normal(size=8), "scale": np.ones(3)}
    nvidia = {"mapping_proj.weight": v4["fn"], "bias": v4["base"]}
    nvidia |= {f"alpha_{kind}": np.ones(1) for kind in ("pre", "post", "res")}
    streams = rng.normal(size=(5, 2, 3))
    for make, tensors in (
        (deepseek.connection, v4),
        (lambda found: megatron.connection(found, "dev"), nvidia),
    ):
        numbers = make(tensors)(streams)
        turned = make({name: torch.from_numpy(array) for name, array in tensors.items()})
        for one, other in zip(numbers, turned(torch.from_numpy(streams)), strict=True):
            np.testing.assert_allclose(other.numpy(), one, atol=1e-12)


def test_a_tensor_that_is_not_finite_is_refused_when_it_is_read(tmp_path, rng):
    model = v4_tensors(rng)
    model["layers.1.hc_ffn_fn"][3, 2] = np.nan
    found = formats.read(sharded(tmp_path / "f", model))
    with found.opened() as store, pytest.raises(BadInput, match="layer 1, mlp: fn holds"):
        tuple(found.connect(store))
