"""The same seed and the same inputs are the same bytes, wherever a table is made and written."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import Recorder
from conftest import ROOT

EXAMPLES = ROOT / "examples"
WORDS = {
    "drawn": ("spectrum", "--method", "mhc", "--d", "3", "-n", "5"),
    "a checkpoint": ("spectrum", "@hc.pt"),
    "a trace": ("depth-drift", "@h.npy"),
    "written": ("trace", "@hc.pt"),
    "a series": ("degeneration", "@series"),
    "stacked": ("heatmap", "@series"),
    "tokens": ("similarity", "@hc.pt", "--inputs", "tokens=@val.bin", "--sequences", "1"),
    "two": ("diff", "@hc.pt", "@hc.pt"),
    "distances": ("distance", "@h.npy", "@h.npy"),
    "terms": ("decompose", "@h.npy"),
    "a sweep": ("spectrum", "--method", "mhc", "-n", "5", "--sweep", "d=2,3"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret folder")
    (folder / "series").mkdir()
    for name in ("hc.pt", "val.bin", "mhc/ckpt_000000.pt", "mhc/ckpt_000150.pt"):
        shutil.copy(EXAMPLES / name, folder / name.replace("mhc/", "series/"))
    np.save(folder / "h.npy", np.random.default_rng(0).dirichlet(np.ones(3), (5, 3)))
    return folder


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_table_does_not_tell_where_it_was_made(words, inputs, birkhoff, tmp_path):
    here = [word.replace("@", "") for word in words]
    near = birkhoff(*here, "-q", "-o", tmp_path / "a.parquet", cwd=inputs)
    (tmp_path / "deep").mkdir()
    there = [word.replace("@", f"{inputs}/") for word in words]
    output = ("-o", "deep/b.odd", "--format", "parquet", "--json")
    far = birkhoff(*there, *output)
    assert (near.returncode, far.returncode) == (0, 0), near.stderr + far.stderr
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "deep" / "b.odd").read_bytes()
    facts = pq.read_schema(tmp_path / "a.parquet").metadata[b"birkhoff"].decode()
    assert not [part for part in ("secret", "deep", ".odd", "a.parquet", "/tmp") if part in facts]
    assert json.loads(facts)["command"][0] == words[0]


def test_a_recording_does_not_tell_where_it_was_made(tmp_path):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with Recorder(tmp_path / folder / "t.parquet") as recorder:
            recorder.add(0, "attn", np.eye(2)[None])
        made.append((tmp_path / folder / "t.parquet").read_bytes())
    assert made[0] == made[1]
