"""Sites of the nanoGPT family and of lucidrains' package: what they do to streams."""

from functools import reduce
from itertools import permutations

import numpy as np
import pytest

import birkhoff_cli.checkpoints as formats
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.networks.connection import Connection, Gate, Norm
from birkhoff_cli.analyses.parameterizations.mhc import MHC

RECORDED = (
    *("mhclite_hc_n4/ckpt.pt", "mhclite_mhc_n4/ckpt.pt", "mhclite_mhc_lite_n4/ckpt.pt"),
    *("kromhc_n4/ckpt.pt", "tb_mhc_tau1/ckpt.pt", "tb_mhc_ortho/ckpt.pt", "lucid_mhc/model.pt"),
)
STATIC = (*RECORDED, "gomhc_toy_s1/model.pt", "series_mhc_n4/ckpt_000001.pt")


def connections(path, settings=None):
    checkpoint = formats.read(path, settings or {})
    with checkpoint.opened() as store:
        return checkpoint, list(checkpoint.connect(store))


@pytest.mark.parametrize("file", RECORDED)
def test_sites_do_to_recorded_streams_what_the_models_own_code_did(checkpoints, file):
    checkpoint, found = connections(checkpoints / file)
    truth = np.load((checkpoints / file).with_name("truth.npz"))
    streams = np.load((checkpoints / file).with_name("streams.npz"))["x_in"]
    assert len(found) == len(checkpoint.sites) == len(truth["H_static"])
    for k, site in enumerate(found[: streams.shape[1]]):
        assert (site.d, site.width) == streams.shape[2:]
        weights = site(streams[:, k])
        for value, name in zip(weights, ("H", "H_pre", "H_post"), strict=True):
            assert value.dtype == np.float32
            error = np.abs(value - truth[name][: len(streams), k]).max()
            assert error <= 1e-5, f"site {k}, {name}: largest error {error:.2e}"


@pytest.mark.parametrize("file", STATIC)
def test_without_streams_a_site_has_the_static_parameters(checkpoints, file):
    checkpoint, found = connections(checkpoints / file, {"s": "1"} if "gomhc" in file else {})
    np.testing.assert_array_equal([site.mixing.static for site in found], checkpoint.theta)
    assert all(site.map == checkpoint.map for site in found)


# Formulas, one token at a time.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalised(x, gamma):
    return x / max(np.linalg.norm(x), 1e-12) * np.sqrt(len(x)) * (gamma + 1)


def sinkhorn(logits):
    m = np.exp(logits - logits.max(0))
    for _ in range(20):
        m = m / m.sum(0, keepdims=True)
        m = m / m.sum(1, keepdims=True)
    return m


def hc(t, x, dropped=False):
    alpha, post = [], []
    for s, stream in enumerate(x):
        y = normalised(stream, t["norm.gamma"])
        dynamic = np.tanh(y @ t["dynamic_alpha_fn"])
        alpha.append(dynamic * t["dynamic_alpha_scale"] + t["static_alpha"][s])
        dynamic = np.tanh(y @ t["dynamic_beta_fn"])
        post.append(dynamic * t["dynamic_beta_scale"] + t["static_beta"][s])
    alpha = np.array(alpha)
    return np.eye(len(x)) if dropped else alpha[:, 1:].T, alpha[:, 0], np.array(post)


def lucidrains(t, x, dropped=False):
    fn = t["dynamic_alpha_fn"].reshape(-1, x.shape[1], len(x) + 1)
    y = np.array([normalised(stream, t["norm.gamma"]) for stream in x])
    pre, mixing = [], []
    for proposal in fn:
        z = y @ proposal
        pre.append(sigmoid(z[:, 0] * t["pre_branch_scale"] + t["static_alpha"][:, 0]))
        mixing.append(sinkhorn(z[:, 1:] * t["residual_scale"] + t["static_alpha"][:, 1:]))
    z, static = y @ t["dynamic_beta_fn"].ravel(), t["static_beta"].ravel()
    if dropped:
        post = 2 * sigmoid(z) * t["h_post_scale"] + static
        return np.eye(len(x)), np.mean(pre, 0), post
    return np.mean(mixing, 0).T, np.mean(pre, 0), 2 * sigmoid(z * t["h_post_scale"] + static)


def together(t, x, mixing, pre, residual):
    y = normalised(x.ravel(), t["norm.gamma"])
    z, static = (y @ t["dynamic_alpha_fn"]), t["static_alpha"].ravel()
    post = y @ t["dynamic_beta_fn"] * t["h_post_scale"] + t["static_beta"]
    return (
        mixing(z[residual] * t["residual_scale"] + static[residual]).T,
        sigmoid(z[pre] * t["pre_branch_scale"] + static[pre]),
        2 * sigmoid(post),
    )


def mhc(t, x):
    at = np.arange(len(x) * (len(x) + 1)).reshape(len(x), -1)
    return together(t, x, sinkhorn, at[:, 0], at[:, 1:])


def mhc_lite(t, x):
    n, eye = len(x), np.eye(len(x))

    def mixing(logits):
        weights = np.exp(logits) / np.exp(logits).sum()
        return sum(w * eye[list(p)] for w, p in zip(weights, permutations(range(n)), strict=True))

    return together(t, x, mixing, slice(0, n), slice(n, None))


def kromhc(t, x):
    def mixing(logits):
        keep = sigmoid(logits[::2] - logits[1::2])
        return reduce(np.kron, [np.array([[p, 1 - p], [1 - p, p]]) for p in keep])

    return together(t, x, mixing, slice(0, len(x)), slice(len(x), None))


def hc_shapes(n, width):
    return {
        **{"norm.gamma": (width,), "static_alpha": (n, n + 1), "static_beta": (n,)},
        **{"dynamic_alpha_fn": (width, n + 1), "dynamic_beta_fn": (width,)},
        **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
    }


def scales():
    return {"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()}


def lucidrains_shapes(n, width, proposals=(), more=()):
    return {
        **{"norm.gamma": (width,), "static_alpha": (n, n + 1), "static_beta": (n, *more)},
        "dynamic_alpha_fn": (*proposals, width, n + 1),
        "dynamic_beta_fn": (width, *more[:1]),
        **scales(),
    }


def together_shapes(n, width, alpha):
    return {
        **{"norm.gamma": (n * width,), "static_alpha": alpha, "static_beta": (n,)},
        "dynamic_alpha_fn": (n * width, int(np.prod(alpha))),
        "dynamic_beta_fn": (n * width, n),
        **scales(),
    }


NANOGPT = {
    "hc": (hc, hc_shapes(3, 5)),
    "mhc": (mhc, together_shapes(3, 5, (3, 4))),
    "analysis": (mhc, together_shapes(2, 5, (2, 3))),
    "mhc_lite": (mhc_lite, together_shapes(3, 5, (9,))),
    "kromhc": (kromhc, together_shapes(8, 5, (14,))),
}
LUCIDRAINS = {
    "hc": (hc, hc_shapes(3, 5)),
    "v1": (lucidrains, lucidrains_shapes(3, 5)),
    "one proposal": (lucidrains, lucidrains_shapes(3, 5, (1,))),
    "three proposals": (lucidrains, lucidrains_shapes(3, 5, (3,))),
    "v2": (lucidrains, lucidrains_shapes(3, 5, (2,), (1, 1))),
}


def saved(path, shapes, prefix, wrap=lambda model: model, seed=0):
    """A file of two sites, and what they hold in float64."""
    import torch

    torch.manual_seed(seed)
    drawn = [{name: torch.randn(shape) for name, shape in shapes.items()} for _ in range(2)]
    model = {
        f"{prefix(k)}.{name}": value for k, site in enumerate(drawn) for name, value in site.items()
    }
    torch.save(wrap(model), path)
    return [{name: value.double().numpy() for name, value in site.items()} for site in drawn]


def hold(found, held, formula, rng):
    for site, tensors in zip(found, held, strict=True):
        streams = rng.standard_normal((7, 2, site.d, site.width)).astype(np.float32)
        weights = site(streams)
        for index in np.ndindex(7, 2):
            expected = formula(tensors, streams[index].astype(np.float64))
            for value, right in zip(weights, expected, strict=True):
                np.testing.assert_allclose(value[index], right, atol=1e-5)


@pytest.mark.parametrize("kind", NANOGPT)
def test_nanogpt_by_its_formulas(tmp_path, rng, kind):
    formula, shapes = NANOGPT[kind]
    n = shapes["static_beta"][0]
    held = saved(
        tmp_path / "f",
        shapes,
        lambda k: f"transformer.h.0.hc_{('attn', 'mlp')[k]}",
        lambda m: {"model": m, "model_args": {"hyper_conn_type": kind, "hyper_conn_n": n}},
    )
    hold(connections(tmp_path / "f")[1], held, formula, rng)


@pytest.mark.parametrize("kind", LUCIDRAINS)
@pytest.mark.parametrize("dropped", [False, True], ids=["applied", "dropped"])
def test_lucidrains_by_its_formulas(tmp_path, rng, kind, dropped):
    formula, shapes = LUCIDRAINS[kind]
    held = saved(tmp_path / "f", shapes, lambda k: f"layers.{k}")
    _, found = connections(tmp_path / "f", {"mixing": "dropped"} if dropped else {})
    hold(found, held, lambda t, x: formula(t, x, dropped), rng)


def test_tokenbender_hc_drops_its_mixing(tmp_path, rng):
    held = saved(
        tmp_path / "f",
        hc_shapes(3, 5),
        lambda k: f"transformer.h.0.hc_{('attn', 'mlp')[k]}",
        lambda m: {"model": m, "config": {"hc_num_streams": 3, "mhc": False}},
    )
    hold(connections(tmp_path / "f")[1], held, lambda t, x: hc(t, x, dropped=True), rng)


def test_widths_may_differ_from_site_to_site(tmp_path):
    import torch

    for k, width in enumerate((5, 3)):
        saved(tmp_path / str(k), hc_shapes(3, width), lambda at, k=k: f"{k}.{at}")
    model = {**torch.load(tmp_path / "0"), **torch.load(tmp_path / "1")}
    torch.save(model, tmp_path / "f")
    assert [site.width for site in connections(tmp_path / "f")[1]] == [5, 5, 3, 3]


def test_streams_mixed_before_the_norm_are_refused(tmp_path):
    shapes = {**lucidrains_shapes(3, 5, (1,), (1, 1)), "maybe_mix_streams.weight": (3, 3, 1, 1)}
    saved(tmp_path / "f", shapes, lambda k: f"layers.{k}")
    assert formats.read(tmp_path / "f").d == 3
    with pytest.raises(Unsupported, match="layers.0.* is mixed before it is normalised"):
        connections(tmp_path / "f")


def test_what_only_the_dynamic_part_holds_is_checked_when_it_is_read(tmp_path):
    import torch

    saved(tmp_path / "f", hc_shapes(3, 5), lambda k: f"layers.{k}")
    model = torch.load(tmp_path / "f")
    model["layers.1.dynamic_alpha_fn"][0, 0] = float("nan")
    torch.save(model, tmp_path / "f")
    assert formats.read(tmp_path / "f").trace().samples == 1
    with pytest.raises(BadInput, match="layer 1, site: dynamic_alpha_fn holds NaN"):
        connections(tmp_path / "f")


# What every connection does


def drawn(rng, features, proposals=1, tanh=False):
    """A connection of 3 streams of width 4 with random numbers, ``features`` normalised at once."""
    groups = 12 // features
    order = rng.integers(0, 6 * groups, (proposals, 9))
    static = rng.standard_normal(9)
    return Connection(
        map=MHC(3),
        d=3,
        width=4,
        mixing=Gate(static, np.float64(0.7), order, tanh=tanh),
        pre=Gate(static[:3], np.float64(0.5), order[:, :3], (0, 1), tanh=tanh),
        post=Gate(static[:3]),
        weight=rng.standard_normal((features, 6)),
        norm=Norm("inside", 1e-6),
    )


@pytest.mark.parametrize("features", [12, 4])
@pytest.mark.parametrize("tanh", [False, True])
def test_numpy_and_torch_agree(rng, features, tanh):
    import torch

    site = drawn(rng, features, proposals=2, tanh=tanh)
    streams = rng.standard_normal((5, 3, 4))
    there = site.converted(torch.as_tensor)(torch.as_tensor(streams))
    for ours, theirs in zip(site(streams), there, strict=True):
        np.testing.assert_allclose(theirs.numpy(), np.broadcast_to(ours, theirs.shape), atol=1e-12)


def test_streams_that_do_not_matter(rng):
    gates = Gate(rng.standard_normal(9)), Gate(np.ones(3)), Gate(np.zeros(3))
    site = Connection(MHC(3), 3, 4, *gates)
    assert site.random_logits(10, rng) is None
    weights = site(rng.standard_normal((5, 3, 4)))
    np.testing.assert_array_equal(weights.mixing, MHC(3)(gates[0].static))


@pytest.mark.parametrize("features, outputs", [(12, 6), (4, 3), (4, 6)])
def test_random_logits_are_those_of_uniform_directions(rng, features, outputs):
    """Whole and by stream; fewer outputs than features, and as many as there can be.

    Means and products of pairs against those of explicit directions, within five standard errors.
    """
    n, groups = 50_000, 12 // features
    site = drawn(rng, features)
    weight = rng.standard_normal((features, outputs))
    site = Connection(*(site.map, 3, 4, site.mixing, site.pre, site.post), weight=weight)
    streams = rng.standard_normal((n, 3, 4))
    z, there = site.random_logits(n, rng), site.logits(streams)
    assert z.shape == there.shape == (n, groups * outputs)
    for power in (1, 2):
        ours, theirs = (v**power for v in (z, there))
        error = np.sqrt((ours.var(0) + theirs.var(0)) / n)
        assert (np.abs(ours.mean(0) - theirs.mean(0)) <= 5 * error).all()
        pairs = [np.einsum("ni,nj->nij", v, v) for v in (ours, theirs)]
        error = np.sqrt((pairs[0].var(0) + pairs[1].var(0)) / n)
        assert (np.abs(pairs[0].mean(0) - pairs[1].mean(0)) <= 5 * error).all()


def test_random_logits_never_leave_the_sphere(rng):
    """With as many outputs as features and an orthogonal weight, lengths are exactly sqrt(F)."""
    site = drawn(rng, 4)
    weight = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    site = Connection(*(site.map, 3, 4, site.mixing, site.pre, site.post), weight=weight)
    lengths = np.linalg.norm(site.random_logits(1000, rng).reshape(1000, 3, 4), axis=-1)
    np.testing.assert_allclose(lengths, 2, atol=1e-12)
