"""`birkhoff trace`: its table, in every format, and as good as the checkpoint."""

import json

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import files
from birkhoff_cli import checkpoints, matrices
from birkhoff_cli.analyses.core.errors import BadInput

UNSIGNED = "the table is as it was written; it holds no digest of birkhoff's"


@pytest.fixture
def stacked(tmp_path, rng):
    """More than a block of matrices, in an array: every block is 6,510 samples."""
    h = rng.random((20_000, 12, 2, 2), dtype=np.float32)
    np.save(tmp_path / "h.npy", h)
    return h


def sums(h):
    exact = h.astype(np.float64)
    return {
        "row_error_max": np.abs(exact.sum(-1) - 1).max(),
        "column_error_max": np.abs(exact.sum(-2) - 1).max(),
    }


def test_the_summary_counts_and_measures(birkhoff, stacked):
    found = json.loads(birkhoff("trace", "h.npy", "--json").stdout)
    expected = {"samples": 20_000, "sites": 12, "d": 2, **sums(stacked)}
    assert {key: found[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_the_table_is_the_documented_one(format, birkhoff, stacked, tmp_path):
    assert birkhoff("trace", "h.npy", "-o", f"t.{format}").returncode == 0
    path = tmp_path / f"t.{format}"
    table = pq.read_table(path) if format == "parquet" else pa.ipc.open_file(path).read_all()
    assert {field.name: field.type for field in table.schema} == {
        "sample": pa.int64(),
        "site": pa.int32(),
        "layer": pa.int32(),
        "branch": pa.string(),
        "matrix": pa.list_(pa.list_(pa.float32(), 2), 2),
    }
    sample, site = np.indices(stacked.shape[:2]).reshape(2, -1)
    assert np.array_equal(table["sample"], sample) and np.array_equal(table["site"], site)
    trace = matrices.read(path)
    assert trace.dtype == "f4" and np.array_equal(trace.matrices, stacked)


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson"])
def test_a_trace_of_a_trace_is_the_same_trace(format, birkhoff, rng, tmp_path):
    h = rng.random((50, 3, 3, 3))
    np.save(tmp_path / "h.npy", h)
    piped = birkhoff("trace", "h.npy", "-o", "-", "--format", format, "-q", text=False).stdout
    again = birkhoff("trace", "-", "-o", "t.arrow", "-q", input=piped, text=False)
    assert again.returncode == 0
    assert matrices.read(tmp_path / "t.arrow").matrices.tobytes() == h.tobytes()


def test_duckdb_and_polars_read_the_matrices_as_arrays(birkhoff, stacked, tmp_path):
    birkhoff("trace", "h.npy", "-o", "t.parquet")
    frame = polars.read_parquet(tmp_path / "t.parquet")
    assert np.array_equal(frame["matrix"].to_numpy(), stacked.reshape(-1, 2, 2))
    rows = duckdb.sql(f"select matrix from '{tmp_path / 't.parquet'}' where sample = 19999")
    assert np.array_equal(np.array(rows.fetchall(), "f4")[:, 0], stacked[-1])


def test_a_trace_stands_for_its_checkpoint(birkhoff, tmp_path):
    path = files.torch_file(tmp_path / "ckpt.pt", extra={"iter_num": files.number(7)})
    said = birkhoff("trace", path, "-o", "t.parquet").stderr
    model, trace = checkpoints.read(path).trace(), matrices.read(tmp_path / "t.parquet")
    assert np.array_equal(trace.matrices, model.matrices) and trace.dtype == model.dtype
    assert [s[:2] for s in trace.sites] == [s[:2] for s in model.sites]
    assert trace.step == model.step == 7
    assert trace.meta["recorded"]["inputs"] == model.meta["inputs"]
    assert trace.meta["assumptions"] == model.meta["assumptions"] and "assumed: " in said
    assert birkhoff("spectrum", "t.parquet", "-q").returncode == 0


def test_notes_of_another_hand_are_only_text(tmp_path):
    table = pa.table({"matrix": [np.eye(2).tolist()]})
    for note in (b"{", b"[]", b'{"meta": 1}', b'{"meta": {"step": "7", "assumptions": {}}}'):
        pq.write_table(table.replace_schema_metadata({"birkhoff": note}), tmp_path / "t.parquet")
        trace = matrices.read(tmp_path / "t.parquet")
        assert trace.step is None and trace.meta["assumptions"] == [UNSIGNED]
    note = json.dumps({"meta": {"step": 3, "assumptions": ["\x1b[2J" + "x" * 999]}})
    pq.write_table(table.replace_schema_metadata({"birkhoff": note}), tmp_path / "t.parquet")
    trace = matrices.read(tmp_path / "t.parquet")
    assert trace.step == 3
    first, assumed = trace.meta["assumptions"]
    assert first == UNSIGNED
    assert assumed.isprintable() and len(assumed) <= 300


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_matrix_that_is_not_finite_leaves_no_file(suffix, birkhoff, stacked, tmp_path):
    stacked[19_000, 3, 0, 0] = np.nan
    np.save(tmp_path / "h.npy", stacked)
    before = sorted(tmp_path.iterdir())
    done = birkhoff("trace", "h.npy", "-o", f"t.{suffix}")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "sample 19000 holds NaN" in done.stderr and sorted(tmp_path.iterdir()) == before


def test_the_input_is_not_overwritten(birkhoff, tmp_path):
    birkhoff("sample", "--method", "identity", "-n", "3", "-o", "t.parquet")
    before = (tmp_path / "t.parquet").read_bytes()
    done = birkhoff("trace", "t.parquet", "-o", "t.parquet")
    assert done.returncode == 5 and (tmp_path / "t.parquet").read_bytes() == before


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson"])
def test_of_a_series_one_step_is_a_trace(format, birkhoff, tmp_path):
    for step in (5, 30):
        files.torch_file(tmp_path / f"{step}.pt", extra={"iter_num": files.number(step)})
    words = ("trace", "5.pt", "30.pt", "-q", "-o", "-", "--format", format)
    piped = birkhoff(*words, text=False).stdout
    done = birkhoff("spectrum", "-", input=piped, text=False)
    assert done.returncode == 3 and b"holds several training steps" in done.stderr
    (tmp_path / f"all.{format}").write_bytes(piped)
    for step in (5, 30):
        model = checkpoints.read(tmp_path / f"{step}.pt").trace()
        found = matrices.read(tmp_path / f"all.{format}#step={step}")
        assert found.step == step and np.array_equal(
            found.matrices.astype(np.float32), model.matrices
        )
    with pytest.raises(BadInput, match="has no step 7; its steps: 5, 30"):
        matrices.read(tmp_path / f"all.{format}#step=7")
    done = birkhoff("trace", f"all.{format}#step=5", "-o", f"all.{format}")
    assert done.returncode == 5 and "is the input as well" in done.stderr


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson"])
def test_a_trace_of_a_series_is_the_series(format, birkhoff, tmp_path):
    for step in (5, 30):
        files.torch_file(tmp_path / f"{step}.pt", extra={"iter_num": files.number(step)})
    assert birkhoff("trace", "5.pt", "30.pt", "-q", "-o", f"all.{format}").returncode == 0
    for command in ("degeneration", "depth-drift"):
        done = birkhoff(command, f"all.{format}", "--json")
        assert done.returncode == 0, done.stderr
        assert [row["step"] for row in json.loads(done.stdout)["steps"]] == [5, 30]
        if format in ("parquet", "arrow"):  # text has the digits of float32, read as float64
            assert done.stdout == birkhoff(command, "5.pt", "30.pt", "--json").stdout
    again = birkhoff("trace", f"all.{format}", "-q", "-o", "again.parquet")
    assert again.returncode == 0, again.stderr
    assert matrices.list_steps(tmp_path / "again.parquet") == (5, 30)
    done = birkhoff("inspect", f"all.{format}")
    assert done.returncode in (3, 4) and "#step" not in done.stderr and "no such" not in done.stderr
    alone = birkhoff("depth-drift", f"all.{format}#step=30", "--json")
    assert alone.returncode == 0 and "steps" not in json.loads(alone.stdout)


@pytest.mark.parametrize("words", [("trace", "h.npy"), ("sample", "--method", "hc", "-n", "2")])
def test_rows_that_are_not_kept_are_not_lost_in_silence(words, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.eye(3))
    note = "birkhoff: no row was kept; say -o FILE, or -o - --format csv"
    for flags, said in (((), 1), (("-o", "t.csv"), 0), (("-q",), 0)):
        done = birkhoff(*words, *flags)
        assert done.returncode == 0 and done.stderr.splitlines().count(note) == said
