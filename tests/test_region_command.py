"""``birkhoff region``: the table, the summary, the picture, and what it refuses."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from birkhoff_cli.analyses import region, regions
from birkhoff_cli.analyses.core.errors import TooLarge, UsageError


def test_one_region_is_a_closed_curve_with_its_area():
    result = region.run(kind="karpelevic", d="4", points=9)
    table, summary = result.table, result.summary
    assert summary == {
        "kind": "karpelevic",
        "d": 4,
        "area": pytest.approx(2.1480384897, abs=1e-10),
        "proven": "proven",
        "proven_by": regions.load("karpelevic")(4).proven_by,
    }
    assert table.column_names == ["d", "kind", "piece", "t", "re", "im"]
    z = (table["re"].to_numpy() + 1j * table["im"].to_numpy()).reshape(-1, 9)
    assert np.array_equal(table["piece"].to_numpy(), np.repeat(np.arange(len(z)), 9))
    assert np.array_equal(table["t"].to_numpy(), np.tile(np.linspace(0, 1, 9), len(z)))
    assert len(z) == 6  # neighbouring roots of unity: 1, i, 120 degrees, -1, and back
    assert np.array_equal(z[1:, 0], z[:-1, -1]) and z[0, 0] == z[-1, -1] == 1
    assert (np.diff(np.unwrap(np.angle(z.ravel()))) >= 0).all()
    assert set(table["d"].to_pylist()) == {4} and set(table["kind"].to_pylist()) == {"karpelevic"}


def test_the_whisker_is_there():
    table = region.run(kind="karpelevic", d="3", points=2).table
    corners = table["re"].to_numpy()[::2]
    assert corners == pytest.approx([1, -0.5, -0.5, -1, -0.5, -0.5])


def test_several_regions_are_rows_of_the_summary():
    result = region.run(kind="karpelevic, perfect-mirsky", d="5,2,5")
    rows = result.summary["regions"]
    assert [(r["d"], r["kind"]) for r in rows] == [
        (d, kind) for d in (5, 2) for kind in ("karpelevic", "perfect-mirsky")
    ]
    assert all(r["area"] == regions.load(r["kind"])(r["d"]).area for r in rows)
    assert rows[1]["proven"] == "low by 2.1e-4"


def test_every_region_is_drawn_and_the_unit_disk_keeps_its_name():
    figure = Figure()
    table = region.run(kind=",".join(regions.names()), d="2,5").table
    region.draw(table, figure)
    words = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert [w.partition(":")[0] for w in words[:2]] == ["unit disk", "Karpelevic"]  # outer first
    assert len(words) == len(regions.names())
    assert region.run(kind="unit disk").summary == region.run(kind="unit-disk").summary
    assert "unit disk" in table["kind"].to_pylist()


def test_help_lists_every_region_with_its_headline(birkhoff):
    help_text = birkhoff("region", "--help").stdout.replace("\u2502", " ")  # the box around it
    help_text = " ".join(help_text.split())
    for name in regions.names():
        assert f"{name}: {regions.headline(name)[:-1]}" in help_text


@pytest.mark.parametrize(
    "words, said",
    [
        ({"d": "0"}, "--d 0"),
        ({"d": "-3"}, "expected 1 to 100"),
        ({"d": "101"}, "expected 1 to 100"),
        ({"d": "four"}, "--d 2,3,4,5"),
        ({"d": "2,,3"}, "no list"),
        ({"d": "9" * 5000}, "no list"),
        ({"kind": "karpelevich"}, "did you mean 'karpelevic'"),
        ({"kind": "disk"}, "known: " + ", ".join(regions.names())),
        ({"points": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        region.run(**words)


def test_too_many_points_are_refused():
    with pytest.raises(TooLarge, match="points on each of"):
        region.run(points=10**12)


def test_the_picture_has_a_panel_for_every_d_and_a_legend_with_areas():
    figure = Figure()
    region.draw(
        region.run(kind="karpelevic,doubly-stochastic,perfect-mirsky", d="1,3,5").table, figure
    )
    assert [axes.get_title() for axes in figure.axes] == ["d = 1", "d = 3", "d = 5"]
    words = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert words == [
        "Karpelevic:\narea 2.57063, proven",
        "doubly stochastic:\narea 2.49957, lower bound",
        "Perfect-Mirsky:\narea 2.49904, low by 2.1e-4",
    ]
    assert len(figure.axes[2].child_axes) == 1 and not figure.axes[1].child_axes  # the exception


def test_unused_panels_are_empty_and_many_sides_are_drawn():
    figure = Figure()
    region.draw(region.run(kind="perfect-mirsky", d="2,3,4,5,30", points=2).table, figure)
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False] * 3


def test_as_typed(birkhoff, tmp_path):
    words = ("region", "--kind", "doubly-stochastic", "--d", "5", "--points", "5")
    done = birkhoff(*words, "--json", "-o", "a.parquet", "--plot", "a.png")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["kind"] == "doubly-stochastic" and said["d"] == 5
    assert said["area"] == pytest.approx(2.4995665, abs=5e-8) and said["proven"] == "lower bound"
    table = pq.read_table(tmp_path / "a.parquet")
    assert len(table) == 5 * (table["piece"][-1].as_py() + 1)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    refused = birkhoff("region", "--d", "0")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
