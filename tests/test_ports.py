"""Mistakes of ports, each made on purpose, and named by ``diff``."""

import json
from dataclasses import replace

import numpy as np
import pytest

from birkhoff_cli.analyses import diff
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.kernels.arithmetic import ULP, round_to
from birkhoff_cli.analyses.parameterizations.mhc import MHC

V4 = MHC(4, variant="deepseek-v4")
LAYERS = 4


def sites():
    pairs = [(k, b) for k in range(LAYERS) for b in ("attn", "mlp")]
    return tuple(Site(k, b, f"layers.{k}.{b}") for k, b in pairs)


def model(theta, method=V4, name="model"):
    """A checkpoint's static trace: float32 logits, their map, and its matrices."""
    theta = theta.astype(np.float32)[None]
    trace = in_memory(np.asarray(method(theta)), sites(), name)
    return replace(trace, map=method, theta=theta)


@pytest.fixture
def theta(rng):
    return 5 * rng.standard_normal((2 * LAYERS, 16))


def told(a, b, **more):
    return diff.run(a, b, **more).summary


def test_exchanged_rows_and_columns_of_logits(theta):
    turned = theta.reshape(-1, 4, 4).swapaxes(1, 2).reshape(-1, 16)
    said = told(model(turned), model(theta))
    assert said["explanation"] == "rows and columns of the logits are exchanged at 8 of 8 sites"
    assert said["verdict"] == "different" and said["sites_equal"] == 0


@pytest.mark.parametrize(
    "changed, words",
    [
        (replace(V4, iters=19), "19 iterations"),
        (replace(V4, eps=1e-3), "eps 0.001"),
        (replace(V4, last="columns"), "columns normalised last"),
    ],
)
def test_other_settings(theta, changed, words):
    said = told(model(theta, changed, "ours"), model(theta))
    differ = said["sites"] - said["sites_equal"]  # some have converged, whatever the settings
    assert differ > 4
    assert said["explanation"] == f"ours has {words} at {differ} of 8 sites"


def test_a_transposed_result_at_some_sites(theta):
    a, b = model(theta), model(theta)
    h = b.matrices.copy()
    h[:, [1, 4, 5]] = h[:, [1, 4, 5]].swapaxes(2, 3)
    said = told(a, in_memory(h, sites(), "theirs"))
    assert said["explanation"] == "H is transposed at 3 of 8 sites"
    assert (said["sites_equal"], said["sites_transposed"]) == (5, 3)


def test_two_exchanged_sites(theta):
    order = np.array([0, 1, 3, 2, 4, 5, 6, 7])
    said = told(model(theta[order]), model(theta))
    assert said["explanation"] == "layers.1: attn and mlp exchanged"
    order = np.array([0, 6, 2, 3, 4, 5, 1, 7])
    said = told(model(theta[order]), model(theta))
    assert said["explanation"] == "layers.0.mlp and layers.3.attn exchanged"


@pytest.mark.parametrize("step, words", [(2, "one layer"), (1, "one site"), (4, "2 layers")])
def test_shifted_sites(theta, step, words):
    shifted = np.roll(theta, -step, axis=0)
    shifted[-step:] = np.random.default_rng(9).standard_normal((step, 16))
    explanation = told(model(shifted), model(theta))["explanation"]
    count = 2 * LAYERS - step
    assert explanation == f"shifted by {words}: the second model is ahead at {count} of 8 sites"


def test_sites_shifted_around_the_end(theta):
    explanation = told(model(np.roll(theta, -2, axis=0)), model(theta))["explanation"]
    assert explanation == "shifted by one layer: the second model is ahead at 6 of 8 sites"
    half = told(model(np.roll(theta, -4, axis=0)), model(theta))["explanation"]
    assert " exchanged" in half  # what goes around by half goes both ways


def test_what_no_mistake_explains_is_not_explained(theta, rng):
    said = told(model(rng.standard_normal(theta.shape)), model(theta))
    assert said["verdict"] == "different" and said["explanation"] is None
    assert told(model(theta), model(theta))["explanation"] is None


def test_a_tolerance_is_what_counts_as_equal(theta):
    a = model(theta)
    b = in_memory(a.matrices + np.float32(1e-3), sites(), "b")
    assert told(a, b)["verdict"] == "different"
    assert told(a, b, tolerance=2e-3)["verdict"] == "equal"


def test_recorded_pair(birkhoff, cases):
    pair = (cases / "logits_exchanged", cases / "logits_original")
    done = birkhoff("diff", *pair, "--json", "--fail-on", "different")
    assert done.returncode == 1
    explanation = json.loads(done.stdout)["explanation"]
    assert explanation == "rows and columns of the logits are exchanged at 6 of 6 sites"


def test_settings_of_one_side(birkhoff, cases):
    pair = (cases / "logits_original", cases / "logits_original")
    done = birkhoff("diff", *pair, "--set-b", "iters=2", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["verdict"] == "different" and "iterations at" in said["explanation"]
    both = ("--set", "iters=3", "--set-b", "iters=2", "--set-a", "iters=2")
    assert json.loads(birkhoff("diff", *pair, *both, "--json").stdout)["verdict"] == "equal"
    matrices = cases / "logits_original.H_static.npy"
    done = birkhoff("diff", pair[0], matrices, "--set-b", "iters=2")
    assert done.returncode == 2 and "--set-b is for checkpoints" in done.stderr
    done = birkhoff("diff", pair[0], "--against", "identity", "--set-b", "iters=2")
    assert done.returncode == 2 and "--set-b is for checkpoints and there is none" in done.stderr


def rounded(values, form):
    return round_to(values.astype(np.float32), form)


@pytest.mark.parametrize("form", ["bf16", "fp16"])
def test_the_coarser_format_decides_what_is_equal(theta, form):
    a = model(theta)
    dump = in_memory(rounded(a.matrices, form), sites(), "dump")
    assert told(a, dump)["verdict"] == told(dump, a)["verdict"] == "equal"
    moved = a.matrices.copy()
    moved[0, 2, 0, 0] += 4 * ULP[form]
    said = told(in_memory(moved, sites(), "moved"), dump)
    assert (said["sites_equal"], said["sites_different"]) == (7, 1)
    logits = model(rounded(theta, form))
    assert told(logits, a)["verdict"] == told(a, logits)["verdict"] == "equal"
    other = theta.copy()
    other[3, 0] += 0.5
    said = told(logits, model(other))
    assert (said["sites_equal"], said["sites_different"]) == (7, 1)


def test_simple_numbers_are_not_taken_for_a_narrow_format():
    eye = np.broadcast_to(np.eye(4, dtype=np.float32), (1, 2 * LAYERS, 4, 4))
    near = eye + np.float32(1e-3)
    said = told(in_memory(eye, sites(), "eye"), in_memory(near, sites(), "near"))
    assert said["verdict"] == "different"
