"""Several methods side by side: the numbers are those of the single commands."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from birkhoff_cli.analyses import compare
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite
from conftest import ROOT


def run(*methods, n=2000, **more):
    return compare.run(methods, samples=n, **more)


@pytest.mark.parametrize("probe", ["targets", "sample"])
def test_every_method_has_both_panels(probe):
    result = run(GoMHC(3, s=1), MHCLite(3), GoMHC(2, s=2), probe=probe)
    table = result.table
    rows = [(r["model"], r["panel"]) for r in table.select(["model", "panel"]).to_pylist()]
    one, lite, two = "go-mhc:s=1", "mhc-lite", "go-mhc:s=2"
    assert rows.count((one, "reach")) == rows.count((lite, "reach")) == 2 * 2000
    assert rows.count((one, "projection")) == rows.count((lite, "projection")) == 2000
    assert rows.count((two, "projection")) == 0, "two streams have no cycle that spans a plane"
    listed = result.summary["models"]
    assert [m["name"] for m in listed] == [m["method"] for m in listed] == [one, lite, two]
    assert "kind" not in table.column_names, "single matrices have no depth"
    assert listed[0]["projection_exact"] == pytest.approx(0.5374220338)
    assert listed[1]["coverage"] > 0 and listed[2]["projection_exact"] is None


def test_points_of_go_mhc_stay_in_their_exact_support():
    table = run(GoMHC(3, s=2), probe="sample").table
    shown = np.array(table["panel"].to_pylist()) == "projection"
    re, im = (table[name].to_numpy()[shown] for name in ("re", "im"))
    assert Support("scallops", 3, 2).outside(re, im, 1e-9) == 0


def test_another_method_does_not_change_the_numbers_of_the_first():
    alone = run(GoMHC(4)).summary["models"][0]
    beside = run(GoMHC(4), KromHC(4), n=2000).summary["models"][0]
    assert alone == beside


def test_the_picture_knows_what_it_needs_from_the_table():
    meta = json.loads(run(GoMHC(3)).table.schema.metadata[b"birkhoff"])["meta"]
    assert meta["models"][0]["support"]["shape"] == "scallops"


def test_nothing_to_compare():
    with pytest.raises(UsageError, match="--method NAME"):
        compare.run(())


def test_words_become_methods(birkhoff, tmp_path):
    words = ("--method", "go-mhc:s=1", "--method", "kromhc:factors=2x2", "-n", "300")
    done = birkhoff("compare", *words, "--json", "--plot", "c.png")
    assert done.returncode == 0 and done.stderr == ""
    names = [m["name"] for m in json.loads(done.stdout)["models"]]
    assert names == ["go-mhc:s=1", "kromhc:factors=2x2"]
    assert (tmp_path / "c.png").stat().st_size > 10_000
    for wrong in ("go-mhc:q=1", "go-mhc:s=two", "go-mhc:s", "nope", "go-mhc:iters=3"):
        done = birkhoff("compare", "--method", wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


TRAINED = ("mhc", "go-mhc-s2.pt", "shc.pt")
NUMBERS = {
    "depth-drift": (
        "composite_column_min",
        "composite_column_max",
        "composite_row_min",
        "composite_row_max",
        "composite_spectral_norm_max",
        "column_error_max",
        "row_error_max",
        "typical_decay",
    ),
    "degeneration": ("row_max_p10", "row_max_p50", "diagonal_fraction", "identity_distance"),
    "heatmap": ("entry_min", "negative_fraction"),
    "spectrum": ("coverage", "outside_fraction", "nonreal_fraction", "area_reached"),
    "slice": ("projection_fraction",),
}


@pytest.fixture(scope="module")
def compared():
    """Three trained models, the first a series, beside a method."""
    from birkhoff_cli import compare as function

    paths = [str(ROOT / "examples" / name) for name in TRAINED]
    return function(paths, method="mhc:d=3", samples=400, probe="sample", inputs="gaussian")


@pytest.mark.parametrize("command", NUMBERS)
@pytest.mark.parametrize("place", [1, 2])
def test_numbers_of_checkpoints_are_those_of_the_single_commands(compared, command, place):
    import birkhoff_cli

    path = ROOT / "examples" / TRAINED[place]
    trace = birkhoff_cli.load(path, inputs="gaussian", samples=400)
    alone = getattr(birkhoff_cli, command.replace("-", "_"))(trace).summary
    row = compared.summary["models"][place]
    assert {name: row[name] for name in NUMBERS[command]} == pytest.approx(
        {name: alone[name] for name in NUMBERS[command]}, rel=1e-12, abs=1e-12
    )


def test_a_series_is_a_model_with_its_steps(compared):
    rows = compared.summary["models"]
    assert [row["name"] for row in rows] == ["examples/mhc", *TRAINED[1:], "mhc:d=3"]
    assert [row["step"] for row in rows[0]["steps"]] == [0, 150, 300, 450, 600]
    assert rows[0]["step"] == 600 and rows[0]["steps"][-1]["mixing"] == rows[0]["mixing"]
    assert "steps" not in rows[1] and rows[3]["d"] == 3 and rows[3].get("mixing") is None
    assert "identity is examples/mhc (" in compared.answer
    assert "farthest from it is " in compared.answer


def test_means_and_histograms_in_the_table_are_those_of_the_matrices(compared):
    import birkhoff_cli

    path = ROOT / "examples" / "shc.pt"
    h = birkhoff_cli.load(path, inputs="gaussian", samples=400).matrices
    product = h[:, 0].astype(float)
    for site in range(1, h.shape[1]):
        product = h[:, site] @ product
    rows = [r for r in compared.table.to_pylist() if r["model"] == "shc.pt"]
    mean = [r["value"] for r in rows if r["panel"] == "mean" and r["kind"] == "composite"]
    assert np.array(mean).reshape(4, 4) == pytest.approx(product.mean(0), abs=1e-12)
    bins = [r for r in rows if r["panel"] == "entries" and r["kind"] == "site"]
    at = bins[0]["entry"], bins[0]["entry"] + 1 / 128
    assert bins[0]["value"] == ((h >= at[0]) & (h < at[1])).mean() > 0
    norms = [r for r in rows if r["metric"] == "spectral_norm" and r["kind"] == "composite"]
    assert norms[-1]["max"] == pytest.approx(np.linalg.norm(product, 2, (1, 2)).max(), rel=1e-9)


def test_models_are_named_by_their_files_or_as_it_is_typed(birkhoff, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "h.npy", np.eye(3)[None])
    np.save(tmp_path / "x=h.npy", np.eye(4)[None])
    words = ("a/h.npy", "b/h.npy", "x=h.npy", "mine=a/h.npy", "--method", "hc", "-n", "9")
    done = birkhoff("compare", *words, "--json", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["models"]
    assert [r["name"] for r in rows] == ["a/h.npy", "b/h.npy", "x=h.npy", "mine", "hc"]
    assert [r["d"] for r in rows] == [3, 3, 4, 3, 3], "a method has the streams of the first path"
    facts = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"birkhoff"])
    assert facts["command"][1:5] == ["h.npy", "h.npy", "x=h.npy", "mine=h.npy"]
    for words, said in (
        (("mine=a/h.npy", "mine=b/h.npy"), "mine is the name of two models"),
        (("a/h.npy", "--layers", "3"), "--layers is for drawn matrices"),
        (("--method", "mhc", "--inputs", "gaussian"), "--inputs is for checkpoints"),
        ((), "there is nothing to compare"),
    ):
        done = birkhoff("compare", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and said in done.stderr


def test_alike_models_are_numbered():
    both = compare.run((GoMHC(3), GoMHC(3)), samples=5).summary["models"]
    assert [row["name"] for row in both] == ["go-mhc:s=2,d=3", "go-mhc:s=2,d=3 (2)"]


def test_drawn_stacks_drift_side_by_side(birkhoff):
    words = ("--method", "mhc:iters=2", "--method", "mhc-lite", "--layers", "5", "-n", "40")
    done = birkhoff("compare", *words, "--json", "--plot", "c.png", "--scale", "4")
    assert done.returncode == 0, done.stderr
    loose, exact = json.loads(done.stdout)["models"]
    assert loose["sites"] == exact["sites"] == 5 and "sums drift in mhc:iters=2." in done.stdout
    assert loose["composite_column_max"] > 1.01 > exact["composite_column_max"]
