"""Sixty checkpoints, and grids of runs: one readable table, one picture."""

import struct
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

import forked
from birkhoff_cli import engines, members, outputs
from birkhoff_cli.analyses.core import overview
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.app import app
from birkhoff_cli.report import MAX_STEPS
from test_summaries import RUNS, STEPS, folder  # noqa: F401 (a fixture)

COUNT = 60
WIDTH, MAX_LINES = 80, 60
SERIES = (
    *("check", "compare", "decompose", "degeneration", "depth-drift", "heatmap", "quantise"),
    *("report", "sinkhorn", "slice", "spectrum", "trace"),
)
"""Commands that take a series of arrays."""

SLOW = ("compare", "depth-drift", "heatmap", "quantise", "report", "sinkhorn")
MORE = {"compare": ("--method", "go-mhc", "-n", "100"), "report": ("-o", "page.html")}


@pytest.fixture(scope="module")
def sixty(tmp_path_factory):
    """A series of checkpoints that leave the identity."""
    path = tmp_path_factory.mktemp("sixty")
    z = np.random.default_rng(0).standard_normal((1, 4, 16))
    for step in range(1, COUNT + 1):
        logits = z + (60 - step) * np.eye(4).ravel() / 10
        np.save(path / f"ckpt_{10 * step}.npy", MHC(4)(logits))
    return path


def height(png):
    return struct.unpack(">I", png[20:24])[0]


def check(name, done, path, plotted):
    """A table that fits a terminal, with the first and the last step, and one picture."""
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= WIDTH and len(lines) <= MAX_LINES
    if plotted:
        assert 400 < height(path.read_bytes()) < 4000
    if name in ("compare", "report"):  # one model among others, and a page
        return
    assert lines[0].startswith("At step 600, the last of 60 checkpoints: ")
    if "steps 10 to 600: 60 checkpoints, alike in every number" in lines:
        return
    rows = lines[lines.index("steps") + 1 :]
    column = next(line for line in rows if "step" in line.split()).split().index("step")
    cells = [line.split() for line in rows]
    steps = [int(row[column]) for row in cells if row[column : column + 1] and is_step(row[column])]
    assert len(steps) == MAX_STEPS and steps == sorted(steps)
    assert (steps[0], steps[-1]) == (10, 600)
    assert f"{MAX_STEPS} of 60 steps; --json has all of them" in lines


def is_step(word):
    return word.isdigit() and int(word) % 10 == 0 and 10 <= int(word) <= 600


def run(name, path, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    drawn = hasattr(members.module_of(name), "draw")
    plot = ("--plot", "many.png") if drawn else ()
    done = forked.call([name, *words, *plot], path)
    return done, path / "many.png", drawn


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.release) if n in SLOW else n for n in members.names()],
)
def test_sixty_checkpoints_are_a_readable_table_and_one_picture(name, sixty, monkeypatch):
    """Of arrays; a command that takes no series says so in a line that names the way out."""
    (sixty / "many.png").unlink(missing_ok=True)
    if name in SERIES:
        check(name, *run(name, sixty, (".", *MORE.get(name, ())), monkeypatch))
        return
    words = (".", ".") if name == "distance" else (".",)
    done, picture, _ = run(name, sixty, words, monkeypatch)
    assert done.code in (2, 3, 4) and not done.out and done.err.count("\n") == 1
    assert not picture.exists()
    if name in ("diff", "distance", "fit"):
        assert "holds matrices of 60 training steps (10 to 600) and here one is needed" in done.err
    assert "none a checkpoint" not in done.err


@pytest.fixture(scope="module")
def sixty_models(shared, tmp_path_factory):
    """Checkpoints between the first and the last of a real run."""
    torch = pytest.importorskip("torch")
    trained = shared / "checkpoints" / "series_mhc_n4"
    first, last = (
        torch.load(trained / f"ckpt_{step:06}.pt", weights_only=False) for step in (1, 400)
    )
    path = tmp_path_factory.mktemp("models")
    for step in range(1, COUNT + 1):
        weights = {
            name: torch.lerp(tensor, last["model"][name], step / COUNT)
            if tensor.is_floating_point()
            else tensor
            for name, tensor in first["model"].items()
        }
        own = {**first, "model": weights, "iter_num": 10 * step}
        own.pop("optimizer", None)
        torch.save(own, path / f"ckpt_{10 * step:06}.pt")
    return path


@pytest.mark.release
@pytest.mark.parametrize("name", (*SERIES, "gates", "inspect"))
def test_sixty_models_too(name, sixty_models, monkeypatch):
    monkeypatch.setattr(forked, "MAX_SECONDS", 600)
    check(name, *run(name, sixty_models, (".", *MORE.get(name, ())), monkeypatch))


@pytest.mark.parametrize("flags, count", [((), 8), (("--table",), 60)])
def test_table_shows_every_step(flags, count, sixty, birkhoff):
    done = birkhoff("check", *sorted(sixty.glob("*.npy")), *flags, env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    block = lines[lines.index("steps") :]
    block = block[: block.index("")] if "" in block else block
    assert sum(line[:4].strip().isdigit() for line in block) == count


def test_checkpoints_that_are_alike_are_one_line(birkhoff, tmp_path):
    for step in (1, 2, 3):
        np.save(tmp_path / f"ckpt_{step}.npy", np.eye(4))
    done = birkhoff("spectrum", ".", env={"COLUMNS": "80"})
    assert "steps 1 to 3: 3 checkpoints, alike in every number" in done.stdout.splitlines()


class Here:
    """An executor that runs a task when it is submitted."""

    def submit(self, function, *arguments):
        task = Future()
        task.set_result(function(*arguments))
        return task


@contextmanager
def here(engine, cells):  # noqa: ARG001 (as of the one it stands for)
    yield Here()


SWEPT = {
    "compare": "d=2,3",
    "complexity": "width=64,128",
    "decompose": "starts=1,2",
    "degeneration": "seed=1,2",
    "depth-drift": "seed=1,2",
    "diff": "tolerance=0,1",
    "distance": "seed=1,2",
    "fit": "noise=0.1,0.2",
    "gradients": "noise=0.1,0.2",
    "heatmap": "seed=1,2",
    "quantise": "scales=tensor,row",
    "region": "d=3,4",
    "similarity": "sequences=1,2",
    "sinkhorn": "scale=1,2",
    "slice": "seed=1,2",
    "spectrum": "seed=1,2",
    "verify": "tolerance=0,1",
}


SLOW_SWEEPS = ("complexity", "sinkhorn", "compare", "quantise")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.release) if n in SLOW_SWEEPS else n for n in SWEPT],
)
def test_a_sweep_is_drawn(name, folder, tmp_path, monkeypatch):  # noqa: F811
    import typer

    monkeypatch.chdir(folder)
    monkeypatch.setattr(engines, "executor", here)
    swept = SWEPT[name].partition("=")[0]
    words = [*RUNS[name][0], "--sweep", SWEPT[name], "-q"]
    if f"--{swept}" in words:
        del words[words.index(f"--{swept}") : words.index(f"--{swept}") + 2]
    files = (tmp_path / "t.parquet", tmp_path / "t.png", tmp_path / "again.png")
    command = typer.main.get_command(app)
    command.main(
        [name, *words, "-o", str(files[0]), "--plot", str(files[1])], standalone_mode=False
    )
    command.main(["plot", str(files[0]), "--plot", str(files[2]), "-q"], standalone_mode=False)
    assert 200 < height(files[1].read_bytes()) < 4000
    assert files[1].read_bytes() == files[2].read_bytes()


def test_numbers_that_belong_together_share_a_panel():
    rows = [{"cell": 0, "s": 1, "a_min": 1, "a_max": 2.0, "b": "x", "c": 5, "e": None}]
    rows += [{"cell": 1, "s": 2, "a_min": 0, "a_max": 3.0, "b": "y", "c": 5, "e": 1.0}]
    rows += [{"cell": 2, "s": 3, "a_min": 0, "a_max": 3.0, "b": "y", "c": 5, "e": 2.0}]
    assert overview.families(rows, "s") == {"a": ["a_min", "a_max"], "e": ["e"]}


def test_a_grid_of_two_options_is_drawn_against_the_first(birkhoff, tmp_path):
    words = ("spectrum", "--method", "go-mhc", "-n", "20", "--sweep", "d=3,4", "--sweep", "s=1,2")
    done = birkhoff(*words, "-o", "t.parquet", "--plot", "t.png", env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert "4 runs are done" in done.stdout and "\nresults\n" in done.stdout
    assert (tmp_path / "t.png").exists()


def test_a_sweep_without_its_numbers_is_refused(tmp_path):
    import pyarrow as pa

    from birkhoff_cli.analyses import spectrum
    from birkhoff_cli.analyses.core import metadata

    table = pa.table({"re": [1.0]}).replace_schema_metadata(
        metadata.dump({"meta": {"sweep": {"s": ["1"]}}})
    )
    with pytest.raises(BadInput, match="run the sweep again"):
        outputs.draw(table, spectrum, tmp_path / "t.png", {})
