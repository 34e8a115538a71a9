"""GGUF by its architecture: each as the model that was converted, written out here once more."""

import numpy as np
import pytest

from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints import architectures, read
from test_formats_newer import normalised, sigmoid, sweeps, v4
from test_gguf import BF16, F32, FLOAT32, INT32, LAYERS, UINT32, WIDTH, N, gguf, model_keys
from test_gguf import model_tensors as fused

WIDE, ROWS = N * WIDTH, N * (N + 2)
BRANCHES = ("attn", "ffn")


def tensors_of(shapes, stem="blk.{}.hc_{}_{}", suffix=".weight", layers=LAYERS):
    rng = np.random.default_rng(0)
    return {
        stem.format(k, branch, tensor) + suffix: (rng.normal(size=shape), F32)
        for k in range(layers)
        for branch in BRANCHES
        for tensor, shape in shapes.items()
    }


def site(tensors, k, stem="blk.{}.hc_{}_{}", suffix=".weight"):
    """Tensors of one site by what stands last in their names."""
    begin = stem.format(k // 2, BRANCHES[k % 2], "")
    return {
        name.removeprefix(begin).removesuffix(suffix): array
        for name, (array, _) in tensors.items()
        if name.startswith(begin)
    }


def sites_of(found):
    with found.opened() as store:
        return list(found.connect(store))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf"


@pytest.fixture
def streams(rng):
    return (0.3 * rng.normal(size=(7, N, WIDTH))).astype(np.float32)


def parts(z):
    return z[:, :N], z[:, N : 2 * N], z[:, 2 * N :].reshape(-1, N, N)


def test_xing_is_not_v4_though_its_names_and_shapes_are(path, streams):
    tensors = fused()
    path.write_bytes(gguf(model_keys("xing4_0"), tensors))
    found = read(path)
    assert {s.name: s.value for s in found.settings}["architecture"] == "xing4_0"
    for k, (own, h) in enumerate(zip(sites_of(found), found.trace().matrices[0], strict=True)):
        t = site(tensors, k)
        scale = np.repeat(t["scale"], (N, N, N * N))
        pre, post, res = parts(normalised(streams) @ t["fn"].T * scale + t["base"])

        def mixed(z):
            z = np.clip(z, -30, 30)
            return sweeps(np.exp(z - z.max(-1, keepdims=True)), 5, lambda s: s + 1e-6)

        np.testing.assert_allclose(own(streams).mixing, mixed(res), atol=1e-6)
        np.testing.assert_allclose(own(streams).pre, sigmoid(pre) + 1e-6, atol=1e-6)
        np.testing.assert_allclose(own(streams).post, 2 * sigmoid(post), atol=1e-6)
        static = t["base"][2 * N :].reshape(1, N, N)
        np.testing.assert_allclose(h, mixed(static)[0], atol=1e-6)
        assert np.abs(h - v4(static, 5)[0].T).max() > 0.1


MOTIF = {
    "fused": ("blk.{}.hc_{}_{}", {"fn": (ROWS, WIDE), "base": (ROWS,), "scale": (3,)}),
    "apart": (
        "blk.{}.mhc_{}_{}",
        {"pre": (N, WIDE), "post": (N, WIDE), "res": (N * N, WIDE), "alpha": (3,)},
    ),
}


@pytest.mark.parametrize("layout", MOTIF)
@pytest.mark.parametrize("gained", [True, False])
def test_motif_in_one_matrix_or_in_three(path, streams, layout, gained):
    stem, shapes = MOTIF[layout]
    tensors = tensors_of(shapes | ({"norm": (WIDE,)} if gained else {}), stem)
    if layout == "apart":
        biases = {"pre": (N,), "post": (N,), "res": (N * N,)}
        tensors |= tensors_of(biases, stem, ".bias")
    path.write_bytes(gguf(model_keys("motif3", iters=3), tensors))
    found = read(path)
    for k, (own, h) in enumerate(zip(sites_of(found), found.trace().matrices[0], strict=True)):
        t = site(tensors, k, stem)
        if layout == "apart":
            base = np.concatenate([t[f"{part}.bias"] for part in ("pre", "post", "res")])
            t["fn"] = np.concatenate([t[part] for part in ("pre", "post", "res")])
            t |= {"base": base, "scale": t["alpha"]}
        y = normalised(streams) * (t["norm"] if gained else 1)
        pre, post, res = parts(y @ t["fn"].T * np.repeat(t["scale"], (N, N, N * N)) + t["base"])

        def mixed(z):
            return sweeps(np.exp(np.clip(z, -20, 20)), 3, lambda s: np.maximum(s, 1e-8))

        np.testing.assert_allclose(own(streams).mixing, mixed(res), atol=2e-6)
        np.testing.assert_allclose(own(streams).pre, sigmoid(np.clip(pre, -10, 10)), atol=1e-6)
        np.testing.assert_allclose(own(streams).post, sigmoid(np.clip(post, -10, 10)), atol=1e-6)
        np.testing.assert_allclose(h, mixed(t["base"][2 * N :].reshape(1, N, N))[0], atol=1e-6)


ALTUP = {
    **{"predict_coef": (N * N, N), "correct_coef": (N, N), "correct_scale": (WIDTH,)},
    **{"router": (N, WIDTH), "router_norm": (WIDTH,)},
}


def test_gemma3n_predicts_by_the_active_stream(path, streams):
    rng = np.random.default_rng(0)
    tensors = {
        f"blk.{k}.altup_{name}.weight": (rng.normal(size=shape), F32)
        for k in range(LAYERS)
        for name, shape in ALTUP.items()
    }
    tensors["altup_proj.weight"] = (np.ones((3, WIDTH, WIDTH)), F32)
    more = {"gemma3n.altup.active_idx": (UINT32, 2), "gemma3n.altup.num_inputs": (INT32, N)}
    path.write_bytes(gguf(model_keys("gemma3n", **more), tensors))
    found = read(path)
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(N)] * LAYERS)
    assert {s.name: s.value for s in found.settings}["active"] == 2
    for k, own in enumerate(sites_of(found)):
        t = {name: tensors[f"blk.{k}.altup_{name}.weight"][0] for name in ALTUP}
        x = streams[:, 2].astype(np.float64)
        y = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6) * t["router_norm"] / WIDTH
        m = np.tanh(y @ t["router"].T)
        h = np.eye(N) + (m @ t["predict_coef"].T).reshape(-1, N, N)
        np.testing.assert_allclose(own(streams).mixing, h, atol=1e-6)


def test_qwen4_mixes_nothing(path):
    shapes = {"norm": (WIDE,), "down": (2, WIDE), "up": (WIDE, 2), "inject": (N, WIDE)}
    more = {"qwen4exp.hyper_connection.low_rank": (UINT32, 2)}
    path.write_bytes(gguf(model_keys("qwen4exp", **more), tensors_of(shapes)))
    found = read(path)
    np.testing.assert_array_equal(found.trace().matrices[0], [np.eye(N)] * (2 * LAYERS))
    assert "streams are never mixed; H = I" in found.convention
    assert "gain of the norm is stored less 1" in found.ungated


def test_hy_v4_mixes_nothing_and_its_gates_have_a_magnitude(path, streams):
    shapes = {"fn": (2 * N, WIDE), "base": (2 * N,), "scale": (2,)}
    tensors = tensors_of(shapes)
    more = {"hy_v4.hyper_connection.magnitude": (FLOAT32, 3.0)}
    path.write_bytes(gguf(model_keys("hy_v4", **more), tensors))
    found = read(path)
    assert found.map is None and found.method == "identity"
    for k, own in enumerate(sites_of(found)):
        t = site(tensors, k)
        z = normalised(streams) @ t["fn"].T * np.repeat(t["scale"], N) + t["base"]
        np.testing.assert_allclose(own(streams).post, 3 * sigmoid(z[:, N:]) + 1e-6, atol=1e-5)


@pytest.mark.parametrize("architecture", ["deepseek4", "deepseek41", "glm5-next", "glm5next"])
def test_relatives_of_v4(path, architecture):
    tensors = fused()
    path.write_bytes(gguf(model_keys(architecture), tensors))
    found = read(path)
    truth = [v4(site(tensors, k)["base"][2 * N :].reshape(1, N, N), 5)[0].T for k in range(6)]
    np.testing.assert_allclose(found.trace().matrices[0], truth, atol=1e-6)
    said = any("one site before" in sentence for sentence in found.assumptions)
    assert said is (architecture == "deepseek41")
    assert dict(found.dtypes["fn"])["blk.0.hc_attn_fn.weight"] == "float32"


def test_narrow_mixers_of_another_architecture_are_named_as_in_the_file(path):
    path.write_bytes(gguf(model_keys("xing4_0"), fused(fn=BF16)))
    assert read(path).dtypes["hc_fn"]["blk.2.hc_ffn_fn.weight"] == "bfloat16"


def test_a_key_of_hyper_connections_that_nothing_takes_is_named(path):
    more = {"deepseek4.hyper_connection.temperature": (FLOAT32, 0.5)}
    path.write_bytes(gguf(model_keys(**more), fused()))
    found = read(path)
    assert any("temperature = 0.5 has no part in H" in said for said in found.assumptions)


def test_a_file_of_multi_token_prediction_alone_is_refused(path):
    tensors = {n: t for n, t in fused(range(LAYERS + 1)).items() if f"blk.{LAYERS}." in n}
    tensors[f"blk.{LAYERS}.nextn.eh_proj.weight"] = (np.ones((2, 2)), F32)
    more = {"deepseek4.nextn_predict_layers": (UINT32, 1)}
    path.write_bytes(gguf(model_keys(blocks=LAYERS + 1, **more), tensors))
    with pytest.raises(BadInput, match="multi-token prediction alone.*give the model's file"):
        read(path)


def test_another_architecture_with_blocks_of_multi_token_prediction(path):
    tensors = fused(range(LAYERS + 1))
    tensors[f"blk.{LAYERS}.nextn.eh_proj.weight"] = (np.ones((2, 2)), F32)
    more = {"xing4_0.nextn_predict_layers": (UINT32, 1)}
    path.write_bytes(gguf(model_keys("xing4_0", blocks=LAYERS + 1, **more), tensors))
    found = read(path)
    assert found.layers == LAYERS
    assert any("multi-token prediction and left out" in said for said in found.assumptions)


PACKAGE = architectures.__name__


@pytest.mark.parametrize("name", discover.members(PACKAGE))
def test_an_architecture_says_whose_mathematics_it_has(name):
    member = discover.member(PACKAGE, name)
    assert discover.constant(PACKAGE, name, "ARCHITECTURES") == member.ARCHITECTURES
    assert member.FORMAT in discover.members("birkhoff_cli.checkpoints")
    assert member.TENSORS and member.KEYS and member.CONFIG["model_type"]
