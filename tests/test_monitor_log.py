"""The log of a monitor as the commands read it."""

import json

import numpy as np
import pytest

import birkhoff_cli
import forked
from birkhoff_cli import degeneration, load
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.tables import _monitor
from files import monitor_log

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
    trace = load(path)
    assert [step.step for step in trace.measured.steps] == [1, 2, 3]
    assert trace.meta["assumptions"] == [
        "the log goes back, at first to step 2 in line 5, as of a run that was taken up again: the "
        "lines before it from that step on are left out (3 in all)",
        "the last line of the log is cut, and is left out",
    ]
    path.write_text("".join([lines[0], lines[1][:50] + "\n", lines[2]]))
    with pytest.raises(BadInput, match="line 2 is none of a monitor"):
        load(path)
    path.write_text(lines[0][:60])
    with pytest.raises(BadInput, match="no complete line"):
        load(path)


def changed(**words):
    """A log whose third line has other values."""
    lines = monitor_log(4, 2).splitlines(keepends=True)
    lines[2] = json.dumps(json.loads(lines[2]) | words) + "\n"
    return "".join(lines)


WRONG = (
    *({"step": step} for step in ("3", 3.5, -3, True, 10**30)),
    *({"d": d} for d in (0, "4", 10**20, None)),
    *({"verdict": verdict} for verdict in (5, "splendid", ["mixing"])),
    *({"alarm": ["x"]}, {"composite": "x"}, {"composite": [1]}, {"layers.1.attn": "x"}),
    *({"layers.1.attn": {"row_max_p50": "NaN"}}, {"row_max_p50": "0.5"}),
)


@pytest.mark.parametrize("words", WRONG, ids=repr)
def test_a_line_that_is_none_is_refused_by_its_number(words, tmp_path):
    """Steps of 3.5 were 3, a string was no number, and a verdict of nobody a bug of ours."""
    (tmp_path / "f.ndjson").write_text(changed(**words))
    with pytest.raises(BadInput, match="line 3 is none of a monitor"):
        load(tmp_path / "f.ndjson")


def test_a_log_is_of_one_run_and_has_sites(tmp_path):
    path = tmp_path / "f.ndjson"
    path.write_text(changed(d=8))
    with pytest.raises(BadInput, match="line 3 is of 8 streams and the line before of 4"):
        load(path)
    path.write_text(monitor_log(2, 0))
    with pytest.raises(BadInput, match="has no site in any line"):
        load(path)


def test_watch_and_plot_say_what_was_left_out(tmp_path):
    (tmp_path / "f.ndjson").write_text(monitor_log(3) + monitor_log(2)[:-30])
    for words in (["watch", "f.ndjson"], ["plot", "f.ndjson"], ["degeneration", "f.ndjson"]):
        done = forked.call([*words, "-q"], tmp_path)
        assert (done.code, done.err) == (0, "")
        done = forked.call([*words, "--json"], tmp_path)
        assert done.code == 0 and "assumed: the last line of the log is cut" in done.err


def test_a_long_log_is_read_in_time_that_grows_with_it(tmp_path, monkeypatch):
    """Every line went over all before it."""
    (tmp_path / "f.ndjson").write_text(monitor_log(3000, 1))
    calls = []
    again = _monitor._again
    monkeypatch.setattr(_monitor, "_again", lambda *words: calls.append(1) or again(*words))
    assert len(load(tmp_path / "f.ndjson").measured.steps) == 3000
    assert len(calls) <= 2 * 3000


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


def test_sites_of_many_steps_that_are_never_together_are_too_many(tmp_path):
    """A line of 40 bytes for each took 8 GB: every step had every site."""
    line = '{"step":%d,"d":2,"verdict":null,"a%d":{}}\n'
    path = tmp_path / "hc.ndjson"
    path.write_text("".join(line % (k, k) for k in range(1030)))
    with pytest.raises(TooLarge, match="names 1,030 sites in 1,030 steps"):
        load(path)
    path.write_text("".join(line % (k, k) for k in range(1000)))
    assert len(load(path).sites) == 1000
