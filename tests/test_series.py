"""Several checkpoints of one run, wherever a path is; what a checkpoint's streams carry."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.series import ordered


def trace(step):
    return in_memory(np.eye(2)[None, None], (Site(0, "attn", "a"),), "t", step=step)


@pytest.mark.parametrize(
    "steps, names, expected",
    [
        ([30, 5, 100], ["a", "b", "c"], [5, 30, 100]),
        ([None, None], ["ckpt_10.pt", "ckpt_9.pt"], [9, 10]),
        ([7, 7], ["run1_20.pt", "run2_10.pt"], [10, 20]),
        ([None, None], ["last.pt", "best.pt"], [0, 1]),
        ([7, 7], ["a/ckpt.pt", "b/ckpt.pt"], [0, 1]),
    ],
)
def test_steps_are_those_stored_else_of_the_names_else_places(steps, names, expected, tmp_path):
    items = [trace(step) for step in steps]
    found = ordered(items, [tmp_path / name for name in names])
    assert [step for step, _ in found] == expected
    assert {id(item) for _, item in found} == {id(item) for item in items}


def test_a_directory_files_and_any_order_are_the_same_series(birkhoff, checkpoints, tmp_path):
    folder = checkpoints / "series_mhc_n4"
    files = sorted(folder.glob("*.pt"), reverse=True)
    tables = []
    for k, words in enumerate(([folder], files)):
        done = birkhoff("spectrum", *words, "-o", f"{k}.parquet", "--json")
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50, 100, 400]
        tables.append(pq.read_table(tmp_path / f"{k}.parquet"))
    assert tables[0].equals(tables[1])
    alone = birkhoff("spectrum", files[0], "-o", "one.parquet")
    assert alone.returncode == 0
    one = pq.read_table(tmp_path / "one.parquet")
    last = tables[0].filter(np.asarray(tables[0]["step"]) == 400).drop_columns("step")
    assert last.equals(one)


def test_models_that_differ_are_no_series(birkhoff, tmp_path):
    for d in (3, 4):
        np.save(tmp_path / f"h{d}.npy", np.eye(d))
    done = birkhoff("decompose", "h3.npy", "h4.npy", "-o", "t.csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "differ in their streams" in done.stderr and not (tmp_path / "t.csv").exists()


def test_inspect_shows_a_series(birkhoff, checkpoints):
    done = birkhoff("inspect", checkpoints / "series_mhc_n4", "--json")
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50, 100, 400]


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("--inputs", "gauss"), 2, "did you mean 'gaussian'"),
        (("--inputs", "tokens"), 2, "tokens=FILE"),
        (("--inputs", "static=x"), 2, "known: static"),
        (("--length", "3"), 2, "--length has no meaning with --inputs static"),
        (("--inputs", "gaussian", "--random"), 2, "--random has no meaning"),
        (("--inputs", "gaussian", "-n", "-1"), 2, "expected at least 1"),
        (("--method", "mhc"), 2, "--method is for drawn matrices"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(words, code, said, birkhoff, checkpoints):
    done = birkhoff("depth-drift", checkpoints / "mhclite_mhc_n4", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr


def test_matrices_have_no_inputs(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3)[None])
    done = birkhoff("spectrum", "h.npy", "--inputs", "gaussian")
    assert done.returncode == 2 and "--inputs is for checkpoints" in done.stderr


def test_gaussian_streams_come_from_the_seed(birkhoff, checkpoints, tmp_path):
    shutil.copytree(checkpoints / "mhclite_mhc_n4", tmp_path / "model")
    words = ("depth-drift", "model/ckpt.pt", "--inputs", "gaussian", "-n", "40", "--json")
    same, again, other = (birkhoff(*words, "--seed", s).stdout for s in (1, 1, 2))
    assert json.loads(same)["samples"] == 40
    assert same == again != other


@pytest.mark.parametrize("words", [("trace",), ("plot",), ("merge",), ("diff", "h.npy")])
def test_a_path_that_no_file_can_have_is_one_line(words, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3))
    (tmp_path / "loop").symlink_to("loop")
    for path in ("x" * 300, "loop", "absent"):
        done = birkhoff(*words, path)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert path in done.stderr
