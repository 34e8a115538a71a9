"""What every table format keeps: columns, metadata, its magic; no part of a file for the whole."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from birkhoff_cli import provenance, tables
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BirkhoffError, UsageError
from birkhoff_cli.analyses.core.result import at_once
from birkhoff_cli.analyses.core.table import arrow_schema, column
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import of_bytes
from birkhoff_cli.tables import HEAD
from birkhoff_cli.tables._format import TableFormat
from conftest import ROOT

LABEL = Path("table")
SIZES = [(0, 2), (1, 1), (1, 3), (7, 1), (300, 2)]
formats = pytest.mark.parametrize("format", tables.writable(), ids=lambda f: f.name)


def result(rows, d):
    rng = np.random.default_rng(rows)
    schema = (
        column("site", "int32", "a number"),
        column("branch", "string", "a word"),
        column("matrix", f"matrix<float64>[{d}]", "a matrix"),
        column("value", "float64", "a number that may be missing", nullable=True),
    )
    columns = {
        "site": np.arange(rows),
        "branch": np.array([("attn", 'müll, "x"')[k % 2] for k in range(rows)], dtype=str),
        "matrix": rng.standard_normal((rows, d, d)),
        "value": np.where(np.arange(rows) % 3 == 1, np.nan, rng.standard_normal(rows)),
    }
    return at_once(schema, columns, {"headline": 0.5, "none": float("nan")}, title="t")


def write(format, rows=7, d=2, seekable=True):
    made = result(rows, d)
    schema = arrow_schema(made.schema, provenance.stamp("spectrum", made.meta, options={"d": d}))
    sink = io.BytesIO()
    if not seekable:
        sink.seekable = lambda: False
    batches = made.batches(schema)
    format.write(batches, schema, sink, lambda: provenance.footer(made.finish()))
    return sink.getvalue()


def read(format, data):
    with refusing(LABEL):
        stored = format.read(of_bytes(LABEL, data))
        names = list(stored.schema.names)
        batches = [pa.Table.from_batches([b]) for b in stored.batches(names, 100)]
        found = pa.concat_tables(batches) if batches else stored.schema.empty_table()
        assert stored.rows == len(found) and set(names) <= {*stored.names, "matrix"}
        return found


@pytest.mark.parametrize("name", discover.members("birkhoff_cli.tables"))
def test_a_file_defines_one_format(name):
    module = discover.member("birkhoff_cli.tables", name)
    member = discover.class_in(module, TableFormat)
    assert member, f"tables/{name}.py defines no TableFormat; give it a name that begins with _"
    assert member().name == name and member.suffixes
    assert all(s == s.lower() and s.startswith(".") for s in member.suffixes)


def test_a_suffix_is_of_one_format():
    suffixes = [suffix for format in tables.formats() for suffix in format.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@formats
@pytest.mark.parametrize("rows, d", SIZES)
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_what_is_written_is_read(format, rows, d, seekable):
    data = write(format, rows, d, seekable)
    if not data:
        assert rows == 0 and tables.recognise(data) is None
        return
    found = read(format, data)
    assert found.to_pylist() == result(rows, d).table.to_pylist()
    assert found.column_names == ["site", "branch", "matrix", "value"]


@formats
@pytest.mark.parametrize("rows, d", SIZES)
def test_the_same_table_is_the_same_bytes(format, rows, d):
    assert write(format, rows, d) == write(format, rows, d)


@formats
def test_metadata_are_kept_or_said_not_to_be(format, tmp_path):
    path = tmp_path / "named.wrong"
    path.write_bytes(write(format))
    if not format.keeps_metadata:
        with pytest.raises(BirkhoffError, match=f"is {format.name}, which keeps no metadata") as no:
            tables.read(path)
        assert "\n" not in str(no.value)
        return
    table, assumptions = tables.read(path)
    assert assumptions == ()
    assert table.schema.field("value").metadata[b"about"] == b"a number that may be missing"
    facts = provenance.facts(table, path)
    assert facts["schema"] == "spectrum" and facts["meta"] == {"title": "t"}
    assert facts["options"] == {"d": 2} and facts["schema_version"] == provenance.SCHEMA_VERSION
    assert provenance.author(table, path).__name__.endswith("spectrum")


@formats
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_one_format_recognises_a_file_by_its_first_bytes(format, seekable):
    head = write(format, seekable=seekable)[:HEAD]
    assert [f.name for f in tables.formats() if f.recognises(head)] == [format.name]
    assert tables.recognise(head) is format


@formats
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_no_beginning_passes_for_the_whole(format, seekable):
    whole = write(format, 40, seekable=seekable)
    for eighth in range(1, 8):
        cut = whole[: len(whole) * eighth // 8]
        if not format.binary and cut.endswith((b"\n", b"}")):
            cut = cut[:-3]
        with pytest.raises(BirkhoffError):
            read(format, cut)


@formats
def test_a_format_is_binary_or_text(format):
    data = write(format)
    if format.binary:
        assert any(byte > 127 or byte < 9 for byte in data)
    else:
        assert data.decode().endswith("\n") and data.decode().replace("\n", "").isprintable()


@formats
def test_the_suffix_and_the_option_agree(format, birkhoff, tmp_path):
    words = ("sample", "--method", "mhc", "--d", "2", "-n", "3", "-q")
    assert birkhoff(*words, "-o", "x.odd", "--format", format.name).returncode == 0
    for suffix in format.suffixes:
        assert tables.by_suffix(Path(f"x{suffix.upper()}")) is format
        assert birkhoff(*words, "-o", f"y{suffix}").returncode == 0
        made = (tmp_path / f"y{suffix}").read_bytes()
        if not format.keeps_metadata:  # which hold the command line
            assert made == (tmp_path / "x.odd").read_bytes()
        assert tables.recognise(made[:HEAD]) is format


def test_a_name_that_says_nothing_is_refused_with_all_that_do():
    with pytest.raises(UsageError) as refusal:
        tables.by_suffix(Path("x.xlsx"))
    assert all(s in str(refusal.value) for f in tables.writable() for s in f.suffixes)
    assert ".npy" not in str(refusal.value)


def test_small_traces_are_read_without_the_functions_of_pyarrow(birkhoff, tmp_path):
    """pyarrow.compute takes 0.1 s to import, a third of the command."""
    files = [tmp_path / f"t{suffix}" for suffix in (".parquet", ".arrow", ".csv")]
    for file in files:
        assert birkhoff("trace", ROOT / "examples/go-mhc-s2.pt", "-o", file).returncode == 0
    code = (
        "import sys; from pathlib import Path; from birkhoff_cli.matrices import read\n"
        "for file in sys.argv[1:]: assert sum(map(len, read(Path(file)))) == 1\n"
        "assert 'pyarrow' in sys.modules and 'pyarrow.compute' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *files], cwd=ROOT, check=True)


def test_reading_a_checkpoint_imports_no_library_of_tables():
    path = ROOT / "examples" / "hc.pt"
    code = (
        f"import sys; sys.argv = ['birkhoff', 'spectrum', {str(path)!r}, '-q']\n"
        "from birkhoff_cli.app import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert not {'torch', 'pyarrow', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


TSV = '''"""Tab-separated values."""

from birkhoff_cli.tables.csv import Csv


class Tsv(Csv):
    """As CSV, with tabs."""

    suffixes = (".tsv",)

    def recognises(self, head):
        """By a tab in the first line of text."""
        first, _, _ = head.partition(b"\\\\n")
        return b"\\\\t" in first and first.replace(b"\\\\t", b"_").replace(b'"', b"").isascii()

    def may_hold_matrices(self, head, path):
        """As CSV."""
        return super().may_hold_matrices(head.replace(b"\\\\t", b","), path)

    def read(self, content, types=None):
        """As CSV."""
        from birkhoff_cli.content import of_bytes

        commas = content.whole().replace(b"\\t", b",")
        return super().read(of_bytes(content.label, commas), types)

    def write(self, batches, schema, sink, footer):
        """As CSV."""
        import io

        text = io.BytesIO()
        super().write(batches, schema, text, footer)
        sink.write(text.getvalue().replace(b",", b"\\\\t"))
'''


def test_a_new_format_is_one_new_file(tmp_path):
    shutil.copytree(ROOT / "birkhoff_cli", tmp_path / "birkhoff_cli", symlinks=False)
    (tmp_path / "birkhoff_cli" / "tables" / "tsv.py").write_text(TSV.replace("\\\\", "\\"))

    def run(*words, **more):
        env = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        command = [sys.executable, "-m", "birkhoff_cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, **more)

    shown = " ".join(run("spectrum", "--help").stdout.decode().split())
    assert "ndjson, parquet or tsv" in shown and "parquet, safetensors or tsv" in shown
    sample = ("sample", "--method", "mhc", "--d", "2", "-n", "5")
    assert run(*sample, "-o", "a.tsv", "-q").returncode == 0
    assert run(*sample, "-o", "b", "--format", "tsv", "-q").returncode == 0
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "b").read_bytes().count(b"\t") == 6 * 4
    said = run("spectrum", "b", "--json").stdout
    assert json.loads(said)["eigenvalues"] == 10
    piped = run("spectrum", "-", "--json", input=(tmp_path / "b").read_bytes())
    assert json.loads(piped.stdout)["eigenvalues"] == 10
    assert b".pq, .tsv" in run(*sample, "-o", "a.xlsx").stderr
    assert b"is tsv, which keeps no metadata" in run("plot", "a.tsv").stderr
