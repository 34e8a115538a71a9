"""Tables and traces as version 0.1 wrote them are still read, drawn and merged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices, tables

DATA = Path(__file__).parent / "data" / "v0.1"
SUFFIXES = ("parquet", "arrow", "csv", "ndjson")


@pytest.mark.parametrize("suffix", [*SUFFIXES, "arrows"])
def test_a_trace_is_the_array_it_was_made_of(suffix):
    trace = matrices.read(DATA / f"trace.{suffix}")
    h = np.load(DATA / "h.npy")
    assert np.array_equal(trace.matrices.astype(np.float32), h)
    assert [(site.layer, site.branch) for site in trace.sites] == [(k, "file") for k in range(4)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sample_is_read_in_every_format(suffix):
    found = matrices.read(DATA / f"sample.{suffix}").matrices
    assert np.array_equal(found, matrices.read(DATA / "sample.parquet").matrices)
    assert found.shape == (6, 1, 3, 3) and np.allclose(found.sum(-1), 1)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["spectrum", "depth-drift"])
def test_a_table_is_drawn_again(name, suffix, birkhoff, tmp_path):
    done = birkhoff("plot", DATA / f"{name}.{suffix}", "--plot", "a.png", "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert json.loads(done.stdout)["rows"] == len(tables.read(DATA / f"{name}.parquet")[0])


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_text_says_why_it_cannot_be_drawn(suffix, birkhoff, tmp_path):
    for name in ("spectrum", "depth-drift", "trace", "sweep"):
        done = birkhoff("plot", DATA / f"{name}.{suffix}", "--plot", "a.png")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert f"is {suffix}, which keeps no metadata" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_shards_are_merged(birkhoff, tmp_path):
    shutil.copytree(DATA, tmp_path / "data")
    done = birkhoff("merge", "data/shard-2.parquet", "data/shard-1.parquet", "-o", "w.parquet")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "w.parquet").equals(pq.read_table(DATA / "sweep.parquet"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_trace_is_analysed(suffix, birkhoff):
    done = birkhoff("depth-drift", DATA / f"trace.{suffix}", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    h = np.load(DATA / "h.npy").astype(float)
    assert (found["samples"], found["sites"]) == h.shape[:2]
    assert found["column_error_max"] == pytest.approx(np.abs(h.sum(-2) - 1).max(), rel=1e-6)
