"""mHC's variants against plain loops over what each code base stores, and its matrices."""

import json
import struct
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.parameterization import COLUMNS, NONNEGATIVE, ROWS
from birkhoff_cli.analyses.geometry.sinkhorn import log_sweep, narrow, sweep
from birkhoff_cli.analyses.parameterizations._sinkhorn_variants import VARIANTS
from birkhoff_cli.analyses.parameterizations.mhc import MHC

WIDE = np.longdouble
"""Exponent range 1e4932: the linear domain needs no care even for logits of range 2000."""


def log_sum(z, axis):
    top = z.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(z - top).sum(axis=axis, keepdims=True))


def paper(logits):
    """M <- T_r(T_c(M)) with M = exp(logits), applied as it is."""
    m = np.exp(logits.astype(WIDE) - logits.max())
    for _ in range(20):
        m = m / m.sum(axis=0, keepdims=True)
        m = m / m.sum(axis=1, keepdims=True)
    return m


def mhc_lite(logits):
    m = logits.T.astype(WIDE)
    for _ in range(20):
        m = m - log_sum(m, 0)
        m = m - log_sum(m, 1)
    return np.exp(m).T


def lucidrains(logits):
    stored = logits.T
    m = np.exp(stored - stored.max(axis=0, keepdims=True))
    for _ in range(20):
        m = m / np.maximum(np.abs(m).sum(axis=0, keepdims=True), 1e-12)
        m = m / np.maximum(np.abs(m).sum(axis=1, keepdims=True), 1e-12)
    return m.T


def deepseek_v4(logits):
    stored = logits.T
    comb = np.exp(stored - stored.max(axis=-1, keepdims=True))
    comb = comb / comb.sum(axis=-1, keepdims=True) + 1e-6
    comb = comb / (comb.sum(axis=-2, keepdims=True) + 1e-6)
    for _ in range(19):
        comb = comb / (comb.sum(axis=-1, keepdims=True) + 1e-6)
        comb = comb / (comb.sum(axis=-2, keepdims=True) + 1e-6)
    return comb.T


def megatron_main(logits):
    m = np.exp(logits - logits.max(axis=-1, keepdims=True))
    for _ in range(20):
        m = m / np.maximum(m.sum(axis=-1, keepdims=True), 1e-6)
        m = m / np.maximum(m.sum(axis=-2, keepdims=True), 1e-6)
    return m


def tokenbender(logits):
    z = logits.T.astype(WIDE) / WIDE(0.05)
    n = len(z)
    u, v = np.zeros(n, WIDE), np.zeros(n, WIDE)
    for _ in range(10):
        u = -np.log(WIDE(n)) - log_sum(z + v, 1)[:, 0]
        v = -np.log(WIDE(n)) - log_sum(z + u[:, None], 0)[0]
    return (n * np.exp(z + u[:, None] + v)).T


def xing(logits):
    logits = np.clip(logits, -30, 30)
    m = np.exp(logits - logits.max(axis=-1, keepdims=True))
    for _ in range(20):
        m = m / (m.sum(axis=-1, keepdims=True) + 1e-6)
        m = m / (m.sum(axis=-2, keepdims=True) + 1e-6)
    return m


def motif(logits):
    m = np.exp(np.clip(logits, -20, 20))
    for _ in range(20):
        m = m / np.maximum(m.sum(axis=-1, keepdims=True), 1e-8)
        m = m / np.maximum(m.sum(axis=-2, keepdims=True), 1e-8)
    return m


LOOPS = {
    "paper": paper,
    "mhc-lite": mhc_lite,
    "lucidrains": lucidrains,
    "deepseek-v4": deepseek_v4,
    "megatron-main": megatron_main,
    "megatron-dev": deepseek_v4,
    "tokenbender": tokenbender,
    "xing": xing,
    "motif": motif,
}


def test_every_variant_has_a_loop():
    assert LOOPS.keys() == VARIANTS.keys()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("d", [1, 2, 4, 5])
@pytest.mark.parametrize("spread", [0.3, 3, 30, 1000])
def test_a_variant_is_what_its_code_does(variant, d, spread, rng):
    logits = rng.uniform(-spread, spread, (20, d, d))
    theta = logits.reshape(20, d * d)
    expected = np.array([LOOPS[variant](x) for x in logits], dtype=float)
    for h in (MHC(d, variant)(theta), MHC(d, variant)(torch.asarray(theta)).numpy()):
        assert np.abs(h - expected).max() < 1e-10 * max(1, spread / 100)


@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_is_as_good_as_its_logits(variant, rng):
    logits = rng.uniform(-40, 40, (50, 4, 4)).astype(np.float32)
    expected = np.array([LOOPS[variant](x.astype(float)) for x in logits], dtype=float)
    h = MHC(4, variant)(logits.reshape(50, 16))
    tau = MHC(4, variant).settings.tau
    assert h.dtype == np.float32
    assert np.abs(h - expected).max() < 64 * 80 / tau * np.finfo(np.float32).eps


def test_the_two_domains_agree_where_both_work(rng):
    for spread in (1, 20, 80):
        z = rng.uniform(-2 * spread, 0, (4, 4, 200))
        z -= z.max(axis=0)
        assert narrow(z)
        linear, log = sweep(np.exp(z), (0, 1) * 20), log_sweep(z, (0, 1) * 20)
        assert np.abs(linear / log - 1).max() < 1e-11


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_linear_domain_stays_within_the_normal_numbers(dtype):
    """At the edge of the range that counts as narrow, forwards and backwards."""
    edge = -np.log(float(np.finfo(dtype).smallest_normal)) / 4 - np.log(4)
    corners = np.random.default_rng(0).integers(0, 2, (16, 5000)) * -0.999 * edge
    theta = torch.asarray(corners.T.astype(dtype)).requires_grad_()
    h = MHC(4)(theta)
    assert h.isfinite().all() and (h >= 0).all()
    assert torch.autograd.grad((h * torch.arange(4)).sum(), theta)[0].isfinite().all()
    assert np.abs(h.detach().numpy().sum(-1) - 1).max() < 16 * np.finfo(dtype).eps


def test_one_side_is_exact_unless_there_is_a_guard():
    assert MHC(4).exact == {ROWS, NONNEGATIVE}
    assert MHC(4, "mhc-lite").exact == {COLUMNS, NONNEGATIVE}
    assert MHC(4, last="columns").exact == {COLUMNS, NONNEGATIVE}
    assert MHC(4, iters=0).exact == {NONNEGATIVE}
    for guarded in ("lucidrains", "deepseek-v4", "megatron-main", "megatron-dev", "xing", "motif"):
        assert MHC(4, guarded).exact == {NONNEGATIVE}


def test_what_is_given_replaces_what_the_variant_says():
    assert MHC(4, "tokenbender", iters=3).settings[:5] == (3, 0.05, "rows", "log", 0.0)
    assert MHC(4, "lucidrains", last="rows").settings[:5] == (20, 1.0, "rows", "floor", 1e-12)
    assert MHC(4, "lucidrains", guard="add").settings[:5] == (20, 1.0, "columns", "add", 1e-6)
    assert MHC(4, "lucidrains", guard="log").settings.eps == 0
    assert MHC(4, "deepseek-v4", guard="add", eps=1e-3).settings.eps == 1e-3
    assert MHC(4, "mhc-lite", tau=2.0).settings.tau == 2
    assert (MHC(4).settings.clip, MHC(4, "xing", clip=5.0).settings.clip) == (np.inf, 5)


def test_no_sweeps_leave_the_exponential(rng):
    theta = rng.normal(size=(3, 16))
    assert np.allclose(MHC(4, iters=0)(theta), np.exp(theta).reshape(3, 4, 4), rtol=1e-15)


@given(st.integers(1, 30), st.floats(0.1, 3))
def test_sweeps_and_temperature(iters, tau):
    logits = np.random.default_rng(iters).normal(size=(4, 4))
    m = np.exp(logits / tau)
    for _ in range(iters):
        m = m / m.sum(axis=0, keepdims=True)
        m = m / m.sum(axis=1, keepdims=True)
    assert np.allclose(MHC(4, iters=iters, tau=tau)(logits.ravel()), m, rtol=0, atol=1e-13)


def test_published_starts():
    assert np.abs(MHC(4)(MHC(4).initial()) - np.eye(4)).max() < 1.1e-3
    lucid = MHC(4, "lucidrains")(MHC(4, "lucidrains").initial())
    assert np.round(lucid[0], 3).tolist() == [0.475, 0.175, 0.175, 0.175]
    for uniform in ("deepseek-v4", "megatron-main", "megatron-dev"):
        assert np.allclose(MHC(4, uniform)(MHC(4, uniform).initial()), 0.25, atol=2e-6)


def test_published_counts():
    """Tables 1 and 4 of go-mHC; V4's site is (n C)(n (n + 2)) + n (n + 2) + 3."""
    n, c = 4, 64
    assert MHC(n).count(c) == (n * c + 1) * n**2 + 2 * n**2 * c + 2 * n + 3
    assert MHC(n, "deepseek-v4").count(c) == n * c * n * (n + 2) + n * (n + 2) + 3
    assert MHC(n, "tokenbender").count(c) == n**2 + 2 * n
    assert MHC(n, iters=7).flops() == 4 * 7 * n**2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"iters": -1}, "iters = -1 cannot be; expected at least 0, 100,000 at most"),
        ({"tau": 0.0}, "tau = 0 cannot be; expected above 0, 1e-12 to 1e+12"),
        ({"tau": -1.0}, "tau = -1 cannot be; expected above 0, 1e-12 to 1e+12"),
        ({"tau": float("nan")}, "tau = nan cannot be; expected above 0, 1e-12 to 1e+12"),
        (
            {"guard": "floor", "eps": -1e-6},
            "eps = -1e-06 cannot be; expected at least 0, 1e+12 at most",
        ),
        ({"eps": 1e-6}, "eps = 1e-06 with guard log cannot be; expected floor or add"),
        ({"last": "both"}, "last 'both' cannot be; expected rows or columns"),
        ({"guard": "clip"}, "guard 'clip' cannot be; expected log, floor or add"),
        ({"variant": "v4"}, f"variant 'v4' cannot be; expected one of {', '.join(VARIANTS)}"),
    ],
)
def test_refusals_are_one_line(options, message):
    with pytest.raises(UsageError) as refused:
        MHC(4, **options)
    assert str(refused.value) == message


def sites(state, name):
    names = [f"transformer.h.{i}.hc_{b}.{name}" for i in range(6) for b in ("attn", "mlp")]
    return np.stack([state[n].numpy() for n in names])


def assert_recorded(method, stored, truth, transposed):
    """Our float64 map of the stored logits gives the matrices that the code base applied."""
    logits = stored.astype(float).swapaxes(-1, -2) if transposed else stored.astype(float)
    h = method(logits.reshape(len(logits), -1))
    assert np.abs(h - truth["H_static"]).max() < 1e-6


@pytest.mark.parametrize(
    "folder, number",
    [("mhclite_mhc_n4", "")] + [("series_mhc_n4", f"_{i:06d}") for i in (1, 50, 100, 400)],
)
def test_recorded_mhc_lite(folder, number, checkpoints):
    model = torch.load(checkpoints / folder / f"ckpt{number}.pt", weights_only=True)["model"]
    truth = np.load(checkpoints / folder / f"truth{number}.npz")
    assert_recorded(MHC(4, "mhc-lite"), sites(model, "static_alpha")[..., 1:], truth, True)


def test_recorded_tokenbender(checkpoints):
    folder = checkpoints / "tb_mhc_tau1"
    model = torch.load(folder / "ckpt.pt", weights_only=True)["model"]
    truth = np.load(folder / "truth.npz")
    assert_recorded(MHC(4, "tokenbender", tau=1.0), sites(model, "H_res_logits"), truth, True)


def test_recorded_lucidrains(checkpoints):
    state = torch.load(checkpoints / "lucid_mhc" / "model.pt", weights_only=True)
    stored = np.stack([state[f"layers.{i}.static_alpha"].numpy()[:, 1:] for i in range(6)])
    truth = np.load(checkpoints / "lucid_mhc" / "truth.npz")
    assert_recorded(MHC(4, "lucidrains"), stored, truth, True)


def test_recorded_deepseek_v4(checkpoints):
    tensors = {}
    for shard in (checkpoints / "hf_v4_origfmt").glob("*.safetensors"):
        data = shard.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        for name, entry in json.loads(data[8 : 8 + length]).items():
            if name.endswith("_base"):
                start, stop = (8 + length + i for i in entry["data_offsets"])
                tensors[name] = np.frombuffer(data[start:stop], "<f4")
    names = [f"model.layers.{i}.hc_{b}_base" for i in range(4) for b in ("attn", "ffn")]
    stored = np.stack([tensors[n][8:].reshape(4, 4) for n in names])
    truth = np.load(checkpoints / "hf_v4_origfmt" / "truth.npz")
    assert_recorded(MHC(4, "deepseek-v4"), stored, truth, True)
    assert_recorded(MHC(4, "megatron-dev"), stored, truth, True)


def test_recorded_megatron_main(checkpoints):
    from torch.distributed import checkpoint

    folder = checkpoints / "megatron_main" / "iter_0000300"
    blocks = ("self_attention", "mlp")
    state = {f"decoder.layers.{b}_hyper_connection.bias": torch.empty(4, 24) for b in blocks}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that there is only one process
        reader = checkpoint.FileSystemReader(folder)
        checkpoint.load(state, storage_reader=reader, no_dist=True)
    attention, mlp = (v[:, 8:].reshape(4, 4, 4).numpy() for v in state.values())
    stored = np.stack([attention, mlp], axis=1).reshape(8, 4, 4)
    truth = np.load(checkpoints / "megatron_main" / "truth.npz")
    assert_recorded(MHC(4, "megatron-main"), stored, truth, False)
