"""The log of a monitor as the commands read it."""

import json

import numpy as np
import pytest

import birkhoff_cli
from birkhoff_cli import degeneration, load
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError

torch = pytest.importorskip("torch")

from birkhoff_cli import monitor  # noqa: E402
from test_monitor import train  # noqa: E402
from test_recording_survives import Model  # noqa: E402


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Of a run with NaN at step 3."""
    path = tmp_path_factory.mktemp("run") / "hc.ndjson"
    torch.manual_seed(0)
    model = Model()
    with monitor(model, every=1, to=path, on="mixing", after=2) as mine:
        train(model, 5, mine, broken=3)
    return path


@pytest.mark.filterwarnings("ignore")
def test_a_row_for_every_step_and_site(log):
    result = degeneration(load(log))
    rows = result.table.to_pylist()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(r["step"], r["layer"]) for r in rows] == [
        (s, k) for s in range(1, 6) for k in range(3)
    ]
    for row in rows:
        own = lines[row["step"] - 1][f"layers.{row['layer']}.attn"]
        for name in ("row_max_p50", "identity_distance", "effective_streams"):
            assert row[name] == own[name]
    assert {r["verdict"] for r in rows if r["step"] == 3} == {None}
    assert [s["verdict"] for s in result.summary["steps"]] == [line["verdict"] for line in lines]
    assert {r["step"] for r in rows if r["alarm"]} == {n["step"] for n in lines if "alarm" in n}


def test_it_is_drawn_by_plot(log, birkhoff):
    done = birkhoff("plot", log, "--plot", "a.png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 15


def test_the_command_says_what_the_log_says(log, birkhoff):
    done = birkhoff("degeneration", log, "--json", "-o", "t.parquet", "--plot", "t.png")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["step"] == 5


def test_a_line_that_is_cut_is_left_out_and_a_later_run_replaces_what_follows(log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    path = tmp_path / "f.ndjson"
    path.write_text("".join([*lines[:4], *lines[1:3], lines[4][:50]]))
    steps = [step.step for step in load(path).measured.steps]
    assert steps == [1, 2, 3]
    path.write_text("".join([lines[0], lines[1][:50] + "\n", lines[2]]))
    with pytest.raises(BadInput, match="line 2 is none of a monitor"):
        load(path)
    path.write_text(lines[0][:60])
    with pytest.raises(BadInput, match="no complete line"):
        load(path)


OF_MATRICES = (
    *("check", "decompose", "depth_drift", "gates", "heatmap", "quantise"),
    *("sinkhorn", "slice", "spectrum", "weights"),
)


@pytest.mark.parametrize("name", OF_MATRICES)
def test_an_analysis_of_matrices_refuses_it(name, log):
    """Three of them ended in a bug of ours, and others told of recording."""
    with pytest.raises(BirkhoffError, match="hc.ndjson") as error:
        getattr(birkhoff_cli, name)(load(log)).summary  # noqa: B018
    assert error.value.exit_code in (3, 4)


def test_watch_prints_once_without_a_terminal(log, birkhoff):
    done = birkhoff("watch", log)
    assert done.returncode == 0, done.stderr
    assert "step 5" in done.stdout.lower()
    assert any(letter in done.stdout for letter in "▁▂▃▄▅▆▇█")
    told = json.loads(birkhoff("watch", log, "--json").stdout)
    assert (told["step"], told["sites"], told["alarms"][0]["verdict"]) == (5, 3, "mixing")


def test_what_is_null_is_not_known(log):
    table = degeneration(load(log)).table
    distance = np.array(table["identity_distance"].to_pylist(), float)
    assert np.isnan(distance).sum() == 3
