"""Similarity of streams: against plain numpy, and what the command makes of one model or many."""

import json
from itertools import combinations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.figure import Figure

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses import similarity
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.threads import one_thread
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.analyses.networks.stream_similarity import mean_cosine
from birkhoff_cli.analyses.networks.token_run import TokenRun
from test_language_model import (
    BLOCK,
    KINDS,
    LAYERS,
    VOCABULARY,
    WIDTH,
    opened,
    reference,
    saved,
    worst,
)

SITES = tuple(
    Site(layer, branch, f"layers.{layer}.{branch}")
    for layer in range(LAYERS)
    for branch in ("attn", "mlp")
)


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def run_of(path, rows=3, step=None):
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (rows, BLOCK))
    return TokenRun(lambda: opened(path), tokens, SITES, str(path), step)


def cosines(streams):
    """Mean over pairs, one pair at a time, of ``(..., n, width)``."""
    unit = streams / np.linalg.norm(streams, axis=-1, keepdims=True)
    pairs = list(combinations(range(streams.shape[-2]), 2))
    return sum((unit[..., i, :] * unit[..., j, :]).sum(-1) for i, j in pairs) / len(pairs)


def test_every_statistic_of_every_stage_is_that_of_plain_numpy(tmp_path):
    """HC whose mixing is dropped, which has a code base of its own, is HC with H = I."""
    path = tmp_path / "ckpt.pt"
    tensors = saved(path, "hc", bias=True)
    run = run_of(path)
    rows = similarity.run((run,)).table.to_pylist()
    assert len(rows) == 2 * len(SITES) * 3
    for mixing, kind in {"actual": "hc", "identity": "dropped"}.items():
        streams = np.stack([reference(kind, tensors, row)[2] for row in run.tokens], axis=2)
        values = cosines(streams).reshape(len(SITES), 3, -1)
        expected = {
            **{"mean": values.mean(-1), "std": values.std(-1)},
            **{"min": values.min(-1), "max": values.max(-1)},
            **{f"p{q}": np.percentile(values, q, axis=-1) for q in (10, 50, 90)},
        }
        for name, numbers in expected.items():
            found = [row[name] for row in rows if row["mixing"] == mixing]
            assert worst(found, numbers.ravel()) <= 1e-4, (mixing, name)
    places = [(r["site"], r["layer"], r["branch"], r["streams"]) for r in rows[:12]]
    stages = ("in", "mixed", "out")
    assert places == [(k, s.layer, s.branch, t) for k, s in enumerate(SITES) for t in stages]


def test_what_leaves_a_site_enters_the_next_and_identity_changes_nothing(tmp_path):
    saved(tmp_path / "ckpt.pt", "mhc_lite")
    rows = similarity.run((run_of(tmp_path / "ckpt.pt"),)).table.to_pylist()
    mean = {(r["mixing"], r["site"], r["streams"]): r["mean"] for r in rows}
    for mixing in ("actual", "identity"):
        assert mean[mixing, 0, "in"] == pytest.approx(1, abs=1e-6)  # d copies of one embedding
        for site in range(1, len(SITES)):
            assert mean[mixing, site, "in"] == mean[mixing, site - 1, "out"]
    for site in range(len(SITES)):
        assert mean["identity", site, "mixed"] == mean["identity", site, "in"]


def test_a_series_has_a_summary_for_every_step(tmp_path):
    """And the headline is that of the last step, after mixing."""
    runs = []
    for step, kind in ((5, "mhc"), (20, "mhc_lite")):
        saved(tmp_path / f"{step}.pt", kind)
        runs.append(run_of(tmp_path / f"{step}.pt", step=step))
    result = similarity.run(tuple(runs))
    rows = result.table.to_pylist()
    summary = result.summary
    mean = {(r["step"], r["mixing"], r["site"], r["streams"]): r["mean"] for r in rows}
    for entry in summary["steps"]:
        for mixing, word in (("actual", ""), ("identity", "_identity")):
            at = [mean[entry["step"], mixing, k, "mixed"] for k in range(len(SITES))]
            assert entry[f"similarity_first{word}"] == at[0]
            assert entry[f"similarity_last{word}"] == at[-1]
            assert entry[f"similarity_mean{word}"] == pytest.approx(np.mean(at), rel=1e-12)
    assert [entry["step"] for entry in summary["steps"]] == [5, 20]
    assert summary["similarity_last"] == summary["steps"][-1]["similarity_last"]
    alone = similarity.run(tuple(runs[1:]))
    assert alone.table.to_pylist() == rows[len(rows) // 2 :]
    assert "steps" not in alone.summary


def test_a_single_stream_has_no_pair(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "hc", 1)
    saved(tmp_path / "ckpt.pt", "hc")
    result = similarity.run((run_of(tmp_path / "ckpt.pt"),))
    table = result.table
    assert {row["mean"] for row in table.to_pylist()} == {None}
    assert result.summary["similarity_last"] is None
    similarity.draw(table, Figure())


def test_the_picture_of_one_model_shows_both_over_depth(tmp_path):
    saved(tmp_path / "ckpt.pt", "mhc_lite")
    table = similarity.run((run_of(tmp_path / "ckpt.pt"),)).table
    similarity.draw(table, figure := Figure())
    rows = table.to_pylist()
    labelled = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    for line in labelled:
        mixing = {"H as trained": "actual", "H = I": "identity"}[line.get_label()]
        chosen = [r["mean"] for r in rows if (r["mixing"], r["streams"]) == (mixing, "mixed")]
        assert line.get_ydata().tolist() == chosen
    assert len(labelled) == 2


def test_streams_that_point_anywhere_at_any_scale():
    a, b = [1.0, 0.0], [0.0, 2.0]
    pairs = [[a, b], [a, [-3.0, 0.0]], [[1.0, 1.0], [2.0, 2.0]], [a, [0.0, 0.0]]]
    for scale in (1e-30, 1.0, 1e30):
        found = mean_cosine(scale * torch.tensor(pairs))
        assert worst(found, np.array([0, -1, 1, 0])) <= 1e-6


def test_streams_that_are_not_finite_are_refused_with_their_place(tmp_path):
    name = "transformer.h.1.hc_attn.branch.1.c_proj.weight"
    saved(tmp_path / "ckpt.pt", **{name: torch.full((WIDTH, WIDTH), 3e38)})
    with pytest.raises(BadInput, match="layer 1, attn are not finite"):
        _ = similarity.run((run_of(tmp_path / "ckpt.pt"),)).summary


def test_models_with_different_depth_are_no_series(tmp_path):
    saved(tmp_path / "ckpt.pt")
    run = run_of(tmp_path / "ckpt.pt")
    short = TokenRun(run.load, run.tokens, SITES[:2], "short.pt", 3)
    with pytest.raises(BadInput, match="short.pt: has 2 sites .* 4; give checkpoints of one model"):
        similarity.run((run, short))


def test_the_command_runs_a_series(birkhoff, tmp_path):
    for step in (1, 2, 3):
        saved(tmp_path / f"ckpt_{step}.pt", "mhc")
    (np.arange(200) % VOCABULARY).astype(np.uint16).tofile(tmp_path / "val.bin")
    words = ["similarity", *(f"ckpt_{k}.pt" for k in (3, 1, 2)), "--inputs", "tokens=val.bin"]
    done = birkhoff(*words, "--json", "-o", "s.parquet", "--plot", "s.png")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [entry["step"] for entry in summary["steps"]] == [1, 2, 3]
    assert summary["samples"] == 4 * BLOCK
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.num_rows == 3 * 2 * len(SITES) * 3
    meta = json.loads(table.schema.metadata[b"birkhoff"])["meta"]
    assert [entry["name"] for entry in meta["inputs"]] == [
        *("ckpt_1.pt", "val.bin", "ckpt_2.pt", "ckpt_3.pt"),
    ]
    assert (tmp_path / "s.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "code, words",
    [
        (2, ["ckpt.pt"]),
        (2, ["ckpt.pt", "--inputs", "gaussian"]),
        (3, ["h.npy", "--inputs", "tokens=val.bin"]),
        (3, ["ckpt.pt", "--inputs", "tokens=missing.bin"]),
    ],
)
def test_what_no_tokens_can_run_through_is_refused(birkhoff, tmp_path, code, words):
    saved(tmp_path / "ckpt.pt")
    np.save(tmp_path / "h.npy", np.eye(3)[None])
    done = birkhoff("similarity", *words)
    assert done.returncode == code
    assert done.stdout == "" and done.stderr.count("\n") == 1


def test_similarity_of_a_trained_series(checkpoints):
    """The recorded numbers at every step, through the formats that read them."""
    tokens = np.load(checkpoints / "series_mhc_n4" / "tokens.npy")
    runs = []
    for step in (1, 400):
        path = checkpoints / "series_mhc_n4" / f"ckpt_{step:06}.pt"
        found = formats.read(path)
        runs.append(TokenRun(lambda path=path: opened(path), tokens, found.sites, "it", found.step))
    result = similarity.run(tuple(runs))
    rows = result.table.to_pylist()
    for entry in result.summary["steps"]:
        step = entry["step"]
        expected = np.load(checkpoints / "series_mhc_n4" / f"truth_{step:06}.npz")["cos_sim"]
        there = [r for r in rows if (r["step"], r["mixing"]) == (step, "actual")]
        found = np.array([r["mean"] for r in there if r["streams"] == "mixed"])
        assert worst(found[: len(expected)], expected) <= 1e-4
        said = [entry[f"similarity_{k}"] for k in ("first", "last", "mean")]
        assert worst(said, np.array([found[0], found[-1], found.mean()])) <= 1e-12
