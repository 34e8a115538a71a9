"""Grids of runs: every cell once, in parallel, in parts, and after a kill."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import forked
from birkhoff_cli import engines, members, places, provenance, sweeps
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported
from birkhoff_cli.binding import bind
from birkhoff_cli.command import SWEEP
from birkhoff_cli.commands import merge
from birkhoff_cli.request import Request
from birkhoff_cli.temporaries import temporary_path
from conftest import ROOT
from files import torch_file

GRID = ("spectrum", "--method", "go-mhc", "-n", "40", "--sweep", "d=3,4", "--sweep", "s=1,2")


def test_a_cell_is_the_run_of_its_own_words(birkhoff, tmp_path):
    done = birkhoff(*GRID, "-o", "grid.parquet", "--json")
    assert done.returncode == 0, done.stderr
    summary, table = json.loads(done.stdout), pq.read_table(tmp_path / "grid.parquet")
    cells = [(row["cell"], row["d"], row["s"]) for row in summary["results"]]
    assert cells == [(0, 3, 1), (1, 3, 2), (2, 4, 1), (3, 4, 2)]
    words = ("spectrum", "--method", "go-mhc", "-n", "40", "--d", "4", "--s", "1", "--json")
    alone = birkhoff(*words, "-o", "one.parquet")
    one = pq.read_table(tmp_path / "one.parquet")
    rows = table.filter(np.asarray(table["cell"]) == 2)
    for name in one.column_names:
        assert rows[name].to_pylist() == one[name].to_pylist()
    assert summary["results"][2]["coverage"] == json.loads(alone.stdout)["coverage"]


def test_parts_merged_are_the_whole_byte_for_byte(birkhoff, tmp_path):
    assert birkhoff(*GRID, "-o", "whole.parquet", "-q").returncode == 0
    for k in (1, 2, 3):
        words = ("--part", f"{k}/3", "-o", f"{k}.parquet", "--engine", "1")
        assert birkhoff(*GRID, *words).returncode == 0
    done = birkhoff("merge", "3.parquet", "1.parquet", "2.parquet", "-o", "merged.parquet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "merged.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_finished_cell_is_never_run_again(birkhoff, tmp_path):
    assert birkhoff(*GRID, "-o", "grid.parquet").returncode == 0
    cells = tmp_path / "grid.parquet.cells"
    before = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    first = (tmp_path / "grid.parquet").read_bytes()
    next(cells.iterdir()).unlink()
    assert birkhoff(*GRID, "-o", "grid.parquet").returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    assert before.keys() == after.keys() and len(after) == 4
    assert sum(before[name] != after[name] for name in after) == 1
    assert (tmp_path / "grid.parquet").read_bytes() == first
    assert birkhoff(*GRID, "--seed", "1", "-o", "grid.parquet").returncode == 0
    assert len(list(cells.iterdir())) == 8  # another word, other cells


def written_again(cell):
    table = pq.read_table(cell)
    pq.write_table(table.set_column(2, table.schema.field(2), [[0.5] * len(table)]), cell)


def of_another_command(cell):
    folder = cell.parents[1]
    forked.call(["sample", "--method", "mhc", "--d", "3", "-o", "s.parquet", "-q"], folder)
    cell.write_bytes((folder / "s.parquet").read_bytes())


CHANGES = {
    "exchanged": lambda cell: cell.write_bytes(max(cell.parent.iterdir()).read_bytes()),
    "written again": written_again,
    "of another command": of_another_command,
    "of another hand": lambda cell: pq.write_table(pa.table({"a": [1]}), cell),
}


def test_a_cell_that_is_another_table_is_refused_by_name(tmp_path):
    """The first two gave wrong numbers, the others were a bug of ours."""
    words = [*GRID, "-o", "grid.parquet", "-q"]
    assert forked.call(words, tmp_path).code == 0
    one = min((tmp_path / "grid.parquet.cells").iterdir())
    data, whole = one.read_bytes(), (tmp_path / "grid.parquet").read_bytes()
    for what, change in CHANGES.items():
        change(one)
        done = forked.call(words, tmp_path)
        assert (done.code, done.err.count("\n")) == (3, 1), what
        assert f"{one.name}: is not the cell that the sweep wrote there" in done.err, what
        one.write_bytes(data)
    assert forked.call(words, tmp_path).code == 0
    assert (tmp_path / "grid.parquet").read_bytes() == whole


def test_of_cells_that_fail_the_first_says_why(tmp_path):
    """What the others met was half a library, and a bug of ours (70)."""

    def fail_in_one_process():
        errors = iter([MemoryError()])
        message = "partially initialized module 'pyarrow' has no attribute 'Table'"
        sweeps.finish = lambda *_: throw(next(errors, AttributeError(message)))

    def throw(error):
        raise error

    cells = ",".join(map(str, range(16)))
    many = ("sample", "--method", "mhc", "-n", "2", "--sweep", f"seed={cells}", "-o", "g.parquet")
    done = forked.call(many, tmp_path, fail_in_one_process)
    assert (done.code, done.err.count("out of memory")) == (6, 1), done.err


def test_a_cell_of_another_file_at_the_same_path_is_run_again(birkhoff, tmp_path):
    """Even if its size and its time are those of the old one."""
    path = tmp_path / "ckpt.pt"
    words = ("depth-drift", "ckpt.pt", "--sweep", "inputs=static,gaussian", "-o", "g.parquet")
    answers = []
    for step in (0, 600):
        shutil.copy(ROOT / "examples" / "mhc" / f"ckpt_{step:06}.pt", path)
        os.utime(path, ns=(0, 0))
        done = birkhoff(*words, "--engine", "1", "--json")
        assert done.returncode == 0, done.stderr
        answers.append([r["composite_column_max"] for r in json.loads(done.stdout)["results"]])
        alone = json.loads(birkhoff("depth-drift", "ckpt.pt", "--json").stdout)
        assert answers[-1][0] == alone["composite_column_max"]
    assert answers[0] != answers[1]
    assert len([*(tmp_path / "g.parquet.cells").iterdir()]) == 4


def test_a_cell_of_other_code_is_run_again_and_a_worker_with_other_code_is_refused(
    tmp_path, monkeypatch
):
    module = members.module_of("region")
    binding, request = bind(module, {"kind": "karpelevic"})
    grid = Request({o.name: o for o in SWEEP}, {"sweep": ("d=2,3",)}, {})

    def cells():
        sweep = sweeps.plan("region", request, grid, tmp_path / "r.parquet")
        assert sweeps.run(sweep, binding, "1").summary["cells"] == 2
        return {path.name for path in (tmp_path / "r.parquet.cells").iterdir()}

    first = cells()
    assert cells() == first
    monkeypatch.setattr(provenance, "code_digest", lambda: "other code")
    with pytest.raises(Unsupported, match="other code than the one that planned it"):
        cells()  # the workers are processes of their own, with the code that is installed
    monkeypatch.undo()
    assert cells() == first


@pytest.mark.parametrize("starts", [True, False])
def test_a_killed_worker_is_a_lack_of_memory_and_no_bug(starts, tmp_path, monkeypatch):
    from concurrent.futures import ProcessPoolExecutor

    class Fragile(ProcessPoolExecutor):
        def submit(self, *words, **more):
            del words, more
            if not starts:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return super().submit(os._exit, 9)

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", Fragile)
    binding, request = bind(members.module_of("region"), {"kind": "karpelevic"})
    grid = Request({o.name: o for o in SWEEP}, {"sweep": ("d=2,3",)}, {})
    sweep = sweeps.plan("region", request, grid, tmp_path / "r.parquet")
    with pytest.raises(TooLarge, match="was killed or could not .* want of memory"):
        assert sweeps.run(sweep, binding, "1").summary


@pytest.mark.parametrize(
    "kill",
    [pytest.param(signal.SIGINT, marks=pytest.mark.release), signal.SIGTERM, signal.SIGKILL],
)
def test_a_killed_sweep_loses_only_the_cells_in_progress(kill, birkhoff, tmp_path):
    words = ("compare", "--method", "go-mhc", "-n", "3000", "--sweep", "seed=1,2,3,4,5,6,7,8")
    command = [sys.executable, "-m", "birkhoff_cli", *words, "-o", "grid.parquet", "--engine", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
    )
    cells = tmp_path / "grid.parquet.cells"
    while not (cells.is_dir() and any(cells.glob("*.parquet"))):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    if kill == signal.SIGTERM:
        process.send_signal(kill)  # to the parent alone
    else:
        os.killpg(process.pid, kill)
    said = process.stderr.read()
    process.wait(timeout=300)
    process.stderr.close()
    assert process.returncode == (-9 if kill == signal.SIGKILL else 128 + kill)
    assert b"Traceback" not in said
    done = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.parquet")}
    assert not (tmp_path / "grid.parquet").exists()
    assert birkhoff(*words, "-o", "grid.parquet").returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in cells.glob("*.parquet")}
    assert len(after) == 8 and done.items() <= after.items()


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("--sweep", "dd=3", "-o", "t.parquet"), 2, "not among the options"),
        (("--sweep", "d=3,x", "-o", "t.parquet"), 2, "'x' is not a whole number"),
        (("--sweep", "d=3", "--sweep", "d=4", "-o", "t.parquet"), 2, "there twice"),
        (("--sweep", "d=0,3", "-o", "t.parquet"), 2, "d = 0"),
        (("--sweep", "d=3"), 2, "give -o"),
        (("--sweep", "d=3", "-o", "-"), 2, "give -o"),
        (("--sweep", "d=3", "--part", "3/2", "-o", "t.parquet"), 2, "such as 2/8"),
        (("--sweep", "d=3", "--part", "2/2", "-o", "t.parquet"), 2, "use fewer parts"),
        (("--sweep", "d=3", "--engine", "many", "-o", "t.parquet"), 2, "number of processes"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_any_cell_runs(
    words, code, said, birkhoff, tmp_path
):
    done = birkhoff("sample", "--method", "go-mhc", "-n", "2", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert said in done.stderr
    assert not list(tmp_path.rglob("*.parquet"))


def test_tables_that_cannot_stand_below_one_another_are_refused(birkhoff):
    done = birkhoff("sample", "--method", "mhc", "--sweep", "d=2,3", "-o", "t.parquet")
    assert done.returncode == 2 and "different columns" in done.stderr


def test_what_is_no_part_of_one_sweep_is_not_merged(birkhoff):
    for k in (1, 2):
        birkhoff(*GRID, "--part", f"{k}/2", "-o", f"{k}.parquet")
    birkhoff("spectrum", "--method", "go-mhc", "-n", "4", "-o", "plain.parquet")
    birkhoff(*GRID, "--seed", "1", "--part", "2/2", "-o", "other.parquet")
    for words, said in (
        (("1.parquet",), "no cell 1 of 4"),
        (("1.parquet", "1.parquet"), "cell 0 twice"),
        (("1.parquet", "plain.parquet"), "is no table of a sweep"),
        (("1.parquet", "other.parquet"), "of another sweep"),
        (("1.parquet", "absent.parquet"), "no such file"),
    ):
        done = birkhoff("merge", *words)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1) and said in done.stderr


@pytest.mark.parametrize(
    "sweep", [5, None, [], {"s": 5}, {"s": list(range(1001)), "d": list(range(1001))}]
)
def test_a_part_of_another_hand_is_refused(sweep, birkhoff, tmp_path):
    birkhoff(*GRID, "--part", "1/2", "-o", "1.parquet")
    table = pq.read_table(tmp_path / "1.parquet")
    footer = pq.read_metadata(tmp_path / "1.parquet").metadata[b"birkhoff.summary"]
    facts = json.loads(table.schema.metadata[b"birkhoff"])
    facts["meta"]["sweep"] = sweep
    changed = table.replace_schema_metadata({"birkhoff": json.dumps(facts)})
    with pq.ParquetWriter(tmp_path / "x.parquet", changed.schema) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata({"birkhoff.summary": footer})
    with pytest.raises(BadInput, match="damaged"):
        merge.run([tmp_path / "x.parquet"], output=tmp_path / "whole.parquet")
    with pytest.raises(BadInput, match="damaged"):  # no summary: not a shard as it was written
        pq.write_table(table, tmp_path / "y.parquet")
        merge.run([tmp_path / "y.parquet"], output=tmp_path / "whole.parquet")
    assert not (tmp_path / "whole.parquet").exists()


def test_a_sweep_takes_samplers_with_options_of_their_own(birkhoff):
    words = ("fit", "--method", "kromhc", "--d", "4", "--targets", "3", "--epochs", "2", "--json")
    samplers = ["mhc:draw=polytope", "go-mhc:s=1,draw=haar", "kromhc:factors=2,2,draw=uniform"]
    done = birkhoff(*words, "--sweep", f"sampler={','.join(samplers)}", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [row["sampler"] for row in results] == samplers
    for row in results:
        alone = json.loads(birkhoff(*words, "--sampler", row["sampler"]).stdout)
        assert row["fits_0_final_loss"] == alone["fits"][0]["final_loss"]


def test_a_sweep_takes_methods_with_options_of_their_own(birkhoff):
    sweep = "method=go-mhc:s=1,field=complex,kromhc:factors=2x2,mhc"
    done = birkhoff("compare", "-n", "30", "--sweep", sweep, "-o", "t.parquet", "--json")
    assert done.returncode == 0, done.stderr
    methods = [row["method"] for row in json.loads(done.stdout)["results"]]
    assert methods == ["go-mhc:s=1,field=complex", "kromhc:factors=2x2", "mhc"]
    done = birkhoff("compare", "--sweep", "method=mhc,kromch", "-o", "t.parquet")
    assert (done.returncode, "did you mean 'kromhc'" in done.stderr) == (2, True)


def test_a_cell_is_of_the_step_that_a_note_says(tmp_path):
    """The step of a cell that was done before the note was corrected stood in the new table."""
    (folder := tmp_path / "model").mkdir()
    torch_file(folder / "model.pt")
    words = ["degeneration", "model", "--sweep", "seed=0,1", "-o", "t.parquet", "--json"]
    for step in (500, 700):
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        ended = forked.call(words, tmp_path)
        assert ended.code == 0, ended.err
        assert {row["step"] for row in json.loads(ended.out)["results"]} == {step}


def test_cells_that_were_begun_by_processes_that_were_ended_leave_nothing(tmp_path):
    """A sweep that was stopped left a temporary file of each of them."""

    class Ended(forked.Inline):
        def submit(self, fn, *more):
            del fn
            temporary_path(more[2]).write_bytes(b"half")
            raise BadInput("the cell fails")

    def hook():
        engines.executor = lambda *_: contextlib.nullcontext(Ended())

    words = [
        "region",
        "--kind",
        "karpelevic",
        "--points",
        "5",
        "--sweep",
        "d=3,4",
        "--engine",
        "2",
        "-o",
        "out.parquet",
    ]
    code, _, err = forked.call(words, tmp_path, hook)
    assert (code, err) == (3, "birkhoff: the cell fails\n")
    assert not [*(tmp_path / "out.parquet.cells").iterdir()]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_worker_ignores_an_interrupt_where_its_parent_does(before):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, before)
        engines._start_worker(places.divide(1))
        os._exit(0 if signal.getsignal(signal.SIGINT) == before else 1)
    assert os.waitpid(child, 0)[1] == 0
