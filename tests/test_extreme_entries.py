"""Entries far from 1: what is measured follows their size, and nothing is said but the result."""

import json
import sys

import numpy as np
import pytest

from birkhoff_cli import app

COMMANDS = (
    "spectrum a.npy",
    "depth-drift a.npy",
    "degeneration a.npy",
    "heatmap a.npy",
    "slice a.npy",
    "sinkhorn a.npy",
    "distance a.npy b.npy",
    "diff a.npy b.npy",
)
SIZES = (1e-200, 1e-160, 1e160, 1e200)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A command over matrices of one size of entries; its summary. A warning is an error here."""
    monkeypatch.chdir(tmp_path)

    def summary(command, size, d=4):
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            np.save(f"{name}.npy", rng.dirichlet(np.ones(d), (5, d)) * size)
        monkeypatch.setattr(sys, "argv", ["birkhoff", *command.split(), "--json"])
        code = app._run()
        said = capsys.readouterr()
        assert code == 0, said.err
        assert all(line.startswith("birkhoff: assumed") for line in said.err.splitlines())
        return json.loads(said.out)

    return summary


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size", SIZES)
def test_every_command_measures_them_in_silence(command, size, run):
    run(command, size)


@pytest.mark.parametrize("size", SIZES)
def test_distances_and_norms_follow_the_size(size, run):
    plain, scaled = (
        {row["distance"]: row["max"] for row in run("distance a.npy b.npy", s)["distances"]}
        for s in (1.0, size)
    )
    for name in ("frobenius", "spectral"):
        assert scaled[name] / size == pytest.approx(plain[name], rel=1e-9)
    alone = "depth-drift a.npy --set axes=samples"
    norms = [run(alone, s)["composite_spectral_norm_max"] for s in (1.0, size)]
    assert norms[1] / size == pytest.approx(norms[0], rel=1e-9)


def test_products_beyond_the_number_range_have_a_decay(run):
    found = [run("depth-drift a.npy", size)["typical_decay"] / size for size in (1e50, 1e160)]
    assert found[1] == pytest.approx(found[0], rel=1e-9)
