"""Golden vectors: what is written, against code that is written here once more, and read back."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from birkhoff_cli.analyses import verify
from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.geometry.recipes import CODE_BASES
from birkhoff_cli.analyses.kernels.golden import CASES, SIDES, draw_vectors, nearest
from birkhoff_cli.analyses.parameterizations._sinkhorn_variants import VARIANTS
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from test_kernels import CODE


def code_of(variant):
    """The independent code of a variant, turned to our orientation."""
    code = CODE[variant]
    if not CODE_BASES[variant].transposed:
        return code
    return lambda z: code(z.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_matrices_and_gradients_are_those_of_the_plain_code(variant):
    seen = set()
    for v in draw_vectors([MHC(d, variant=variant) for d in SIDES], 0, "float32"):
        z = torch.from_numpy(v.parameters.reshape(-1, v.d, v.d)).requires_grad_()
        h = code_of(variant)(z)
        (gradient,) = torch.autograd.grad(h, z, torch.from_numpy(v.cotangent))
        np.testing.assert_allclose(v.matrices, h.detach().numpy(), rtol=0, atol=1e-14)
        tau = MHC(v.d, variant=variant).settings.tau
        found = v.gradient.reshape(gradient.shape)
        np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-9, atol=1e-13 / tau)
        seen.add((v.d, v.case))
    assert seen == {(d, case) for d in SIDES for case in CASES} - {(1, "masked")}


@pytest.mark.parametrize("method", [*(MHC(4, variant=v) for v in VARIANTS), GoMHC(4)], ids=repr)
def test_gradients_are_those_of_finite_differences(method):
    smooth = ("spread_1", "spread_5", "dominant")
    rng = np.random.default_rng(1)
    for v in draw_vectors([method], 3, "float32"):
        if v.case not in smooth:
            continue
        way = rng.standard_normal(v.parameters.shape)
        step = 1e-6
        ahead, behind = (method(v.parameters + s * way) for s in (step, -step))
        slope = ((ahead - behind) * v.cotangent).sum((1, 2)) / (2 * step)
        np.testing.assert_allclose((v.gradient * way).sum(1), slope, rtol=1e-6, atol=1e-7)


def test_the_cases_are_what_their_names_say():
    tiny = 2.0**-126
    for v in draw_vectors([MHC(d) for d in SIDES], 0, "float32"):
        z = v.parameters
        assert len(z) % 2 == 1
        np.testing.assert_array_equal(z, z.astype(np.float32))
        if v.case.startswith("spread_"):
            assert np.ptp(z) <= float(v.case.removeprefix("spread_"))
        if v.case == "spread_200" and v.d > 1:
            assert np.ptp(z) > 120
        if v.case == "ties" and v.d > 2:
            top = np.sort(z.reshape(-1, v.d, v.d), 2)
            assert (top[..., -1] == top[..., -2]).any()
        if v.case == "masked":
            assert np.isneginf(z).any() and np.isfinite(v.matrices).all()
            np.testing.assert_array_equal(v.gradient[np.isneginf(z)], 0)
        if v.case == "denormal_inputs" and v.d > 1:
            assert ((z != 0) & (np.abs(z) < tiny)).any()
        if v.case == "denormal_results" and v.d > 1:
            assert ((v.matrices > 0) & (v.matrices < tiny)).any()


@pytest.mark.parametrize("to, torch_type", [("bfloat16", torch.bfloat16), ("float16", torch.half)])
def test_rounding_goes_to_the_nearest_once(to, torch_type):
    values = np.concatenate([np.random.default_rng(0).standard_normal(500), [1e-5, 1e-40, 0, -8]])
    expected = torch.from_numpy(values).to(torch_type).double().numpy()
    np.testing.assert_array_equal(nearest(values, to), expected)
    # between two numbers of bf16, and above the middle by less than float32 can tell
    above = np.array([1 + 2.0**-8 + 2.0**-40, 1 + 3 * 2.0**-8 - 2.0**-40])
    np.testing.assert_array_equal(nearest(above, "bfloat16"), [1 + 2.0**-7, 1 + 2.0**-7])


def load(path):
    with np.load(path) as archive:
        return dict(archive)


WORDS = ("sample", "--method", "mhc:variant=deepseek-v4", "--table", "golden", "-q")


def test_every_file_holds_the_same(birkhoff, tmp_path):
    for name in ("a.npz", "b.npz", "a.safetensors", "a.parquet"):
        done = birkhoff(*WORDS, "-o", name, "--rounded", "bfloat16", "--seed", "5")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays, tensors = load(tmp_path / "a.npz"), load_file(tmp_path / "a.safetensors")
    said = json.loads(str(arrays["birkhoff"]))["meta"]["golden"]
    assert said["settings"] == {
        **{"variant": "deepseek-v4", "iters": 20, "eps": 1e-6, "guard": "add", "last": "rows"},
        **{key: said["settings"][key] for key in ("tau", "clip", "start")},
    }
    assert said["rounded"] == "bfloat16"
    assert {*arrays} - {"birkhoff"} == {*tensors}
    cases = {}
    for row in pq.read_table(tmp_path / "a.parquet").to_pylist():
        cases.setdefault((row["d"], row["case"]), []).append(row)
    for (d, case), rows in cases.items():
        for name in ("logits", "matrices", "cotangent", "gradient"):
            for key in (name, f"{name}_rounded"):
                array = arrays[f"d{d}/{case}/{key}"]
                assert array.shape == (len(rows), d, d)
                assert array.dtype == ("float32" if key.endswith("rounded") else "float64")
                np.testing.assert_array_equal(array, tensors[f"d{d}/{case}/{key}"])
                np.testing.assert_array_equal(array.reshape(len(rows), -1), [r[key] for r in rows])
            exact = arrays[f"d{d}/{case}/{name}"]
            narrow = arrays[f"d{d}/{case}/{name}_rounded"]
            np.testing.assert_array_equal(narrow, nearest(exact, "bfloat16"))
    assert {f"d{d}/{case}" for d, case in cases} == {n.rpartition("/")[0] for n in tensors}


@pytest.mark.parametrize("variant", VARIANTS)
def test_verify_finds_the_variant(variant):
    wanted = "spread_1" if variant == "tokenbender" else "spread_20"
    every = draw_vectors([MHC(4, variant=variant)], 0, "float32")
    v = next(v for v in every if v.case == wanted)
    z, down = (x.reshape(-1, 4, 4) for x in (v.parameters, v.gradient))
    values = {"logits": z, "cotangent": v.cotangent, "gradient": down}
    others = {name: Stack(x, name, "float64") for name, x in values.items()}
    summary = verify.run(Stack(v.matrices, "golden", "float64"), **others).summary
    assert variant in {summary["match"], *(entry["match"] for entry in summary["also"])}
    assert summary["within_rounding"] and summary["gradient_within_rounding"]
    assert summary["iters"] == CODE_BASES[variant].recipe.iters


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_verify_reads_the_file(birkhoff, suffix):
    assert birkhoff(*WORDS, "-o", f"x.{suffix}").returncode == 0
    group = f"x.{suffix}#d4/spread_20"
    for matrices in ("matrices", "matrices_rounded"):
        words = ("verify", f"{group}/{matrices}", "--logits", f"{group}/logits", "--json")
        done = birkhoff(*words)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["match"], said["iters"], said["eps"]) == ("deepseek-v4", 20, 1e-6)
        assert said["within_rounding"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["identity", "--table", "golden", "-o", "x.npz"], "identity has no parameters"),
        (["mhc", "-n", "3", "-o", "x.npz"], "npz holds arrays and 'birkhoff sample' makes a table"),
        (["mhc", "-n", "3", "--table", "golden"], "--samples has no effect with --table golden"),
        (["mhc", "--d", "3", "--table", "golden"], "--d has no effect with --table golden"),
        (["mhc:d=3", "--table", "golden"], "--d has no effect with --table golden"),
        (["mhc", "--rounded", "float16"], "--rounded belongs to --table golden"),
    ],
)
def test_what_has_no_golden_vectors_is_refused(birkhoff, tmp_path, words, sentence):
    done = birkhoff("sample", "--method", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert sentence in done.stderr and not list(tmp_path.iterdir())


def test_lists_are_text_in_csv_with_every_digit(birkhoff, tmp_path):
    for name in ("x.csv", "x.parquet"):
        words = ("sample", "--method", "mhc", "--table", "golden", "-o", name, "-q")
        assert birkhoff(*words).returncode == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert len(cells) == len(rows)
    for name in ("logits", "gradient", "matrices_rounded"):
        assert [[float(x) for x in c[name].split(" ")] for c in cells[::97]] == [
            [float(str(np.float32(x))) for x in row[name]] if "rounded" in name else row[name]
            for row in rows[::97]
        ]


def test_a_method_of_other_parameters_has_theta(birkhoff, tmp_path):
    words = ("sample", "--method", "go-mhc", "--table", "golden", "-o", "x.npz", "-q")
    assert birkhoff(*words).returncode == 0
    arrays = load(tmp_path / "x.npz")
    method = GoMHC(4)
    assert arrays["d4/spread_5/theta"].shape == (65, method.parameters)
    h = method(arrays["d4/spread_5/theta"])
    np.testing.assert_allclose(arrays["d4/spread_5/matrices"], h, rtol=0, atol=1e-13)
    assert not [name for name in arrays if "masked" in name or "logits" in name]
