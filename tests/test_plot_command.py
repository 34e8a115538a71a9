"""A figure drawn again from its table is the same figure."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_the_table_alone_gives_the_same_figure(suffix, birkhoff, tmp_path):
    """As every analysis does on its examples, in test_analyses.py."""
    words, table = ("--method", "go-mhc", "-n", "50"), f"t.{suffix}"
    assert birkhoff("spectrum", *words, "-o", table, "--plot", "first.png").returncode == 0
    done = birkhoff("plot", table, "--json")
    assert json.loads(done.stdout)["figure"] == "t.png"
    assert (tmp_path / "t.png").read_bytes() == (tmp_path / "first.png").read_bytes()


def test_a_series_is_drawn_step_by_step(birkhoff, checkpoints, tmp_path):
    path = checkpoints / "series_mhc_n4"
    done = birkhoff("depth-drift", path, "-o", "t.parquet", "--plot", "a.png", "--json")
    assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [1, 50, 100, 400]
    assert pq.read_table(tmp_path / "t.parquet")["step"].unique().to_pylist() == [1, 50, 100, 400]
    assert birkhoff("plot", "t.parquet").returncode == 0
    assert (tmp_path / "t.png").read_bytes() == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize(
    "kind, code, said",
    [
        ("text", 3, "is csv, which keeps no metadata"),
        ("letter", 3, "is no table; give a table that 'birkhoff ... -o' wrote as .arrow or .parq"),
        ("foreign", 3, "was not written by birkhoff"),
        ("no figure", 4, "'sample' has no figure"),
        ("other version", 4, "of version 9, which this version cannot draw"),
        ("cut", 3, "t.parquet"),
        ("absent", 3, "t.parquet"),
        ("name", 2, "a figure ends in"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(kind, code, said, birkhoff, tmp_path):
    path, words = tmp_path / "t.parquet", ("plot", "t.parquet")
    if kind == "text":
        path.write_text("sample,re\n")
    elif kind == "letter":
        path.write_text("Dear all!\n")
    elif kind == "foreign":
        pq.write_table(pa.table({"re": [1.0]}), path)
    elif kind == "other version":
        facts = {"schema": "spectrum", "version": "9", "meta": {}}
        table = pa.table({"re": [1.0]}).replace_schema_metadata({"birkhoff": json.dumps(facts)})
        pq.write_table(table, path)
    elif kind == "name":
        words = ("plot", "t.parquet", "--plot", "t.doc")
    elif kind != "absent":
        birkhoff("sample", "--method", "identity", "-n", "3", "-o", path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    before = sorted(tmp_path.iterdir())
    done = birkhoff(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "title, code", [("$x_{$", 3), ("$$", 3), ("\x1b[2J", 0), ("[red]a[/red]", 0)]
)
def test_a_title_of_another_hand(title, code, birkhoff, tmp_path):
    birkhoff("depth-drift", "--method", "mhc", "-n", "5", "--layers", "2", "-o", "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    facts = json.loads(table.schema.metadata[b"birkhoff"])
    facts["meta"]["title"] = title
    changed = table.replace_schema_metadata({"birkhoff": json.dumps(facts)})
    pq.write_table(changed, tmp_path / "t.parquet")
    done = birkhoff("plot", "t.parquet", "-q")
    assert (done.returncode, done.stderr.count("\n")) == (code, code // 3)
    assert (tmp_path / "t.png").exists() == (code == 0)
