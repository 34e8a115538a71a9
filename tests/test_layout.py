"""Tables as text: no token is broken, and what does not fit is left out and said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birkhoff_cli import layout

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12)
CELLS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    width=st.integers(10, 90),
)
def test_every_token_stands_whole_or_its_column_is_named(rows, width):
    heads = [f"h{k}" for k in range(len(rows[0]))]
    table = layout.grid(heads, rows, width)
    text = " ".join(" ".join(table.lines).split())
    shown = [k for k, head in enumerate(heads) if head not in table.left_out]
    assert shown and set(table.left_out) <= {*heads}
    for row in rows:
        for k in shown:
            for token in row[k].split():
                assert token in text.split()
    longest = max(len(token) for row in rows for k in shown for token in row[k].split())
    assert max(map(len, table.lines)) <= max(width, longest)


def test_all_columns_stand_in_a_pipe():
    rows = [["a" * 200, "some words " * 30]] * 3
    table = layout.grid(["x", "y"], rows, None)
    assert len(table.lines) == 4 and not table.left_out
    assert layout.wrap("word " * 100, None) == "word " * 100


def test_the_width_that_is_named_is_enough():
    heads = [f"column {k}" for k in range(9)]
    rows = [[f"{k}.123456789" for k in range(9)]] * 2
    narrow = layout.grid(heads, rows, 60)
    assert narrow.left_out and max(map(len, narrow.lines)) <= 60
    wide = layout.grid(heads, rows, narrow.width)
    assert not wide.left_out and len(wide.lines[-1]) == narrow.width


NARROW, PIPE = {"COLUMNS": "50"}, {"COLUMNS": ""}
COMMAND = ("depth-drift", "--method", "mhc", "--layers", "2", "-n", "4")


def test_columns_that_do_not_fit_are_counted_and_named(birkhoff):
    words = (*COMMAND, "--table")
    narrow, pipe = (birkhoff(*words, env=env).stdout for env in (NARROW, PIPE))
    assert max(map(len, narrow.splitlines())) <= 50
    said = re.search(
        r"(\d+) of 15 columns do not fit: (.*); COLUMNS=(\d+) shows", " ".join(narrow.split())
    )
    assert int(said[1]) == len(said[2].split(",")) > 3
    wide = birkhoff(*words, env={"COLUMNS": said[3]}).stdout
    assert "do not fit" not in wide and "do not fit" not in pipe
    assert max(map(len, pipe.splitlines())) > 100


def test_the_rows_are_shown_and_counted(birkhoff, tmp_path):
    done = birkhoff("spectrum", "--method", "go-mhc", "-n", "25", "--table", "-o", "t.csv")
    assert "60 more rows" in done.stdout and len((tmp_path / "t.csv").read_text().split()) == 101
    rows = done.stdout[done.stdout.index("\nrows\n") :].splitlines()
    assert (
        len([line for line in rows if len(line.split()) == 4 and line.split()[0].isdigit()]) == 40
    )
    sample = birkhoff("sample", "--method", "go-mhc", "-n", "2", "--table", "matrices").stdout
    assert len(sample[sample.index("\nrows\n") :].split()) == 2 + 1 + 2 * (1 + 16)
    fit = ("fit", "--method", "go-mhc", "--epochs", "2", "--targets", "2")
    shown = birkhoff(*fit, "--table", "matrices").stdout
    assert "\nrows\n" in shown and "\nrows\n" not in birkhoff(*fit).stdout


@pytest.mark.parametrize("words", [("--json",), ("-o", "-")])
def test_rows_and_another_standard_output_are_refused(words, birkhoff):
    done = birkhoff(*COMMAND, "--table", *words)
    assert (done.returncode, done.stdout) == (2, "") and "both want standard output" in done.stderr


def test_what_is_null_or_one_by_construction_takes_no_line(birkhoff):
    words = ("depth-drift", "--method", "kromhc", "--layers", "2", "-n", "4")
    shown = birkhoff(*words).stdout.splitlines()
    (line,) = (line for line in shown if line.startswith("1 by construction"))
    assert "composite row min" in line and not [x for x in shown if x.startswith("composite row")]
    assert not any(line.endswith(" -") for line in shown)
