"""The first command to type: ten lines that say what other commands say at length."""

import json

import numpy as np
import pytest

from birkhoff_cli.analyses import check, degeneration, depth_drift
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.analyses.parameterizations.mhc import MHC

SITES = tuple(Site(k, "attn", f"layers.{k}") for k in range(6))


def trace(h, dtype=np.float64):
    return in_memory(np.asarray(h, dtype).reshape(-1, 6, *np.shape(h)[-2:]), SITES, "h.npy")


@pytest.fixture
def mixing(rng):
    return MHC(4, iters=50)(rng.standard_normal((5, 6, 16)))


def test_it_agrees_with_the_commands_that_say_more(mixing):
    said = check.run(trace(mixing)).summary
    drift, sites = (
        depth_drift.run(trace(mixing)).summary,
        degeneration.run((trace(mixing),)).summary,
    )
    assert said["verdict"] == sites["verdict"] == "mixing"
    assert said["threshold"] == sites["threshold"] and said["drift"] == drift["verdict"]
    ends = [drift[f"composite_{s}_{e}"] for s in ("row", "column") for e in ("min", "max")]
    off = max(abs(end - 1) for end in ends)
    assert said["composite_error_max"] == pytest.approx(off, abs=1e-12)
    assert (said["odd"], said["assumptions"], said["dtype"]) == ([], [], "float64")


def test_a_site_that_is_not_as_the_others_is_named(mixing):
    mixing[:, 2] = np.eye(4)
    assert check.run(trace(mixing)).summary["odd"] == ["layers.2"]
    mixing[:, 2] = 1.5 * mixing[:, 1]
    summary = check.run(trace(mixing)).summary
    assert summary["odd"] == ["layers.2"] and summary["drift"] == "drifts"
    assert summary["sum_error_max"] == pytest.approx(0.5)


def test_blocks_do_not_matter(mixing):
    whole = trace(np.tile(mixing, (900, 1, 1, 1)))
    assert whole.blocks == 1 or check.run(whole).summary["verdict"] == "mixing"
    many = trace(np.tile(mixing, (3000, 1, 1, 1)))
    assert many.blocks > 2
    first, again = check.run(many).summary, check.run(trace(mixing)).summary
    assert first["composite_error_max"] == again["composite_error_max"]


@pytest.mark.parametrize(
    "scale, word, code",
    [(1, "odd", 0), (1, "drifts", 0), (1, "narrow", 0), (1, "signed", 0), (2, "drifts", 1)],
)
def test_fail_on_is_an_exit_code_after_all_was_written(
    scale, word, code, birkhoff, tmp_path, mixing
):
    np.save(tmp_path / "h.npy", scale * mixing)
    done = birkhoff("check", "h.npy", "--fail-on", word, "-o", "sites.csv", env={"COLUMNS": ""})
    assert (done.returncode, done.stderr.count("\n")) == (code, code)
    assert (tmp_path / "sites.csv").exists() and done.stdout.count("\n") <= 10


def test_a_checkpoint_takes_ten_lines(birkhoff, checkpoints):
    path = checkpoints / "mhclite_mhc_n4" / "ckpt.pt"
    done = birkhoff("check", path, env={"COLUMNS": ""})
    assert done.returncode == 0 and done.stdout.count("\n") == 10 and done.stderr == ""
    for word in ("nanogpt", "mhc", "float32", "identity-degenerate", "sinkhorn iterations 20"):
        assert word in done.stdout
    summary = json.loads(birkhoff("check", path, "--json").stdout)
    assert {"verdict", "dtype", "assumptions", "answer"} <= summary.keys()
    assert birkhoff("check", path, "--fail-on", "identity-degenerate", "-q").returncode == 1


def test_narrow_tensors_are_a_failure(mixing):
    narrow = trace(mixing)
    narrow.meta["dtypes"] = ["bfloat16", "float32"]
    result = check.run(narrow, fail_on="narrow")
    assert result.finish()["dtype"] == "bfloat16, float32"
    assert "narrow, on which --fail-on" in result.failed()


FAMILIES = ("gomhc_toy_s1", "kromhc_n4", "mhclite_hc_n4", "mhclite_mhc_n4", "tb_mhc_tau1")


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_true_of_what_the_models_own_code_applied(family, checkpoints, birkhoff):
    """Numbers and verdicts by numpy, of the matrices that were recorded beside the checkpoint."""
    folder = checkpoints / family
    with np.load(folder / "truth.npz") as truth:
        h = truth["H_static"].astype(float)
    d, sites = h.shape[-1], len(h)
    name = next((n for n in ("ckpt.pt", "model.pt") if (folder / n).exists()), "")
    done = birkhoff("check", folder / name, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    whole = birkhoff("inspect", folder / name, "--json")
    assert told["d"] == d and told["sites"] == json.loads(whole.stdout)["sites"] >= sites
    if told["sites"] > sites:  # a clone alone keeps the truth of the first sites only
        return
    product = np.eye(d)
    for matrix in h:
        product = matrix @ product
    off = max(np.abs(product.sum(axis) - 1).max() for axis in (0, 1))
    each = max(np.abs(h.sum(axis) - 1).max() for axis in (1, 2))
    assert told["composite_error_max"] == pytest.approx(off, rel=1e-3, abs=1e-5)
    assert told["sum_error_max"] == pytest.approx(each, rel=1e-3, abs=1e-6)
    near = np.linalg.norm(h - np.eye(d), axis=(1, 2)).mean() <= told["threshold"]
    assert (told["verdict"] == "identity-degenerate") is bool(near)
    assert (told["drift"] == "drifts") is bool(off > told["drift_threshold"])
