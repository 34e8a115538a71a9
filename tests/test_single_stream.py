"""A single stream, d = 1: every command works on it, or refuses it in one line."""

import sys

import numpy as np
import pytest

from birkhoff_cli import app
from birkhoff_cli.analyses import parameterizations

DRAWN = (
    "sample -n 8 -o a.parquet",
    "spectrum -n 8",
    "spectrum -n 8 --probe targets",
    "spectrum -n 8 --probe frontier",
    "compare -n 8",
    "compare -n 8 --probe sample",
    "slice -n 8",
    "depth-drift -n 8 --layers 3",
    "heatmap -n 8",
    "gradients -n 8",
    "sinkhorn -n 8",
    "fit --epochs 3 --targets 2",
    "complexity",
)
PICTURES = ("spectrum", "compare --probe sample", "depth-drift", "heatmap", "gradients", "sinkhorn")
STORED = (
    "spectrum one.npy --plot a.png",
    "depth-drift one.npy --plot a.png",
    "degeneration one.npy --plot a.png",
    "heatmap one.npy --plot a.png",
    "decompose one.npy --plot a.png",
    "decompose one.npy --method mhc",
    "slice one.npy",
    "sinkhorn one.npy --plot a.png",
    "distance one.npy one.npy --plot a.png",
    "diff one.npy one.npy",
    "trace one.npy -o a.parquet",
)


def assert_works_or_refuses(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["birkhoff", *words])
    code = app._run()
    stderr = capsys.readouterr().err
    refusals = [line for line in stderr.splitlines() if not line.startswith("birkhoff: assumed")]
    assert (code == 0 and not refusals) or (code in (2, 3, 4) and len(refusals) == 1), stderr


@pytest.mark.parametrize("name", parameterizations.names())
@pytest.mark.parametrize("words", DRAWN)
def test_drawn(words, name, tmp_path, monkeypatch, capsys):
    """compare probed towards targets, which there are none, and ended with a bug."""
    monkeypatch.chdir(tmp_path)
    assert_works_or_refuses([*words.split(), "--method", name, "--d", "1"], monkeypatch, capsys)


@pytest.mark.parametrize("words", PICTURES)
def test_pictures(words, tmp_path, monkeypatch, capsys):
    """spectrum and gradients asked for a logarithmic scale of nothing."""
    monkeypatch.chdir(tmp_path)
    words = [*words.split(), "--method", "mhc", "--d", "1", "-n", "8", "--plot", "a.png"]
    assert_works_or_refuses(words, monkeypatch, capsys)


@pytest.mark.parametrize("entry", [1.0, -0.5, 0.0])
@pytest.mark.parametrize("words", STORED)
def test_stored(words, entry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("one.npy", np.full((6, 1, 1), entry))
    assert_works_or_refuses(words.split(), monkeypatch, capsys)


def test_region(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_works_or_refuses(["region", "--d", "1", "--plot", "a.png"], monkeypatch, capsys)
