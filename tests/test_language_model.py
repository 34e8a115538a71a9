"""The forward pass: against trained models' own code, and against plain numpy on random models."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses import similarity
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.networks.language_model import logits, loss, states
from birkhoff_cli.analyses.networks.token_run import TokenRun, batches, in_torch, matrices

TRAINED = {
    **{
        f"{name}/ckpt.pt": "truth.npz"
        for name in (
            *("mhclite_hc_n4", "mhclite_mhc_n4", "mhclite_mhc_lite_n4", "kromhc_n4"),
            *("tb_mhc_ortho", "tb_mhc_tau1"),
        )
    },
    **{f"series_mhc_n4/ckpt_{k:06}.pt": f"truth_{k:06}.npz" for k in (1, 50, 100, 400)},
}


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def opened(path, settings=None):
    """The model in a file, of numpy arrays."""
    found = formats.read(Path(path), settings)
    with found.opened() as store:
        return found.model(store)


def worst(found, expected):
    return float(np.abs(np.asarray(found, np.float64) - expected).max())


@pytest.mark.parametrize("file", TRAINED)
def test_a_trained_model_does_what_its_own_code_did(checkpoints, file):
    path = checkpoints / file
    truth = np.load(path.with_name(TRAINED[file]))
    tokens = torch.from_numpy(np.load(path.with_name("tokens.npy")))
    model = in_torch(opened(path))
    with torch.inference_mode():
        passed = list(states(model, tokens))
        d = model.connections[0].d
        for name, shape in {"mixing": (d, d), "pre": (d,), "post": (d,)}.items():
            found = [getattr(s.weights, name).expand(*tokens.shape, *shape) for s in passed]
            recorded = truth[{"mixing": "H", "pre": "H_pre", "post": "H_post"}[name]]
            found = torch.stack(found, 2).flatten(0, 1)[: len(recorded), : recorded.shape[1]]
            assert worst(found, recorded) <= 1e-5, name
        if "loss" in truth:  # of a model that is whole
            assert worst(logits(model, tokens).flatten(0, 1), truth["logits"]) <= 1e-4
            assert worst(loss(model, tokens[:, :-1], tokens[:, 1:]), truth["loss"]) <= 1e-5
    rows = similarity.run((run_of(path, tokens.numpy()),)).table.to_pylist()
    for stage, recorded in {"in": "cos_sim_in", "mixed": "cos_sim", "out": "cos_sim_out"}.items():
        found = [r["mean"] for r in rows if (r["mixing"], r["streams"]) == ("actual", stage)]
        first = found[: len(truth[recorded])]
        np.testing.assert_allclose(first, truth[recorded], rtol=0, atol=1e-4, err_msg=stage)


def run_of(path, tokens):
    found = formats.read(path)
    return TokenRun(lambda: opened(path), tokens, found.sites, "it", found.step)


# Random models, and what the published code does with them, written out in numpy's float64.

WIDTH, HEADS, LAYERS, VOCABULARY, BLOCK = 12, 3, 2, 11, 7
KINDS = {"hc": 3, "mhc": 3, "mhc_lite": 3, "kromhc": 4, "sinkhorn": 3, "dropped": 3}
"""Type, and its number of streams; the last two are tokenbender's."""

OURS = ("sinkhorn", "dropped")


def site_shapes(kind, n):
    if kind == "sinkhorn":
        return {"H_res_logits": (n, n), "H_pre_logits": (n,), "H_post_logits": (n,)}
    if kind in ("hc", "dropped"):
        return {
            **{"norm.gamma": (WIDTH,), "static_alpha": (n, n + 1), "static_beta": (n,)},
            **{"dynamic_alpha_fn": (WIDTH, n + 1), "dynamic_beta_fn": (WIDTH,)},
            **{"dynamic_alpha_scale": (), "dynamic_beta_scale": ()},
        }
    alpha = {"mhc": (n, n + 1), "mhc_lite": (n + 6,), "kromhc": (n + 4,)}[kind]
    wide = n * WIDTH
    return {
        **{"norm.gamma": (wide,), "static_alpha": alpha, "static_beta": (n,)},
        **{"dynamic_alpha_fn": (wide, int(np.prod(alpha))), "dynamic_beta_fn": (wide, n)},
        **{"pre_branch_scale": (1,), "residual_scale": (1,), "h_post_scale": ()},
    }


def branch_shapes(branch, bias):
    inner, hidden = ("c_attn", 3 * WIDTH) if branch == "attn" else ("c_fc", 2 * WIDTH + 1)
    back = WIDTH if branch == "attn" else hidden
    shapes = {"0": (WIDTH,), f"1.{inner}": (hidden, WIDTH), "1.c_proj": (WIDTH, back)}
    found = {f"{name}.weight": shape for name, shape in shapes.items()}
    return found | ({f"{name}.bias": shape[:1] for name, shape in shapes.items()} if bias else {})


def state_dict(kind, n, bias, rng):
    """Multiples of 1/64: their products, which readers take in float32, are exact."""
    shapes = {
        "transformer.wte.weight": (VOCABULARY, WIDTH),
        "transformer.wpe.weight": (BLOCK, WIDTH),
    }
    for layer in range(LAYERS):
        for branch in ("attn", "mlp"):
            at = f"transformer.h.{layer}.hc_{branch}."
            shapes |= {at + name: shape for name, shape in site_shapes(kind, n).items()}
            shapes |= {f"{at}branch.{k}": s for k, s in branch_shapes(branch, bias).items()}
    shapes["transformer.ln_f.weight"] = (WIDTH,)
    if bias:
        shapes["transformer.ln_f.bias"] = (WIDTH,)
    state = {k: torch.from_numpy(np.asarray(rng.normal(size=s))) for k, s in shapes.items()}
    return {k: ((64 * v).round() / 64).float() for k, v in state.items()}


def arguments(kind, n, bias):
    shared = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": WIDTH, "block_size": BLOCK}
    shared |= {"bias": bias, "vocab_size": VOCABULARY}
    if kind in OURS:
        own = {"hc_num_streams": n, "mhc": kind == "sinkhorn", "sinkhorn_tau": 0.7}
        return {"config": shared | own}
    return {"model_args": shared | {"hyper_conn_type": kind, "hyper_conn_n": n}}


def saved(path, kind="mhc", bias=False, rename=None, without=(), args=None, **changed):
    """A checkpoint file of a random model; returns its tensors by name, in float64."""
    n = KINDS[kind]
    state = state_dict(kind, n, bias, np.random.default_rng(3)) | changed
    state.setdefault("lm_head.weight", state["transformer.wte.weight"])
    said = arguments(kind, n, bias)
    for values in said.values():
        values |= args or {}
        for name in without:
            values.pop(name, None)
    written = {(rename or str)(k): v for k, v in state.items() if k not in without}
    torch.save({"model": {k: v for k, v in written.items() if k}, **said}, path)
    return {k: v.double().numpy() for k, v in state.items()}


def layer_norm(x, tensors, name):
    centred = x - x.mean(-1, keepdims=True)
    x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return x * tensors[f"{name}.weight"] + tensors.get(f"{name}.bias", 0)


def linear(x, tensors, name):
    return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(x, tensors, at):
    out = np.empty_like(x)
    size = WIDTH // HEADS
    qkv = linear(x, tensors, f"{at}.c_attn")
    for head in range(HEADS):
        q, k, v = (qkv[:, part * WIDTH + head * size :][:, :size] for part in range(3))
        scores = q @ k.T / np.sqrt(size)
        scores[np.triu_indices(len(x), 1)] = -np.inf
        out[:, head * size :][:, :size] = softmax(scores) @ v
    return linear(out, tensors, f"{at}.c_proj")


def mlp(x, tensors, at):
    hidden = linear(x, tensors, f"{at}.c_fc")
    return linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, tensors, f"{at}.c_proj")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rms(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True)) * np.sqrt(x.shape[-1])


def site(kind, x, t, n):
    """H, H_pre, H_post of one token's streams ``(n, width)``."""
    if kind == "sinkhorn":
        z, u, v = t["H_res_logits"] / 0.7, np.zeros((n, 1)), np.zeros((1, n))
        for _ in range(10):
            u = -np.log(n) - np.log(np.exp(z + v).sum(1, keepdims=True))
            v = -np.log(n) - np.log(np.exp(z + u).sum(0, keepdims=True))
        return n * np.exp(z + u + v).T, softmax(t["H_pre_logits"]), softmax(t["H_post_logits"])
    if kind in ("hc", "dropped"):
        y = rms(x) * (t["norm.gamma"] + 1)
        a = np.tanh(y @ t["dynamic_alpha_fn"]) * t["dynamic_alpha_scale"] + t["static_alpha"]
        post = np.tanh(y @ t["dynamic_beta_fn"]) * t["dynamic_beta_scale"] + t["static_beta"]
        return a[:, 1:].T if kind == "hc" else np.eye(n), a[:, 0], post
    y = rms(x.ravel()) * (t["norm.gamma"] + 1)
    post = 2 * sigmoid(y @ t["dynamic_beta_fn"] * t["h_post_scale"] + t["static_beta"])
    w, static = y @ t["dynamic_alpha_fn"], t["static_alpha"]
    if kind == "mhc":
        w = w.reshape(n, n + 1)
        m = w[:, 1:] * t["residual_scale"] + static[:, 1:]
        for _ in range(20):
            m = m - np.log(np.exp(m).sum(0, keepdims=True))
            m = m - np.log(np.exp(m).sum(1, keepdims=True))
        return np.exp(m).T, sigmoid(w[:, 0] * t["pre_branch_scale"] + static[:, 0]), post
    pre = sigmoid(w[:n] * t["pre_branch_scale"] + static[:n])
    c = w[n:] * t["residual_scale"] + static[n:]
    if kind == "mhc_lite":
        eye = np.eye(n)
        order = permutations(range(n))
        return sum(p * eye[list(q)] for p, q in zip(softmax(c), order, strict=True)).T, pre, post
    first, second = (np.array([[p, 1 - p], [1 - p, p]]) for p in softmax(c.reshape(2, 2))[:, 0])
    return np.kron(first, second), pre, post


def reference(kind, tensors, tokens):
    """Of one sequence: logits ``(length, vocabulary)``, H ``(length, sites, n, n)``, streams.

    Streams are ``(sites, 3, length, n, width)``: before mixing, after mixing, after the branch.
    """
    n = KINDS[kind]
    embedded = tensors["transformer.wte.weight"][tokens]
    embedded = embedded + tensors["transformer.wpe.weight"][: len(tokens)]
    x = np.repeat(embedded[:, None], n, axis=1)
    matrices, stages = [], []
    for layer in range(LAYERS):
        for name, branch in (("attn", attention), ("mlp", mlp)):
            at = f"transformer.h.{layer}.hc_{name}."
            own = {k.removeprefix(at): v for k, v in tensors.items() if k.startswith(at)}
            weights = [site(kind, streams, own, n) for streams in x]
            h, pre, post = (np.stack(part) for part in zip(*weights, strict=True))
            read = layer_norm((pre[:, :, None] * x).sum(1), tensors, f"{at}branch.0")
            written = branch(read, tensors, f"{at}branch.1")
            mixed = np.einsum("tij,tjw->tiw", h, x)
            stages.append((x, mixed, mixed + post[:, :, None] * written[:, None]))
            matrices.append(h)
            x = stages[-1][-1]
    last = layer_norm(x, tensors, "transformer.ln_f").sum(1)
    found = last @ tensors["transformer.wte.weight"].T
    return found, np.stack(matrices, axis=1), np.array(stages)


def in_double(path, settings=None):
    return in_torch(opened(path, settings)).converted(lambda array: array.double())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_random_model_does_what_plain_numpy_does(tmp_path, kind, bias):
    path = tmp_path / "ckpt.pt"
    tensors = saved(path, kind, bias)
    model = in_double(path)
    tokens = np.random.default_rng(4).integers(0, VOCABULARY, (3, BLOCK - 1))
    found, mixed = (f(model, torch.from_numpy(tokens)) for f in (logits, matrices))
    expected = [reference(kind, tensors, row) for row in tokens]
    error = worst(found, np.stack([row[0] for row in expected])) / np.abs(expected[0][0]).max()
    # tokenbender's softmax of what is read and written is taken in float32
    assert error <= (16 * np.finfo(np.float32).eps if kind == "sinkhorn" else 1e-10)
    assert worst(mixed, np.concatenate([row[1] for row in expected])) <= 1e-10


def kept_once(name):
    """What a program keeps that stores a shared tensor under one of its names."""
    if name == "transformer.wte.weight":
        return ""
    return "_orig_mod." + name.replace("hc_attn.branch", "branch_attn").replace(
        "hc_mlp.branch", "branch_mlp"
    )


def tokenbenders(name):
    return (
        name.replace("hc_attn.branch.0", "ln_1").replace("hc_attn.branch.1", "attn_branch.attn")
    ).replace("hc_mlp.branch.1", "mlp")


@pytest.mark.parametrize("kind, rename", [("mhc", kept_once), ("sinkhorn", tokenbenders)])
def test_a_shared_tensor_is_found_under_any_of_its_names(tmp_path, kind, rename):
    saved(tmp_path / "a.pt", kind, True)
    saved(tmp_path / "b.pt", kind, True, rename=rename)
    tokens = torch.arange(BLOCK)[None]
    a, b = (logits(in_torch(opened(tmp_path / f"{name}.pt")), tokens) for name in "ab")
    assert torch.equal(a, b)


def test_the_causal_mask_of_old_files_is_no_weight(tmp_path):
    name = "transformer.h.0.hc_attn.branch.1.bias"
    saved(tmp_path / "ckpt.pt", **{name: torch.ones(1, 1, BLOCK, BLOCK)})
    assert opened(tmp_path / "ckpt.pt").heads == HEADS


def test_heads_may_be_said_where_they_are_not_stored(tmp_path):
    path = tmp_path / "ckpt.pt"
    for kind in ("mhc", "sinkhorn"):
        saved(path, kind, without=("n_head",))
        with pytest.raises(Unsupported, match="--set heads=N"):
            opened(path)
        assert opened(path, {"heads": "4"}).heads == 4
        assert [s.value for s in formats.read(path, {"heads": "4"}).settings][-1] == 4
        for word in ("5", "0", "many"):
            with pytest.raises(UsageError, match=f"heads={word}"):
                opened(path, {"heads": word})
        saved(path, kind)
        with pytest.raises(UsageError, match="heads"):
            formats.read(path, {"heads": "4"})


WPE, FC = "transformer.wpe.weight", "transformer.h.1.hc_mlp.branch.1.c_fc.weight"
BAD = {
    "no branch": (BadInput, {"without": (FC,)}, "c_fc.weight"),
    "shape": (BadInput, {FC: torch.ones(5, WIDTH + 1)}, "expected .any, 12."),
    "flat": (BadInput, {WPE: torch.ones(WIDTH)}, "wpe.weight has shape"),
    "NaN": (BadInput, {FC: torch.full((25, WIDTH), float("nan"))}, "NaN or infinity"),
    "overflow": (
        BadInput,
        {WPE: torch.full((BLOCK, WIDTH), 1e300, dtype=torch.double)},
        "NaN or infinity",
    ),
    "whole numbers": (Unsupported, {WPE: torch.ones(BLOCK, WIDTH).long()}, "dtype int64"),
    "not tied": (Unsupported, {"lm_head.weight": torch.ones(VOCABULARY, WIDTH)}, "ties"),
    "more": (Unsupported, {"transformer.h.0.attn.lamb1": torch.ones(1)}, "lamb1"),
    "a layer": (Unsupported, {"transformer.h.2.ln_1.weight": torch.ones(WIDTH)}, "h.2.ln_1"),
    "width": (
        BadInput,
        {"without": ("n_embd",), "transformer.wte.weight": torch.ones(VOCABULARY, 4)},
        "embedded 4 wide, .* 12 wide",
    ),
    "another": (Unsupported, {"value_head.weight": torch.ones(1)}, "value_head"),
    "half the biases": (
        BadInput,
        {"bias": True, "without": (FC.replace("weight", "bias"),)},
        "c_fc.bias",
    ),
    "vocabulary": (BadInput, {"args": {"vocab_size": 50304}}, "vocab_size = 50304"),
    "block": (BadInput, {"args": {"block_size": 8}}, "block_size = 8"),
    "bias": (BadInput, {"args": {"bias": True}}, "bias = True"),
    "heads": (BadInput, {"args": {"n_head": 5}}, "n_head = 5"),
    "heads as a word": (BadInput, {"args": {"n_head": "3"}}, "n_head = '3'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_model_that_cannot_be_run_is_refused_in_one_line(tmp_path, case):
    error, changes, sentence = BAD[case]
    path = tmp_path / "ckpt.pt"
    saved(path, **changes)
    formats.read(path)  # its mixing matrices are there all the same
    with pytest.raises(error, match=sentence) as refused:
        opened(path)
    assert "\n" not in str(refused.value) and "; " in str(refused.value)


def test_a_longer_sequence_does_not_change_what_came_before(tmp_path):
    """Causal in every site: a token's streams follow the tokens before it alone."""
    saved(tmp_path / "ckpt.pt")
    model = in_double(tmp_path / "ckpt.pt")
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (2, BLOCK)))
    changed = tokens.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % VOCABULARY
    a, b = (logits(model, t) for t in (tokens, changed))
    assert worst(a[:, :4], b[:, :4].numpy()) <= 1e-12 < worst(a[:, 4:], b[:, 4:].numpy())
    assert worst(logits(model, tokens[:1, :3]), a[:1, :3].numpy()) <= 1e-12


def test_it_trains_in_float32_and_under_autocast(tmp_path):
    """Every weight gets a finite gradient, also where matrix products are rounded to bfloat16."""
    saved(tmp_path / "ckpt.pt", bias=True)
    leaves = []

    def leaf(array):
        leaves.append(torch.as_tensor(np.asarray(array)).clone().requires_grad_())
        return leaves[-1]

    model = opened(tmp_path / "ckpt.pt").converted(leaf)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (2, BLOCK)))
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(loss(model, tokens[:, :-1], tokens[:, 1:]))
    torch.stack(found).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in leaves)
    exact, rounded = (float(x.detach()) for x in found)
    assert 0 < abs(rounded - exact) <= 0.05 * exact


def test_batches_are_whole_sequences_of_bounded_size():
    tokens = np.arange(3000 * 7).reshape(3000, 7)
    parts = list(batches(tokens))
    assert np.array_equal(np.concatenate([p.numpy() for p in parts]), tokens)
    assert max(p.numel() for p in parts) <= 4096 and len(parts) == 6
    assert [p.shape for p in batches(np.zeros((2, 5000), np.int64))] == [(1, 5000)] * 2


def test_without_a_map_no_stream_reaches_another(tmp_path):
    saved(tmp_path / "ckpt.pt")
    model = in_double(tmp_path / "ckpt.pt").unmixed()
    for state in states(model, torch.arange(BLOCK)[None]):
        assert torch.equal(state.mixed, state.before)
