"""The command line as a user types it: what comes out, where, and with which exit code."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

GO = ("--method", "go-mhc")
SMALL = ("spectrum", *GO, "-n", "50")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["nope"], 2, "depth-drift, "),
        (["spectrm"], 2, "did you mean 'spectrum'"),
        (["spectrum"], 2, "give a checkpoint, or --method"),
        (["spectrum", "--method", "nope"], 2, "known: averaged-go-mhc"),
        (["spectrum", "--method", "go-mch"], 2, "did you mean 'go-mhc'"),
        (["spectrum", *GO, "--iters", "3"], 2, "go-mhc has no --iters; it has --field, --s"),
        (["spectrum", "--method", "identity", "--s", "3"], 2, "no options but --d"),
        (["spectrum", *GO, "--nope", "3"], 2, "has no --nope"),
        (["spectrum", *GO, "--d", "0"], 2, "d = 0"),
        (["spectrum", *GO, "--d", "four"], 2, "--d: 'four' is not a whole number"),
        (["spectrum", *GO, "--s", "0"], 2, "s = 0"),
        (["spectrum", *GO, "--field", "quaternion"], 2, "quaternion"),
        (["spectrum", *GO, "-n", "0"], 2, "expected at least 1"),
        (["spectrum", *GO, "-n", str(10**30)], 2, "1,099,511,627,776 at most"),
        (["spectrum", *GO, "--scale", "nan"], 2, "--scale nan"),
        (["spectrum", *GO, "--seed", "-1"], 2, "--seed -1"),
        (["spectrum", *GO, "--resolution", "0"], 2, "--resolution 0"),
        (["spectrum", *GO, "--draw", "polytope"], 2, "known: uniform, gaussian, init, haar"),
        (["spectrum", *GO, "--draw", "haar", "--scale", "2"], 2, "has no --scale"),
        (["sample", "--method", "kromhc", "--d", "6", "--factors", "2,2"], 2, "such as 2,3"),
        (["sample", "--method", "kromhc", "--factors", "two"], 2, "say 2,2 or 2x2"),
        (["sample", "--method", "mhc", "--tau", "0"], 2, "tau = 0"),
        (["sample"], 2, "--method is missing"),
        (["depth-drift", *GO, "--layers", "0"], 2, "--layers 0"),
        (["spectrum", "absent.pt"], 3, "absent.pt"),
        (["inspect", "absent.pt"], 3, "absent.pt"),
        (["spectrum", "absent.pt", "-n", "3"], 2, "--samples has no meaning with --inputs static"),
        (["inspect", "absent.pt", "--set", "iters"], 2, "--set iters=20"),
        (["sample", "--method", "mhc-lite", "--d", "9"], 6, "362,880 permutation"),
        (["sample", *GO, "--d", "200000"], 6, "GiB"),
        ([*SMALL, "-o", "x.foo"], 2, "names no table format"),
        ([*SMALL, "--plot", "x.foo"], 2, "a figure ends in"),
        ([*SMALL, "-o", "absent/x.parquet"], 5, "there is no directory"),
        ([*SMALL, "-o", "."], 5, "is a directory"),
        ([*SMALL, "-o", "-", "--json"], 2, "both want standard output"),
        ([*SMALL, "--format", "csv"], 2, "say -o too"),
        ([*SMALL, "-o", "-", "--format", "xlsx"], 2, "known: arrow, csv, ndjson, parquet"),
    ],
)
def test_a_mistake_gets_its_exit_code_and_one_line_and_leaves_nothing(
    words, code, said, birkhoff, tmp_path
):
    done = birkhoff(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("birkhoff: ") and done.stderr.count("\n") == 1
    assert said in done.stderr and len(done.stderr) < 400
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("d", [1, 2, 25, 64])
def test_methods_are_listed_for_any_d(d, birkhoff, tmp_path):
    assert birkhoff("methods", "--d", d, "-o", "m.csv").returncode == 0
    rows = pyarrow.csv.read_csv(tmp_path / "m.csv").to_pylist()
    learned = {row["method"]: row["parameters"] for row in rows}
    assert learned["hc"] == 2 * d * d and (learned["mhc-lite"] in (None, math.factorial(d)))


def test_no_gpu_is_said(birkhoff):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = birkhoff(*SMALL, "--device", "cuda")
    assert done.returncode == 4 and "--device cpu" in done.stderr and done.stderr.count("\n") == 1


def test_json_is_one_object_with_the_documented_keys(birkhoff):
    keys = {
        "spectrum": "coverage outside_fraction region area_reached area_region resolution "
        "eigenvalues",
        "sample": "method d samples row_error_max column_error_max entry_min",
        "depth-drift": "layers sites samples column_error_max row_error_max composite_column_min "
        "composite_column_max composite_row_min composite_row_max composite_spectral_norm_max "
        "amax_forward_max amax_backward_max",
    }
    for command, expected in keys.items():
        done = birkhoff(command, *GO, "-n", "20", "--json")
        assert done.returncode == 0 and done.stderr == ""
        assert set(expected.split()) <= json.loads(done.stdout).keys()
    methods = json.loads(birkhoff("methods", "--json").stdout)["methods"]
    assert {"go-mhc", "mhc", "be-hc"} <= {row["method"] for row in methods}


def test_every_format_says_the_same(birkhoff, tmp_path):
    for name in ("a.parquet", "a.arrow", "a.csv", "a.ndjson"):
        assert birkhoff(*SMALL, "-o", name).returncode == 0
    parquet = pq.read_table(tmp_path / "a.parquet", page_checksum_verification=True)
    arrow = pa.ipc.open_file(tmp_path / "a.arrow").read_all()
    csv = pyarrow.csv.read_csv(tmp_path / "a.csv")
    ndjson = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
    assert parquet.equals(arrow) and parquet.to_pylist() == ndjson == csv.to_pylist()
    assert parquet.schema.names == ["sample", "index", "re", "im"] and len(parquet) == 200


def test_files_say_how_they_were_made(birkhoff, tmp_path):
    birkhoff(*SMALL, "--s", "3", "--seed", "5", "-o", "a.parquet")
    facts = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"birkhoff"])
    assert facts["schema"] == "spectrum" and facts["schema_version"] == 1
    words = ["--samples", "50", "--seed", "5"]
    assert sorted(facts["command"]) == sorted(["spectrum", *GO, "--s", "3", *words])
    assert facts["options"]["seed"] == 5 and "x_out[i] = sum_j" in facts["orientation"]
    footer = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert footer[b"birkhoff.complete"] == b"true"
    assert json.loads(footer[b"birkhoff.summary"])["eigenvalues"] == 200
    field = pq.read_schema(tmp_path / "a.parquet").field("re")
    assert b"real part" in field.metadata[b"about"]


def test_the_same_command_gives_the_same_bytes(birkhoff, tmp_path):
    made = []
    for _ in range(2):
        birkhoff(*SMALL, "-o", "a.parquet", "--plot", "a.png")
        made.append([(tmp_path / n).read_bytes() for n in ("a.parquet", "a.png")])
        birkhoff(*SMALL, "--plot", "a.svg")
        made[-1].append((tmp_path / "a.svg").read_bytes())
    assert made[0] == made[1]


def test_standard_output_carries_the_table_and_the_summary_moves(birkhoff):
    done = birkhoff(*SMALL, "-o", "-", text=False)
    assert pq.read_table(io.BytesIO(done.stdout)).num_rows == 200
    assert b"coverage" in done.stderr
    stream = birkhoff(*SMALL, "-o", "-", "--format", "arrow", "-q", text=False)
    assert pa.ipc.open_stream(stream.stdout).read_all().num_rows == 200 and stream.stderr == b""


def test_tables_are_read_by_duckdb_and_polars(birkhoff, tmp_path):
    birkhoff("sample", *GO, "-n", "7", "--d", "3", "-o", "m.parquet")
    file = tmp_path / "m.parquet"
    first = (
        duckdb.connect()
        .execute(f"select matrix[1][2] from '{file}' order by sample")
        .fetchall()[0][0]
    )
    matrix = polars.read_parquet(file)["matrix"].to_numpy()
    assert matrix.shape == (7, 3, 3) and first == matrix[0, 0, 1]
    assert np.abs(matrix.sum(1) - 1).max() < 1e-14


def test_a_figure_is_drawn_in_every_format(birkhoff, tmp_path):
    for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert birkhoff("depth-drift", *GO, "-n", "5", "--plot", f"a{suffix}", "-q").returncode == 0
        assert (tmp_path / f"a{suffix}").read_bytes().startswith(magic)


def test_what_was_assumed_can_be_set_wherever_a_checkpoint_is_read(birkhoff, checkpoints):
    path = checkpoints / "mhclite_mhc_n4" / "ckpt.pt"
    assumed = birkhoff("depth-drift", path, "--json")
    settled = birkhoff("depth-drift", path, "--set", "iters=200", "--json")
    assert "sinkhorn iterations 20" in assumed.stderr and settled.stderr == ""
    errors = [json.loads(done.stdout)["row_error_max"] for done in (assumed, settled)]
    assert errors[1] < 1e-5 < errors[0]
    assert birkhoff("spectrum", *GO, "--set", "iters=3").returncode == 2


def test_environment_variables_set_defaults(birkhoff):
    words = ("sample", *GO, "-n", "3", "-o", "-", "--format", "ndjson", "-q")
    env = {"BIRKHOFF_SEED": "7", "BIRKHOFF_ITERS": "3"}  # a default of another method does no harm
    assert birkhoff(*words, env=env).stdout == birkhoff(*words, "--seed", "7").stdout


def test_nothing_is_read_from_the_current_directory(birkhoff, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 40\n")
    birkhoff(*SMALL, "--plot", "a.png", "-q")
    with_settings = (tmp_path / "a.png").read_bytes()
    (tmp_path / "matplotlibrc").unlink()
    birkhoff(*SMALL, "--plot", "a.png", "-q")
    assert (tmp_path / "a.png").read_bytes() == with_settings


def test_version_and_help(birkhoff):
    assert birkhoff("--version").stdout.startswith("birkhoff 0.")
    for command in ("spectrum", "sample", "depth-drift", "inspect", "methods"):
        done = birkhoff(command, "--help")
        assert done.returncode == 0 and f"birkhoff {command}" in done.stdout and done.stderr == ""
    assert "--tau" not in birkhoff("spectrum", "--help").stdout  # options of methods, if named
    assert "--tau" in birkhoff("spectrum", "--method", "mhc", "--help").stdout


def test_verbose_explains_the_columns_on_standard_error(birkhoff):
    done = birkhoff(*SMALL, "-v")
    assert "real part of the eigenvalue" in done.stderr and "coverage" in done.stdout


def test_a_failed_command_keeps_the_old_file(birkhoff, tmp_path):
    old = tmp_path / "a.parquet"
    old.write_bytes(b"old")
    assert birkhoff("spectrum", *GO, "--s", "0", "-o", "a.parquet").returncode == 2
    assert old.read_bytes() == b"old" and list(tmp_path.iterdir()) == [old]


def test_a_full_disk_is_said(birkhoff):
    with Path("/dev/full").open("wb") as full:
        for words in (("-o", "-"), ("--json",)):
            done = birkhoff(*SMALL, *words, stdout=full)
            assert done.returncode == 5 and "No space left" in done.stderr
            assert "Traceback" not in done.stderr


def test_a_closed_pipe_ends_quietly(birkhoff):
    reader, writer = os.pipe()
    os.close(reader)
    done = birkhoff("sample", *GO, "-n", "20000", "-o", "-", "--format", "ndjson", stdout=writer)
    os.close(writer)
    assert done.returncode == 141 and done.stderr == ""


def test_a_fifo_and_a_device_are_written_straight(birkhoff, tmp_path):
    assert birkhoff(*SMALL, "-o", "/dev/null", "--format", "parquet").returncode == 0
    assert Path("/dev/null").is_char_device()
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        assert birkhoff(*SMALL, "-o", "pipe", "--format", "parquet").returncode == 0
        assert pq.read_table(io.BytesIO(reader.communicate()[0])).num_rows == 200
    assert fifo.is_fifo()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="has no such name")
def test_names_of_standard_output_are_standard_output(birkhoff, tmp_path):
    """The summary stood behind the table, and a file behind it was replaced without the summary."""
    done = birkhoff(*SMALL, "-o", "/dev/stdout", "--format", "csv")
    (tmp_path / "out").write_bytes(b"old")
    with (tmp_path / "out").open("r+b") as out:
        birkhoff(*SMALL, "-o", "-", "--format", "csv", stdout=out)
    assert done.stdout == (tmp_path / "out").read_text() and done.stderr


def test_a_link_is_followed(birkhoff, tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    birkhoff(*SMALL, "-o", "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text() != "old"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_partial_file(signum, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"old")
    command = [
        sys.executable,
        "-m",
        "birkhoff_cli",
        "sample",
        *GO,
        "-n",
        "100000000",
        "-o",
        "a.parquet",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until = time.monotonic() + 300
        while not list(tmp_path.glob(".a.parquet.*.tmp")) and time.monotonic() < until:
            time.sleep(0.05)
        assert list(tmp_path.glob(".a.parquet.*.tmp")), "it never began to write"
        process.send_signal(signum)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + signum and b"Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]
    assert (tmp_path / "a.parquet").read_bytes() == b"old"


def test_a_bug_is_one_line_and_a_log(tmp_path):
    breaks = (
        "import sys; sys.argv = ['birkhoff', 'sample', '--method', 'go-mhc']\n"
        "import birkhoff_cli.analyses.sample\n"
        "birkhoff_cli.analyses.sample.run.__defaults__ = None\n"
        "birkhoff_cli.analyses.sample.SCHEMA = 3\n"
        "from birkhoff_cli.app import main; main()"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", breaks], capture_output=True, text=True, env=env)
    assert done.returncode == 70 and done.stderr.count("\n") == 1
    log = Path(done.stderr.split()[-1])
    assert log.parent == tmp_path and "Traceback" in log.read_text()


def test_a_figure_that_would_replace_the_table_is_refused(birkhoff, tmp_path):
    words = ("spectrum", "--method", "go-mhc", "-n", "4", "--format", "csv", "-o", "a.svg")
    done = birkhoff(*words, "--plot", tmp_path / "a.svg")
    assert done.returncode == 2 and "is the table of -o too" in done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_sweep_onto_a_loop_of_links_is_no_bug(birkhoff, tmp_path):
    (tmp_path / "a.parquet").symlink_to("a.parquet")
    done = birkhoff("sample", "--method", "mhc", "--sweep", "d=2,3", "-o", "a.parquet")
    assert done.returncode == 5 and "a.parquet: is a loop of links" in done.stderr
