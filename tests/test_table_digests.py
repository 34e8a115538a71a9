"""A table is what was written, or is refused, or a line says that nothing in it tells."""

import hashlib
import io
import json
import re
from dataclasses import replace

import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import digest, matrices, tables
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError
from birkhoff_cli.analyses.core.table import arrow_schema
from birkhoff_cli.analyses.core.trace import Site, in_memory
from birkhoff_cli.commands import trace as command
from birkhoff_cli.provenance import footer, stamp
from birkhoff_cli.tables import _groups
from test_version_0_1 import DATA

KEEPING = [f for f in tables.writable() if f.keeps_metadata]
keeping = pytest.mark.parametrize("format", KEEPING, ids=lambda f: f.name)
H = np.random.default_rng(0).dirichlet(np.ones(2), (6, 3, 2))
UNSIGNED = "the table is as it was written; it holds no digest of birkhoff's"


def trace_of(h, step=7):
    sites = tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(h.shape[1]))
    meta = {"inputs": [{"name": "ckpt.pt"}], "assumptions": ["it is so"]}
    return replace(in_memory(h, sites, "test", meta=meta), step=step)


def written(format, h=H, seekable=True, group=400):
    made = command.run(trace_of(h))
    schema = arrow_schema(made.schema, stamp("trace", made.meta))
    sink = io.BytesIO()
    if not seekable:
        sink.seekable = lambda: False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_groups, "GROUP_BYTES", group)
        batches = made.batches(schema)
        format.write(batches, schema, sink, lambda: footer(made.finish()))
    return sink.getvalue()


def content_of(path):
    """Numbers, places, step and provenance, or the sentence that refuses them."""
    try:
        trace = matrices.read(path)
        notes = (trace.step, trace.meta["recorded"], trace.meta["assumptions"])
        return trace.matrices.tobytes(), [site[:2] for site in trace.sites], notes
    except BirkhoffError as error:
        assert "\n" not in str(error)
        return None


@keeping
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_every_flipped_bit_is_refused(format, seekable, tmp_path):
    """A flip in the mark itself leaves everything else right, and is said."""
    data = written(format, seekable=seekable)
    path = tmp_path / "t"
    path.write_bytes(data)
    whole = content_of(path)
    assert whole[2] == (7, whole[2][1], ["it is so"])
    mark = digest.MARK.search(data)
    rng = np.random.default_rng(1)
    last = 8 * max(0, len(data) - 3000)
    bits = {*rng.choice(8 * len(data), 500, replace=False), *range(last, 8 * len(data), 19)}
    for bit in sorted(map(int, bits)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if not matrices.recognises(path):
            continue
        found = content_of(path)
        if found is not None:
            assert mark.start() <= bit // 8 < mark.end(), f"bit {bit} is taken"
            assert found[:2] == whole[:2] and found[2][:2] == whole[2][:2]
            assert found[2][2] == [UNSIGNED, "it is so"]


@keeping
def test_the_digest_is_of_all_other_bytes(format, tmp_path):
    """As digest.py documents it, by other code."""
    data = written(format)
    (mark,) = digest.MARK.finditer(data)
    blank = data[: mark.start(1)] + b"0" * 64 + data[mark.end(1) :]
    assert hashlib.sha256(blank).hexdigest().encode() == mark[1]
    path = tmp_path / "t"
    path.write_bytes(data)
    (facts,) = matrices.read(path).meta["inputs"]
    assert facts["sha256"] == hashlib.sha256(data).hexdigest() and facts["size"] == len(data)


@keeping
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_a_mark_is_found_wherever_the_end_begins(format, rows):
    h = np.random.default_rng(0).random((max(rows, 1), 1, 2, 2))
    data = written(format, h, group=1)
    assert digest.read_digest(io.BytesIO(data)).own == "right"


def test_a_foreign_table_is_read_with_one_line(birkhoff, tmp_path):
    frame = polars.DataFrame({"matrix": np.eye(2)[None].repeat(3, 0).tolist()})
    frame.write_parquet(tmp_path / "p.parquet")
    frame.write_ipc(tmp_path / "p.arrow")
    for name in ("p.parquet", "p.arrow"):
        done = birkhoff("spectrum", name, "-o", "s.arrow", "-q")
        assert (done.returncode, done.stderr) == (0, "")
        table, _ = tables.read(tmp_path / "s.arrow")
        facts = json.loads(table.schema.metadata[b"birkhoff"])
        assert facts["meta"]["assumptions"] == [UNSIGNED]
        done = birkhoff("spectrum", name)
        assert done.returncode == 0 and done.stderr == f"birkhoff: assumed: {UNSIGNED}\n"


def test_a_table_that_was_changed_by_its_reader_is_read_with_one_line(birkhoff, tmp_path):
    birkhoff("sample", "--method", "mhc", "--d", "2", "-n", "9", "-o", "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(table[:5], tmp_path / "half.parquet")
    done = birkhoff("spectrum", "half.parquet", "--json")
    assert json.loads(done.stdout)["eigenvalues"] == 10
    assert done.stderr == f"birkhoff: assumed: {UNSIGNED}\n"


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_our_own_tables_need_no_line(format, birkhoff):
    birkhoff("spectrum", "--method", "mhc", "--d", "2", "-n", "9", "-o", f"t.{format}")
    done = birkhoff("plot", f"t.{format}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_plot_says_what_it_assumes(suffix, birkhoff):
    done = birkhoff("plot", DATA / f"spectrum.{suffix}", "--plot", "a.png")
    assert done.returncode == 0 and done.stderr == f"birkhoff: assumed: {UNSIGNED}\n"


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_text_that_may_be_cut_is_said_and_kept(format, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", H)
    birkhoff("trace", "h.npy", "-o", f"t.{format}", "-q")
    rows = (tmp_path / f"t.{format}").read_text().splitlines(keepends=True)
    assert len(rows) == 18 + (format == "csv")
    (tmp_path / f"cut.{format}").write_text("".join(rows[:-3]))
    done = birkhoff("depth-drift", f"cut.{format}", "-o", "d.parquet", "--json")
    assert json.loads(done.stdout)["samples"] == 5
    line = "the file is complete; nothing in it marks its end"
    assert done.stderr.count("\n") == 1 and f"assumed: {line}\n" in done.stderr
    facts = json.loads(pq.read_schema(tmp_path / "d.parquet").metadata[b"birkhoff"])
    assert facts["meta"]["assumptions"] == [line]


def test_a_stream_with_something_behind_it_is_refused(tmp_path):
    sink, table = io.BytesIO(), command.run(trace_of(H)).table
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    (tmp_path / "t").write_bytes(data)
    assert np.array_equal(matrices.read(tmp_path / "t").matrices, H)
    for more in (data, b"x" * 8 + data[-8:]):
        (tmp_path / "t").write_bytes(data + more)
        with pytest.raises(BadInput, match="goes on behind its end"):
            matrices.read(tmp_path / "t")


@keeping
def test_other_programs_read_what_has_a_digest(format, tmp_path):
    path = tmp_path / f"t{format.suffixes[0]}"
    path.write_bytes(written(format))
    read = polars.read_parquet if format.name == "parquet" else polars.read_ipc
    frame = read(path)
    assert len(frame) == 18 and np.array_equal(frame["matrix"].to_numpy().reshape(H.shape), H)
    if format.name == "arrow":
        stream = written(format, seekable=False)
        assert len(pa.ipc.open_stream(stream).read_all()) == 18
        assert len(polars.read_ipc_stream(stream)) == 18


LOOKALIKES = {
    "Sample": ("Sample,site,matrix_0_0\n0,0,1\n1,0,1\n", "'Sample' is none of a trace"),
    "a second site": ("site,sample,site,matrix_0_0\n0,0,1,1\n1,0,0,1\n", "column 'site' twice"),
    "layers": ("layers,site,matrix_0_0\n0,0,1\n0,1,1\n", "'layers' is none of a trace"),
    "a blank": (" site,sample,matrix_0_0\n0,0,1\n0,1,1\n", "' site' is none of a trace"),
    "Matrix": ("site,Matrix_0_0\n0,1\n", "looks like 'matrix_0_0'"),
    "an entry": (
        "matrix_0_0,matrix_0_1,matrix_1_0,Matrix_1_1\n1,0,0,1\n",
        "'Matrix_1_1' is none of a trace and looks like 'matrix_0_0'",
    ),
    "zeros": ("site,matrix_0_0,matrix_0_00\n0,1,2\n", "'matrix_0_00'"),
}


@pytest.mark.parametrize("text, said", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_column_that_looks_like_another_is_named(text, said, birkhoff, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    done = birkhoff("depth-drift", "t.csv")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1) and said in done.stderr


def test_columns_that_look_like_none_are_left_out(birkhoff, tmp_path):
    (tmp_path / "t.csv").write_text("note,sample_id,loss,matrix_0_0\na,5,0.5,1\nb,6,0.5,1\n")
    done = birkhoff("spectrum", "t.csv", "--json")
    assert json.loads(done.stdout)["eigenvalues"] == 2


@pytest.mark.parametrize("suffix", ["ndjson", "parquet"])
def test_a_misspelt_column_of_another_format_is_named(suffix, birkhoff, tmp_path):
    row = {"Site": 0, "matrix": [[1.0]]}
    if suffix == "ndjson":
        (tmp_path / "t.ndjson").write_text(json.dumps(row) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
    done = birkhoff("spectrum", f"t.{suffix}")
    assert done.returncode == 3 and "'Site' is none of a trace" in done.stderr
    assert re.search("rename it, or leave it out", done.stderr)
