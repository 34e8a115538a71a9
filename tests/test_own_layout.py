"""A layout of one's own: ``--set tensors=`` and ``--set as=``, and what ``inspect`` suggests."""

import json
import shlex

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints
from birkhoff_cli import matrices as tables
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite

N, LAYERS = 4, 12
PATTERN = "blocks.{layer}.{branch}.hc.H_res"
BRANCHES = ("attn", "mlp")


def balanced(rng, count, n=N):
    """Doubly stochastic matrices, none of them symmetric."""
    h = np.exp(rng.normal(size=(count, n, n)))
    for _ in range(300):
        h /= h.sum(-1, keepdims=True)
        h /= h.sum(-2, keepdims=True)
    return h.astype(np.float32)


def named(arrays, pattern, branches=BRANCHES, layers=LAYERS):
    """Arrays in order of depth as tensors of a file, in no order, with others beside them."""
    order = [(k, b) for k in range(layers) for b in branches]
    names = [pattern.replace("{layer}", str(k)).replace("{branch}", b) for k, b in order]
    found = dict(zip(names, arrays, strict=True))
    found |= {f"blocks.{k}.mlp.up.weight": np.ones((7, 5), np.float32) for k in range(layers)}
    return {name: found[name] for name in sorted(found)}


@pytest.fixture
def matrices(rng):
    return balanced(rng, 2 * LAYERS)


@pytest.fixture
def path(tmp_path, matrices):
    save_file(named(matrices, f"model.{PATTERN}"), tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def read(path, tensors=PATTERN, **settings):
    words = {"as_": "as"}
    said = {words.get(k, k): str(v) for k, v in settings.items()}
    return checkpoints.read(path, {"tensors": tensors, **said})


def test_matrices_are_read_in_order_of_depth_and_as_they_are(path, matrices):
    found = read(path, as_="matrices")
    np.testing.assert_array_equal(found.trace().matrices[0], matrices)
    assert [(s.layer, s.branch) for s in found.sites] == [
        (k, b) for k in range(LAYERS) for b in BRANCHES
    ]
    assert (found.layers, found.d, found.wrappers) == (LAYERS, N, ("model",))
    turned = read(path, as_="matrices", transpose="true")
    np.testing.assert_array_equal(turned.trace().matrices[0], matrices.swapaxes(1, 2))


@pytest.mark.parametrize(
    "tensors",
    [
        "model.blocks.{layer}.{branch}.hc.H_res",
        "blocks.{layer}.*.H_res,",
        "*.H_res",
        "blocks.*.{branch}.hc.H_res",
        "blocks.{layer}.attn.hc.H_res,blocks.{layer}.mlp.hc.H_res",
    ],
)
def test_every_way_to_write_a_pattern_gives_the_same_order(path, matrices, tensors):
    found = read(path, tensors.rstrip(","), as_="matrices")
    np.testing.assert_array_equal(found.trace().matrices[0], matrices)


def test_logits_are_swept_as_is_said(tmp_path, rng):
    logits = rng.normal(size=(2 * LAYERS, N, N)).astype(np.float32)
    save_file(named(logits, PATTERN), tmp_path / "own.safetensors")
    for options in ({"variant": "deepseek-v4", "iters": 3}, {"tau": 0.5}, {}):
        found = read(tmp_path / "own.safetensors", as_="logits", **options)
        truth = MHC(N, **options)(logits.reshape(-1, N * N))
        np.testing.assert_allclose(found.trace().matrices[0], truth, atol=1e-6)
        sources = {s.name: s.source for s in found.settings}
        assert {k for k in ("variant", "iters", "tau") if sources[k] == "set"} == {*options}
    turned = read(tmp_path / "own.safetensors", as_="logits", transpose="yes")
    truth = MHC(N)(logits.swapaxes(1, 2).reshape(-1, N * N))
    np.testing.assert_allclose(turned.trace().matrices[0], truth, atol=1e-6)


def test_iterations_are_those_of_the_configuration_beside(tmp_path, rng):
    logits = rng.normal(size=(2 * LAYERS, N, N)).astype(np.float32)
    save_file(named(logits, PATTERN), tmp_path / "model.safetensors")
    config = {"model_type": "mine", "mhc_sinkhorn_iterations": 2, "mhc_tau": 0.5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = read(tmp_path / "model.safetensors", as_="logits")
    truth = MHC(N, iters=2)(logits.reshape(-1, N * N))
    np.testing.assert_allclose(found.trace().matrices[0], truth, atol=1e-6)
    assert {s.name: s.source for s in found.settings}["iters"] == "config"
    assert any(
        "mhc_tau = 0.5 of the configuration is a setting that is not known" in said
        for said in found.assumptions
    )
    assert read(tmp_path / "model.safetensors", as_="logits", iters=4).map.iters == 4


def test_logits_behind_those_of_the_gates(tmp_path, rng):
    base = rng.normal(size=(2 * LAYERS, N * (N + 2))).astype(np.float32)
    save_file(named(base, "layers.{layer}.{branch}_mix.base"), tmp_path / "own.safetensors")
    found = read(tmp_path / "own.safetensors", "layers.{layer}.{branch}_mix.base", as_="logits")
    np.testing.assert_allclose(found.trace().matrices[0], MHC(N)(base[:, 2 * N :]), atol=1e-6)
    with pytest.raises(BadInput, match=r"shape \(24,\), which is none of matrices"):
        read(tmp_path / "own.safetensors", "layers.{layer}.{branch}_mix.base", as_="matrices")


@pytest.mark.parametrize("method", [MHCLite(N), KromHC(N, (2, 2))], ids=repr)
@pytest.mark.parametrize("transpose", ["false", "true"])
def test_parameters_of_a_method_have_as_many_streams_as_they_are_for(
    tmp_path, rng, method, transpose
):
    theta = rng.normal(size=(2 * LAYERS, method.parameters)).astype(np.float32)
    save_file(named(theta, PATTERN), tmp_path / "own.safetensors")
    word = "kromhc:factors=2x2" if method.name == "kromhc" else method.name
    found = read(tmp_path / "own.safetensors", as_=word, transpose=transpose)
    truth = method(theta)
    truth = truth.swapaxes(1, 2) if transpose == "true" else truth
    np.testing.assert_allclose(found.trace().matrices[0], truth, atol=1e-6)
    assert found.method == method.name


def test_the_first_axis_of_a_tensor_without_layers_counts_them(tmp_path, matrices):
    stacked = matrices.reshape(LAYERS, 2, N, N)
    model = {f"decoder.{b}.mix": np.ascontiguousarray(stacked[:, k]) for k, b in enumerate("ab")}
    model["embedding"] = np.ones((3, 4), np.float32)
    save_file(model, tmp_path / "own.safetensors")
    found = read(tmp_path / "own.safetensors", "decoder.{branch}.mix", as_="matrices")
    np.testing.assert_array_equal(found.trace().matrices[0], matrices)
    assert found.layers == LAYERS and found.sites[3][:2] == (1, "b")


def test_a_square_tensor_that_could_be_rows_of_layers_is_said_to_be_one_matrix(tmp_path, rng):
    """16 layers of 4 streams, one in each row, were one site of 16 streams without a word."""
    rows = rng.standard_normal((16, 16)).astype(np.float32)
    save_file({"H": rows}, tmp_path / "m.safetensors")
    settings = {"tensors": "H", "as": "matrices"}
    checkpoint = checkpoints.read(tmp_path / "m.safetensors", settings)
    sentence = "'H' is one matrix of 16 x 16, and not 16 layers of 4 x 4, one in each row"
    assert (checkpoint.d, sentence in checkpoint.assumptions) == (16, True)
    save_file({"H": rows[:15, :15].copy()}, tmp_path / "m.safetensors")
    checkpoint = checkpoints.read(tmp_path / "m.safetensors", settings)
    assert not any("one matrix" in text for text in checkpoint.assumptions)


def test_lists_of_layers_stand_one_behind_the_other(tmp_path, matrices):
    names = [f"down.{k}.mix" for k in range(2)] + [f"up.{k}.mix" for k in range(2)]
    save_file(dict(zip(names, matrices[:4], strict=True)), tmp_path / "own.safetensors")
    found = read(tmp_path / "own.safetensors", "down.{layer}.mix,up.{layer}.mix", as_="matrices")
    np.testing.assert_array_equal(found.trace().matrices[0], matrices[:4])
    assert [site.layer for site in found.sites] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "settings, error, sentence",
    [
        ({}, UsageError, "--set as= is missing; say --set as=matrices"),
        ({"as": "matrixes"}, UsageError, "did you mean 'matrices'"),
        ({"as": "matrices", "iters": "3"}, UsageError, "--set iters: matrices"),
        ({"as": "logits", "s": "3"}, UsageError, "'s' is not among the settings"),
        ({"as": "logits", "tau": "warm"}, UsageError, "tau"),
        ({"as": "matrices", "transpose": "perhaps"}, UsageError, "neither yes nor no"),
        ({"as": "matrices", "tensors": "blocks.{layer}.H"}, UsageError, "named so; it has 'model."),
        ({"as": "matrices", "tensors": "*" * 9}, UsageError, "6 of them at most"),
        ({"as": "matrices", "tensors": "blocks.*.{layer}"}, UsageError, "no tensor of"),
        ({"as": "matrices", "tensors": "blocks.{layer}.*"}, BadInput, "none of matrices"),
        ({"as": "matrices", "tensors": "*.{branch}.H_res"}, BadInput, "one site of 'model.blocks"),
        ({"as": "matrices", "tensors": "*.H_res,*.H_res"}, BadInput, "two patterns"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(path, settings, error, sentence):
    with pytest.raises(error, match=sentence):
        checkpoints.read(path, {"tensors": PATTERN, **settings})


def test_two_models_in_one_file_are_both_named(tmp_path, matrices):
    model = named(matrices, PATTERN)
    save_file(model | {f"ema.{k}": v + 1 for k, v in model.items()}, tmp_path / "own.safetensors")
    with pytest.raises(BadInput, match="holds 2 models.*--set prefix= or --set prefix=ema"):
        read(tmp_path / "own.safetensors", as_="matrices")
    found = read(tmp_path / "own.safetensors", as_="matrices", prefix="ema")
    np.testing.assert_array_equal(found.trace().matrices[0], matrices + 1)


def traced(folder):
    return tables.read(folder / "t.parquet").matrices[0]


WORDS = ("--set", f"tensors={PATTERN}", "--set", "as=matrices")


@pytest.mark.parametrize(
    "command", ["inspect", "depth-drift", "degeneration", "spectrum", "heatmap", "sinkhorn"]
)
def test_every_command_reads_it_and_keeps_it_in_metadata(birkhoff, path, command):
    done = birkhoff(command, path, *WORDS, "--json", "-o", "out.parquet")
    assert done.returncode == 0, done.stderr
    meta = pq.read_metadata(path.parent / "out.parquet").metadata[b"birkhoff"]
    assert PATTERN in meta.decode()


def test_two_models_are_told_apart_with_it(birkhoff, path, tmp_path, matrices):
    save_file(named(matrices.swapaxes(1, 2).copy(), PATTERN), tmp_path / "other.safetensors")
    done = birkhoff("diff", path, "other.safetensors", *WORDS, "--json")
    assert done.returncode == 0, done.stderr
    assert "transposed" in done.stdout


def test_a_file_of_one_tensor_is_read_as_is_said(birkhoff, tmp_path, rng):
    logits = rng.normal(size=(3, N, N)).astype(np.float32)
    save_file({"H": logits}, tmp_path / "one.safetensors")
    done = birkhoff(
        "trace", "one.safetensors", "--set", "tensors=H", "--set", "as=logits", "-o", "t.parquet"
    )
    assert done.returncode == 0, done.stderr
    truth = MHC(N)(logits.reshape(-1, N * N))
    np.testing.assert_allclose(traced(tmp_path), truth, atol=1e-6)


def suggested(birkhoff, path):
    """The command line in what ``inspect`` says of an unknown file, as words."""
    done = birkhoff("inspect", path)
    assert done.returncode == 3 and done.stderr.count("\n") == 1, done.stderr
    line = done.stderr[done.stderr.index("birkhoff inspect ") :].partition(" reads them")[0]
    return shlex.split(line)[1:]


LAYOUTS = {
    "a word for the branch": PATTERN,
    "a branch in a word": "net.h.{layer}.hc_{branch}.mix.weight",
    "behind a wrapper": "_orig_mod.module.model.layers.{layer}.{branch}_streams.H",
    "slashes": "params/layer_{layer}/{branch}/connection",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_suggested_command_reads_the_matrices(birkhoff, tmp_path, matrices, layout):
    save_file(named(matrices, LAYOUTS[layout]), tmp_path / "a file.safetensors")
    words = suggested(birkhoff, "a file.safetensors")
    done = birkhoff("trace", *words[1:], "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(traced(tmp_path), matrices)


@pytest.mark.parametrize("branches", [("attention", "feed_forward"), ("x", "y"), ("0", "1")])
def test_the_suggested_command_knows_branches_by_word_and_by_number(
    birkhoff, tmp_path, matrices, branches
):
    save_file(named(matrices, "m.{layer}.{branch}.mix", branches), tmp_path / "own.safetensors")
    done = birkhoff("trace", *suggested(birkhoff, "own.safetensors")[1:], "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(traced(tmp_path), matrices)


def test_a_vector_with_gates_before_the_logits_is_suggested(birkhoff, tmp_path, rng):
    base = rng.normal(size=(2 * LAYERS, N * (N + 2))).astype(np.float32)
    model = named(base, "layers.{layer}.{branch}_mix.base")
    for name in list(model):
        if name.endswith(".base"):
            model[name.replace(".base", ".fn")] = np.ones((N * (N + 2), N * 5), np.float32)
    save_file(model, tmp_path / "own.safetensors")
    words = suggested(birkhoff, "own.safetensors")
    assert "as=logits" in words
    done = birkhoff("trace", *words[1:], "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(traced(tmp_path), MHC(N)(base[:, 8:]), atol=1e-6)


def test_what_has_no_mixers_gets_no_suggestion(birkhoff, tmp_path):
    save_file({"w": np.ones((4, 9), np.float32)}, tmp_path / "own.safetensors")
    done = birkhoff("inspect", "own.safetensors")
    assert done.returncode == 3 and "look like mixers" not in done.stderr
    assert "--set tensors='blocks.{layer}.NAME' --set as=matrices" in done.stderr
