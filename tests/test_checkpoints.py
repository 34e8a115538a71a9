"""Formats: static matrices against those that the models' own code applied, and what is refused."""

import re
import subprocess
import sys
from functools import reduce
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pytest

import files
from birkhoff_cli import checkpoints, containers
from birkhoff_cli.analyses.core.errors import (
    BadInput,
    BirkhoffError,
    TooLarge,
    Unsupported,
    UsageError,
)
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites import names

ROOT = Path(__file__).parents[1]
TRAINED = {
    "mhclite_hc_n4/ckpt.pt": ("hc", "truth.npz"),
    "mhclite_mhc_n4/ckpt.pt": ("mhc", "truth.npz"),
    "mhclite_mhc_lite_n4/ckpt.pt": ("mhc-lite", "truth.npz"),
    "kromhc_n4/ckpt.pt": ("kromhc", "truth.npz"),
    **{f"series_mhc_n4/ckpt_{k:06}.pt": ("mhc", f"truth_{k:06}.npz") for k in (1, 50, 100, 400)},
}


@pytest.mark.parametrize("file", TRAINED)
def test_static_matrices_are_those_that_the_trained_model_applied(shared, file):
    method, truth_file = TRAINED[file]
    path = shared / "checkpoints" / file
    truth = np.load(path.with_name(truth_file))
    checkpoint = checkpoints.read(path)
    trace = checkpoint.trace()
    found = trace.matrices[0]
    assert (checkpoint.method, checkpoint.d, checkpoint.layers, checkpoint.width) == (
        method,
        4,
        6,
        64,
    )
    assert [s.name for s in trace.sites] == truth["site_names"].tolist()
    assert found.dtype == np.float32 and trace.matrices.shape == (1, 12, 4, 4)
    error = np.abs(found - truth["H_static"]).max()
    assert error <= 1e-5, f"largest error {error:.2e}"
    depth, expected = (
        reduce(lambda product, h: h.astype(np.float64) @ product, matrices)
        for matrices in (found, truth["H_static"])
    )
    error = np.abs(depth - expected).max() / np.abs(expected).max()
    assert error <= 1e-5, f"largest relative error of the product over depth {error:.2e}"


def test_reading_takes_little_memory_and_no_torch(shared):
    code = """
import sys
from pathlib import Path
from birkhoff_cli import checkpoints, containers
checkpoints.read(Path(sys.argv[1])).trace()
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM")).split()[1]
print("torch" in sys.modules, int(peak) // 1024)
"""
    path = shared / "checkpoints" / "mhclite_mhc_n4" / "ckpt.pt"
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    torch, peak = run.stdout.split()
    assert torch == "False"
    assert int(peak) < 150, f"{peak} MB to read a file of 5 MB, Python and numpy included"
    print(peak)


def test_only_the_pickle_and_one_record_per_site_are_read(monkeypatch, shared):
    opened = []
    original = containers.open_store
    monkeypatch.setattr(containers, "open_store", lambda p: opened.append(original(p)) or opened[0])
    path = shared / "checkpoints" / "mhclite_mhc_n4" / "ckpt.pt"
    checkpoints.read(path)
    records = opened[0].records
    head = records["data.pkl"].file_size + records["byteorder"].file_size
    assert opened[0].bytes_read == head + 12 * 4 * 5 * 4


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def reference(kind, alpha, n):
    """The matrix the code of each type applies to the streams, in float64."""
    if kind == "hc":
        return alpha[:, 1:].T
    if kind in ("mhc", "analysis"):
        log = alpha[:, 1:]
        for _ in range(20):
            log = log - np.log(np.exp(log).sum(0, keepdims=True))
            log = log - np.log(np.exp(log).sum(1, keepdims=True))
        return np.exp(log).T
    if kind == "mhc_lite":
        eye = np.eye(n)
        weights = softmax(alpha[n:])
        return sum(w * eye[list(p)] for w, p in zip(weights, permutations(range(n)), strict=True)).T
    keep = [softmax(pair)[0] for pair in alpha[n:].reshape(-1, 2)]
    return reduce(np.kron, [np.array([[p, 1 - p], [1 - p, p]]) for p in keep]).T


def state_dict(kind, n, layers=2, width=5, prefix=""):
    """Random torch tensors with the names and shapes of a model of one type."""
    import torch

    pairs = 2 * (n.bit_length() - 1)
    alpha = {"mhc_lite": (n + factorial(n),), "kromhc": (n + pairs,)}.get(kind, (n, n + 1))
    wide = n * width
    if kind == "hc":
        shapes = {"norm.gamma": (width,), "dynamic_alpha_fn": (width, n + 1)}
        shapes |= {"dynamic_beta_fn": (width,), "dynamic_alpha_scale": (), "dynamic_beta_scale": ()}
    else:
        shapes = {"norm.gamma": (wide,), "dynamic_alpha_fn": (wide, int(np.prod(alpha)))}
        shapes |= {"dynamic_beta_fn": (wide, n), "pre_branch_scale": (1,), "residual_scale": (1,)}
        shapes |= {"h_post_scale": ()}
    shapes |= {"static_alpha": alpha, "static_beta": (n,), "branch.weight": (width, width)}
    return {
        f"{prefix}transformer.h.{layer}.hc_{branch}.{tensor}": 2 * torch.randn(shape)
        for layer in reversed(range(layers))
        for branch in ("mlp", "attn")
        for tensor, shape in shapes.items()
    }


def save(path, model, kind="", n=0, **args):
    import torch

    stored = {"hyper_conn_type": kind, "hyper_conn_n": n} if kind else {}
    torch.save({"model": model, "model_args": {**stored, **args}, "iter_num": 3}, path)
    return path


CASES = [("hc", 2), ("hc", 3), ("hc", 8), ("mhc", 2), ("mhc", 3), ("mhc", 8), ("analysis", 4)]
CASES += [("mhc_lite", 2), ("mhc_lite", 3), ("mhc_lite", 5), ("kromhc", 2), ("kromhc", 4)]
CASES += [("kromhc", 8), ("kromhc", 16), ("hc", 1), ("mhc", 1), ("mhc_lite", 1)]


@pytest.mark.parametrize("stored", [True, False], ids=["model_args", "shapes"])
@pytest.mark.parametrize(("kind", "n"), CASES)
def test_every_type_gives_the_matrix_of_its_formula(tmp_path, kind, n, stored):
    import torch

    torch.manual_seed(n)
    model = state_dict(kind, n, layers=11)
    given = (kind, n) if stored else ()
    checkpoint = checkpoints.read(save(tmp_path / "f", model, *given))
    trace = checkpoint.trace()
    assert [s[:2] for s in trace.sites] == [(i, b) for i in range(11) for b in ("attn", "mlp")]
    assert (checkpoint.d, checkpoint.layers, checkpoint.width) == (n, 11, 5)
    for site, found in zip(trace.sites, trace.matrices[0], strict=True):
        alpha = model[f"transformer.h.{site.layer}.hc_{site.branch}.static_alpha"].double().numpy()
        np.testing.assert_allclose(found, reference(kind, alpha, n), atol=2e-6)
    said = {s.name: (s.value, s.source) for s in checkpoint.settings}
    if stored:
        assert said["hyper_conn_type"] == (kind, "config")
    assert checkpoint.step == 3 and "iter_num" not in said
    assert any("by the shapes" in a for a in checkpoint.assumptions) != stored


def test_mhc_lite_with_eight_streams(tmp_path):
    """40320 permutations: a numpy reference by row maxima would be slow; compare one known case."""
    model = state_dict("mhc_lite", 8, layers=1, width=1)
    cycle = tuple(range(1, 8)) + (0,)
    at = list(permutations(range(8))).index(cycle)
    for tensor, value in model.items():
        if tensor.endswith("static_alpha"):
            value[:] = 0.0
            value[8 + at] = 100.0
    h = checkpoints.read(save(tmp_path / "f", model, "mhc_lite", 8)).trace().matrices[0, 0]
    np.testing.assert_allclose(h, np.eye(8)[list(cycle)].T, atol=1e-6)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."]
)
def test_wrappers_of_the_model_are_looked_through(tmp_path, prefix):
    import torch

    torch.manual_seed(0)
    plain = checkpoints.read(save(tmp_path / "a", state_dict("mhc", 3), "mhc", 3))
    torch.manual_seed(0)
    wrapped = checkpoints.read(save(tmp_path / "b", state_dict("mhc", 3, prefix=prefix), "mhc", 3))
    assert wrapped.sites == plain.sites
    np.testing.assert_array_equal(wrapped.theta, plain.theta)


def test_a_plain_state_dict_and_safetensors_are_read_by_their_shapes(tmp_path):
    import torch
    from safetensors.torch import save_file

    model = state_dict("kromhc", 4)
    torch.save(model, tmp_path / "a")
    save_file(model, tmp_path / "b")
    found = [checkpoints.read(tmp_path / file) for file in ("a", "b")]
    np.testing.assert_array_equal(found[0].theta, found[1].theta)
    assert {c.method for c in found} == {"kromhc"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floating_dtypes_are_widened(tmp_path, dtype):
    import torch

    model = {k: v.to(getattr(torch, dtype)) for k, v in state_dict("mhc", 4).items()}
    checkpoint = checkpoints.read(save(tmp_path / "f", model, "mhc", 4))
    first = model["transformer.h.0.hc_attn.static_alpha"][:, 1:].T.float().numpy().ravel()
    np.testing.assert_array_equal(checkpoint.theta[0], first)
    assert checkpoint.theta.dtype == np.float32
    assert set(checkpoint.dtypes["static_alpha"].values()) == {dtype}


def test_what_was_read_and_assumed_is_in_the_trace(tmp_path):
    path = save(tmp_path / "f", state_dict("mhc", 4), "mhc", 4)
    checkpoint = checkpoints.read(path)
    assert checkpoint.assumptions == (
        "sinkhorn iterations 20 (mhc-lite's default; not stored in the file); "
        "--set iters=VALUE overrides",
        "no more layers than names have, 2; nothing in the file says how many it has",
    )
    meta = checkpoint.trace().meta
    assert meta["format"] == "nanogpt"
    assert meta["settings"]["iters"] == {"value": 20, "source": "default"}
    assert meta["inputs"] == [dict(checkpoint.inputs[0])]
    assert meta["inputs"][0]["name"] == "f" and len(meta["inputs"][0]["sha256"]) == 64
    assert "transposed" in meta["convention"]


def test_iterations_can_be_set(tmp_path):
    path = save(tmp_path / "f", state_dict("mhc", 4), "mhc", 4)
    one = checkpoints.read(path, {"iters": "1"})
    assert not any("iterations" in sentence for sentence in one.assumptions)
    assert {s.name: (s.value, s.source) for s in one.settings}["iters"] == (1, "set")
    h = one.trace().matrices[0]
    np.testing.assert_allclose(h.sum(-2), 1, atol=1e-6)
    assert np.abs(h.sum(-1) - 1).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        ("mhc", {"itres": "3"}, "did you mean 'iters'"),
        ("mhc", {"iters": "many"}, "iters=many: expected a number"),
        ("mhc", {"iters": "-1"}, "iters=-1: expected"),
        ("mhc", {"iters": "100001"}, "expected a number, 0 to 100000"),
        ("mhc", {"iters": "\u0663"}, "expected a number"),
        ("hc", {"iters": "3"}, "hc checkpoints have no settings"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, kind, settings, sentence):
    path = save(tmp_path / "f", state_dict(kind, 4), kind, 4)
    with pytest.raises(UsageError, match=sentence):
        checkpoints.read(path, settings)


def without(model, *parts):
    return {k: v for k, v in model.items() if not any(part in k for part in parts)}


def renamed(model, old, new):
    return {k.replace(old, new): v for k, v in model.items()}


def changed(model, name, change):
    full = f"transformer.h.1.hc_mlp.{name}"
    return {**model, full: change(model[full])}


REFUSED = {
    "no hyper-connections": (
        lambda m: {"transformer.h.0.attn.weight": m.popitem()[1]},
        "known formats",
    ),
    "a missing layer": (lambda m: without(m, ".h.0."), "layer 0 has no attn site"),
    "a missing branch": (lambda m: without(m, ".h.0.hc_mlp"), "layer 0 has no mlp site"),
    "a huge layer": (lambda m: renamed(m, ".h.1.", ".h.999999."), "layer 1 has no attn site"),
    "a larger layer": (lambda m: renamed(m, ".h.1.", ".h.9999999."), "is no layer"),
    "another digit": (lambda m: renamed(m, ".h.1.", ".h.\u0661."), "is no layer"),
    "a leading zero": (
        lambda m: {**m, **renamed(without(m, ".h.1."), ".h.0.", ".h.00.")},
        "are the same tensor",
    ),
    "a wrapped copy": (
        lambda m: {**m, **{f"_orig_mod.{k}": v for k, v in m.items()}},
        "are the same tensor",
    ),
    "a missing tensor": (
        lambda m: without(m, ".h.1.hc_mlp.static_alpha"),
        "layer 1, mlp has no static_alpha",
    ),
    "a missing dynamic tensor": (
        lambda m: without(m, ".h.1.hc_mlp.dynamic_alpha_fn"),
        "layer 1, mlp has no dynamic_alpha_fn",
    ),
    "mixed n": (
        lambda m: changed(m, "static_alpha", lambda t: t[:3, :4].clone()),
        r"layer 1, mlp: static_alpha has shape \(3, 4\), expected \(4, 5\)",
    ),
    "nan": (
        lambda m: changed(m, "static_alpha", lambda t: t * float("nan")),
        "layer 1, mlp: static_alpha holds NaN or infinity",
    ),
    "infinity in float32": (
        lambda m: changed(m, "static_alpha", lambda t: t.double() * 1e300),
        "layer 1, mlp: static_alpha holds NaN or infinity",
    ),
    "integers": (
        lambda m: changed(m, "static_alpha", lambda t: t.long()),
        "layer 1, mlp: static_alpha has dtype int64",
    ),
    "too many streams": (
        lambda m: {k: v.new_zeros(2000) if "static_beta" in k else v for k, v in m.items()},
        "2000 streams, not 1 to 1024",
    ),
    "no beta": (lambda m: without(m, "static_beta"), "layer 0, attn has no static_beta"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_name_layer_branch_and_tensor(tmp_path, case):
    change, sentence = REFUSED[case]
    path = save(tmp_path / "f", change(state_dict("mhc", 4)))
    with pytest.raises(BirkhoffError, match=sentence) as error:
        checkpoints.read(path)
    assert str(error.value).startswith(f"{path}: ")


ARGS = {
    "n": ({"kind": "mhc", "n": 8}, BadInput, "hyper_conn_n = 8, its tensors say 4"),
    "layers": ({"n_layer": 3}, BadInput, "n_layer = 3, its tensors say 2"),
    "width": ({"n_embd": 64}, BadInput, "n_embd = 64, its tensors say 5"),
    "type": (
        {"kind": "kromhc", "n": 4},
        BadInput,
        "not those of hyper_conn_type 'kromhc' but of mhc",
    ),
    "none": ({"kind": "none", "n": 4}, Unsupported, "hyper_conn_type 'none'"),
    "fork": ({"kind": "kromhc_d=8", "n": 4}, Unsupported, "'kromhc_d=8' is not known here"),
    "escape": ({"kind": "\x1b[2J\n", "n": 4}, Unsupported, r"'\\x1b\[2J\\n' is not known"),
    "object": ({"kind": ["mhc"], "n": 4}, Unsupported, "is not known here"),
    "text": ({"kind": "mhc", "n": "4"}, BadInput, "hyper_conn_n = '4', its tensors say 4"),
}


@pytest.mark.parametrize("case", ARGS)
def test_model_args_that_contradict_the_tensors_are_refused(tmp_path, case):
    args, kind, sentence = ARGS[case]
    path = save(tmp_path / "f", state_dict("mhc", 4), **args)
    with pytest.raises(kind, match=sentence):
        checkpoints.read(path)


def test_permutations_that_do_not_fit_are_estimated_before_anything_is_read(tmp_path):
    import torch

    n, size = 9, 9 + factorial(9)
    shapes = {"static_alpha": (size,), "static_beta": (n,), "norm.gamma": (n,)}
    shapes |= {"dynamic_alpha_fn": (n, size), "dynamic_beta_fn": (n, n), "h_post_scale": ()}
    shapes |= {"pre_branch_scale": (1,), "residual_scale": (1,)}
    model = {
        f"transformer.h.0.hc_{branch}.{tensor}": torch.zeros(shape, dtype=torch.uint8)
        for branch in ("attn", "mlp")
        for tensor, shape in shapes.items()
    }
    path = save(tmp_path / "f", model, "mhc_lite", n)
    with pytest.raises(TooLarge, match=f"^{path}: d = 9 has 362,880 permutation matrices"):
        checkpoints.read(path)


def test_an_unknown_file_is_described(tmp_path):
    import torch

    torch.save({"a\x07": torch.zeros(1), "b": torch.zeros(2)}, tmp_path / "f")
    with pytest.raises(
        BadInput,
        match=r"2 tensors \('a\\x07', 'b'\).*none that one of the .* known formats explains",
    ):
        checkpoints.read(tmp_path / "f")
    files.written(tmp_path / "empty", files.framed(b"{}"))
    with pytest.raises(BadInput, match="holds no tensors"):
        checkpoints.read(tmp_path / "empty")


def test_without_a_map_the_matrices_are_the_identity():
    checkpoint = checkpoints.Checkpoint(
        path=Path("f"),
        format="f",
        method="hc",
        map=None,
        theta=np.zeros((2, 0), np.float32),
        sites=(Site(0, "attn", "a"), Site(0, "mlp", "b")),
        d=3,
        layers=1,
        width=1,
        settings=(),
        convention="",
    )
    np.testing.assert_array_equal(checkpoint.trace().matrices, np.eye(3)[None, None].repeat(2, 1))


def test_every_wrapper_has_a_word_by_which_it_is_seen():
    """Names are left as they are where no such word is in any: a new wrapper needs one, too."""
    alternatives = re.fullmatch(r"\(\?<!\[\^\.\]\)\(\?:(.*)\)\\\.", names.WRAPPERS.pattern)[1]
    for wrapper in alternatives.replace("\\", "").split("|"):
        assert any(word in f"{wrapper}." for word in names.WRAPPER_WORDS), wrapper
