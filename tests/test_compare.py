"""Several methods side by side: the numbers are those of the single commands."""

import json

import numpy as np
import pytest

from birkhoff_cli.analyses import compare
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.source import Draws
from birkhoff_cli.analyses.geometry.hypocycloids import Support
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.analyses.parameterizations.kromhc import KromHC
from birkhoff_cli.analyses.parameterizations.mhc_lite import MHCLite


def run(*methods, n=2000, **more):
    return compare.run(methods, draws=Draws(samples=n), **more)


@pytest.mark.parametrize("probe", ["targets", "sample"])
def test_every_method_has_both_panels(probe):
    result = run(GoMHC(3, s=1), MHCLite(3), GoMHC(2), probe=probe)
    table = result.table
    rows = [(r["method"], r["panel"]) for r in table.select(["method", "panel"]).to_pylist()]
    assert rows.count((0, "reach")) == rows.count((1, "reach")) == 2 * 2000
    assert rows.count((0, "projection")) == rows.count((1, "projection")) == 2000
    assert rows.count((2, "projection")) == 0, "two streams have no cycle that spans a plane"
    listed = result.summary["methods"]
    assert [m["method"].split(",")[0] for m in listed] == ["go-mhc", "mhc-lite", "go-mhc"]
    assert listed[0]["projection_exact"] == pytest.approx(0.5374220338)
    assert listed[1]["coverage"] > 0 and listed[2]["projection_exact"] is None


def test_points_of_go_mhc_stay_in_their_exact_support():
    table = run(GoMHC(3, s=2), probe="sample").table
    shown = np.array(table["panel"].to_pylist()) == "projection"
    re, im = (table[name].to_numpy()[shown] for name in ("re", "im"))
    assert Support("scallops", 3, 2).outside(re, im, 1e-9) == 0


def test_another_method_does_not_change_the_numbers_of_the_first():
    alone = run(GoMHC(4)).summary["methods"][0]
    beside = run(GoMHC(4), KromHC(4), n=2000).summary["methods"][0]
    assert alone == beside


def test_the_picture_knows_what_it_needs_from_the_table():
    meta = json.loads(run(GoMHC(3)).table.schema.metadata[b"birkhoff"])["meta"]
    assert meta["methods"][0]["support"]["shape"] == "scallops"


def test_nothing_to_compare():
    with pytest.raises(UsageError, match="--method NAME"):
        run()


def test_words_become_methods(birkhoff, tmp_path):
    words = ("--method", "go-mhc:s=1", "--method", "kromhc:factors=2x2", "-n", "300")
    done = birkhoff("compare", *words, "--json", "--plot", "c.png")
    assert done.returncode == 0 and done.stderr == ""
    names = [m["method"] for m in json.loads(done.stdout)["methods"]]
    assert names[0].startswith("go-mhc, d = 4, s = 1") and "factors = (2, 2)" in names[1]
    assert (tmp_path / "c.png").stat().st_size > 10_000
    for wrong in ("go-mhc:q=1", "go-mhc:s=two", "go-mhc:s", "nope", "go-mhc:iters=3"):
        done = birkhoff("compare", "--method", wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
