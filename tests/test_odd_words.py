"""Words that no file is called, and numbers that no map takes: one line, which is true."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import forked
from conftest import ROOT

LONG = "A" * 300

NAMES = (
    (LONG, 2, f"'{LONG}' is not among the commands"),
    (f"check {LONG}", 3, f"{LONG}: cannot be opened (File name too long)"),
    (f"compare {LONG}", 3, f"{LONG}: cannot be opened (File name too long)"),
    (f"compare a={LONG}", 3, f"{LONG}: cannot be opened (File name too long)"),
    (f"check {LONG}#step=3", 3, f"{LONG}: cannot be opened (File name too long)"),
    (f"spectrum {LONG}#a", 3, f"{LONG}#a: cannot be opened (File name too long)"),
    (f"spectrum {LONG} --d 4", 2, f"'{LONG}' is no file; check the path"),
    (f"check ckpt.pt --inputs {LONG}", 2, f"--inputs '{LONG}' is not among the inputs"),
    (f"spectrum --method {LONG}", 2, f"'{LONG.lower()}' is not among"),
    (f"methods {LONG}", 2, f"'{LONG.lower()}' is not among"),
    (f"region {LONG}", 2, f"region: nothing takes '{LONG}'"),
)


@pytest.mark.parametrize(("words", "code", "sentence"), NAMES)
def test_a_word_longer_than_any_name_of_a_file(words, code, sentence, tmp_path):
    """Asking the system whether there is such a file was a bug of ours."""
    shutil.copy(ROOT / "examples" / "go-mhc-s2.pt", tmp_path / "ckpt.pt")
    ended = forked.call(words.split(), tmp_path)
    assert ended.code == code and ended.err.startswith(f"birkhoff: {sentence}"), ended
    assert ended.err.count("\n") == 1


def test_an_input_that_is_a_loop_of_links_is_no_fault_of_a_reports_folder(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out_files").mkdir()
    ended = forked.call(["report", "loop", "-o", "out.html"], tmp_path)
    assert ended.code == 3 and ended.err.startswith("birkhoff: loop: cannot be opened"), ended


def test_an_input_that_no_file_can_be_is_no_fault_of_an_old_output(tmp_path):
    (tmp_path / "out.html").write_text("old")
    ended = forked.call(["report", LONG, "-o", "out.html"], tmp_path)
    assert ended.code == 3 and ended.err.startswith(f"birkhoff: {LONG}: cannot be"), ended


FIT = "fit --method mhc --d 3 --targets 2 --epochs 2"
NUMBERS = (
    ("sample --method go-mhc --scale 1e308", "--scale 1e+308"),
    ("heatmap --method mhc -n 3 --draw uniform --scale 1e308", "--scale 1e+308"),
    ("sample --method go-mhc --s 1 --d 3 --scale 1e17", "--scale 1e+17"),
    ("sample --method mhc --dtype float32 --scale 1e39", "--scale 1e+39"),
    ("sample --method hc --gate nan", "gate = nan"),
    ("sinkhorn --method mhc --iters 1e30", f"iters = {10**30}"),
    ("sample --method mhc-linear --iters 1e30", f"iters = {10**30}"),
    ("sinkhorn --method mhc --tau 1e-320", "tau = 9.99989e-321"),
    ("sample --method mhc --clip 1e308", "clip = 1e+308"),
    (f"{FIT} --noise 1e308", "--noise 1e+308"),
    (f"{FIT} --projector-noise 1e308", "--projector-noise 1e+308"),
    (f"{FIT} --learning-rate 1e308", "--learning-rate 1e+308"),
    (f"{FIT} --spread inf", "--spread inf"),
    (f"{FIT} --examples 1e12", f"--examples {10**12}"),
    (f"{FIT} --sampler go-mhc:scale=nan", "go-mhc:scale=nan: scale nan"),
    ("train --method mhc -o run --learning-rate 1e308", "--learning-rate 1e+308"),
    ("train --method mhc -o run --seed 1e30", f"--seed {10**30}"),
)


@pytest.mark.parametrize(("words", "seen"), NUMBERS, ids=lambda text: text[:60])
def test_a_number_that_no_map_takes(words, seen, tmp_path):
    """They were bugs of ours, matrices of NaN with exit code 0, or no end."""
    ended = forked.call([*words.split(), "--json"], tmp_path)
    assert ended.code == 2 and not ended.out, ended
    assert ended.err.startswith(f"birkhoff: {seen} cannot be; expected "), ended
    assert ended.err.count("\n") == 1 and not (tmp_path / "run").exists()


def test_targets_that_are_too_large_are_no_fault_of_the_learning_rate(tmp_path):
    np.save(tmp_path / "h.npy", np.full((2, 3, 3), 1e60))
    ended = forked.call(["fit", "h.npy", "--method", "mhc"], tmp_path)
    assert ended.code == 3 and "take smaller targets" in ended.err, ended


@pytest.mark.parametrize("epoch", ["x", "9" * 18])
def test_variables_of_matplotlib_that_it_cannot_read(epoch, tmp_path):
    """It was said to be installed in part, the figure to be incomplete, or it was a bug of ours."""
    command = ["region", "--d", "3", "--plot", "out.pdf"]
    ended = subprocess.run(
        [sys.executable, "-m", "birkhoff_cli", *command],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "x", "SOURCE_DATE_EPOCH": epoch, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0 and not ended.stderr, ended
    assert (tmp_path / "out.pdf").exists()
