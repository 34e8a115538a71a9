"""Long work says so: a line on a terminal, an estimate, and nothing anywhere else."""

import contextlib
import io
import os
import pty
import select
import shutil
import subprocess
import sys
import types

import psutil
import pytest
import typer

from birkhoff_cli import progress
from birkhoff_cli.app import app
from birkhoff_cli.pace import Pace, duration, one
from conftest import ROOT
from test_summaries import RUNS, TORCH, folder  # noqa: F401 (a fixture)


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self):
        return True


class Clock:
    """Seconds that pass when somebody says so."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(name="line")
def a_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    line = progress.Line("spectrum", Terminal(), Clock(), delay=1e6)
    yield line
    line.end()


def work(line, seconds, total):
    """Steps that each take so many seconds."""
    for k in range(total):
        line.clock.now += seconds
        yield k


def test_stages_are_on_the_line_and_it_goes_away(line):
    line.appear()
    for stage in ("reading", "drawing"):
        line.stage(stage)
        line.display.refresh()
        assert f"spectrum: {stage}" in line.stream.getvalue()
    line.end()
    assert line.stream.getvalue().endswith("\x1b[2K") and line.display is None
    before = line.stream.getvalue()
    line.appear()
    assert line.stream.getvalue() == before


@pytest.mark.parametrize("shown", [False, True])
def test_minutes_of_work_are_said_once_with_a_way_out(line, shown):
    if shown:
        line.appear()
    steps = [*line.track(work(line, 2, 100), 100, "; fewer --samples take less")]
    assert steps == [*range(100)]
    said = line.stream.getvalue()
    assert said.count("birkhoff: about 3 min at this size; fewer --samples take less") == 1


WAY = "; Ctrl-C stops it"


@pytest.mark.parametrize(
    "total, workers, seconds, said",
    [
        (1000, 1, 10, f"3 h or more at this size if all 1,000 steps are alike{WAY}"),
        (1000, 100, 10, f"2 min or more at this size if all 1,000 steps are alike{WAY}"),
        (2, 1, 40, f"80 s or more at this size if all 2 steps are alike{WAY}"),
        (1, 1, 80, f"80 s or more at this size{WAY}"),
        (4, 4, 80, f"80 s or more at this size{WAY}"),
        (1, 1, 40, ""),
        (4, 4, 40, ""),
    ],
)
def test_a_first_step_that_does_not_end_is_said(line, total, workers, seconds, said):
    pace = Pace(total, WAY, line.clock)
    pace.workers = lambda: workers
    line.clock.now += seconds
    for _ in range(2):  # said once
        line.wait(pace, 1e6)
    assert line.stream.getvalue() == (f"birkhoff: {said}\n" if said else "")
    line.end()
    line.wait(Pace(total, WAY, lambda: 0), 1e6)
    assert len(line.stream.getvalue().splitlines()) <= 1


def test_an_estimate_leaves_out_the_first_step_and_those_beside_it(line):
    """It imports libraries; with workers several end at once."""
    pace = Pace(100, WAY, line.clock)
    for seconds, done in ((30, 1), (0, 2), (2, 3), (0, 4)):
        line.clock.now += seconds
        pace.step(done)
    assert pace.left == 96 and pace.estimate() == f"birkhoff: about 2 min at this size{WAY}"


@pytest.mark.parametrize("workers, said", [(1, "about 33 min"), (4, "about 8 min"), (100, "")])
def test_steps_that_will_be_shared_out_are_those_of_one_worker_first(line, workers, said):
    pace = Pace(1000, WAY, line.clock)
    pace.workers, pace.alone = lambda: workers, True
    for _ in range(3):
        line.clock.now += 2
        pace.step(pace.done + 1)
    assert pace.estimate() == (f"birkhoff: {said} at this size{WAY}" if said else "")


def test_work_that_turns_out_longer_than_was_said_is_said_anew(line):
    pace = Pace(100, WAY, line.clock)
    line.clock.now += 10
    assert "17 min or more" in pace.bound()
    for seconds, said in ((90, ""), (1, ""), (90, "about 77 min"), (90, "")):
        line.clock.now += seconds
        pace.step(pace.done + 1)
        assert pace.estimate() == (f"birkhoff: {said} at this size{WAY}" if said else "")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_pipe_gets_the_estimate_and_no_line(quiet, monkeypatch):
    stream, clock = io.StringIO(), Clock()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "monotonic", clock)
    progress.begin("spectrum", ["-q"] if quiet else [])
    line = types.SimpleNamespace(clock=clock)
    assert [*progress.track(work(line, 2, 100), 100, WAY)] == [*range(100)]
    progress.stage("drawing")
    progress.end()
    assert stream.getvalue() == ("" if quiet else f"birkhoff: about 3 min at this size{WAY}\n")


@pytest.mark.parametrize("seconds, total", [(0.5, 100), (0.001, 10), (400, 1), (50, 2)])
def test_short_work_and_the_last_half_of_it_are_no_estimate(line, seconds, total):
    assert len([*line.track(work(line, seconds, total), total)]) == total
    assert "about" not in line.stream.getvalue()


@pytest.mark.parametrize(
    "seconds, said",
    [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (180, "3 min"), (7200, "2 h"), (1e6, "12 days")],
)
def test_durations_have_one_unit(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "names, said",
    [
        ({"samples", "seed"}, "; fewer --samples than 3,000 take less, Ctrl-C stops it"),
        ({"samples", "epochs"}, "; fewer --epochs take less, Ctrl-C stops it"),
        ({"seed"}, "; Ctrl-C stops it"),
    ],
)
def test_the_way_out_is_an_option_that_has_an_effect(names, said):
    assert progress.way_out({"samples": 3000}.get, names) == said


class Stages:
    """What is said of stages, in place of a line."""

    def __init__(self):
        self.said, self.ended = [], False

    def stage(self, text, part=False):
        self.said += [] if part else [text]

    def track(self, steps, total, shorter="", workers=one, alone=False):
        assert total >= 0 and workers() >= 1 and alone in (True, False)
        assert not shorter or "Ctrl-C" in shorter
        self.said.append("working")
        return steps

    def end(self):
        self.ended = True


PICTURE = ("--plot", "f.png")
OUTPUTS = {"spectrum": PICTURE, "heatmap": PICTURE, "compare": PICTURE, "plot": PICTURE}
OUTPUTS |= {"trace": ("-o", "t.parquet"), "merge": ("-o", "m.parquet")}


@pytest.mark.parametrize("name", RUNS)
def test_every_command_says_what_it_does(name, folder, tmp_path, monkeypatch):  # noqa: F811
    if name in TORCH:
        pytest.importorskip("torch")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    stages = Stages()
    monkeypatch.setattr(progress, "begin", lambda *_: progress._lines.append(stages))
    words = [*RUNS[name][0], *OUTPUTS.get(name, ())]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        typer.main.get_command(app).main([name, *words], standalone_mode=False)
    drawing = ["drawing"] if name in ("spectrum", "heatmap", "compare") else []
    assert stages.said == ["reading", "working", *drawing]
    assert stages.ended


AT_ONCE = """
import sys
from birkhoff_cli import progress
class Now:
    def __init__(self, delay, function, arguments):
        self.start = function if function.__name__ == "appear" else self.cancel
    def cancel(self): pass
progress.Timer = Now
sys.argv[0] = "birkhoff"
from birkhoff_cli.app import main
main()
"""


def on_a_terminal(*words, stdout=subprocess.PIPE):
    """What a terminal gets as standard error, where the line appears at once."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-c", AT_ONCE, *map(str, words)]
    stream = theirs if stdout == "terminal" else stdout
    with subprocess.Popen(command, env=environment, stdout=stream, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 65536):
                seen += part
        os.close(ours)
    return process.returncode, seen.decode()


def longest_silence(words, place):
    """Exit code, and the most CPU seconds of a command between two signs of life on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "birkhoff_cli", *words]
    streams = {"stdout": subprocess.DEVNULL, "stderr": theirs}
    with subprocess.Popen(command, cwd=place, env=environment, **streams) as process:
        os.close(theirs)
        last = longest = 0.0
        with contextlib.suppress(OSError, psutil.Error):  # the end of a terminal, or of a process
            while True:
                heard = select.select([ours], [], [], 0.02)[0] and os.read(ours, 65536)
                times = psutil.Process(process.pid).cpu_times()
                longest = max(longest, times.user + times.system - last)
                if heard:
                    last = times.user + times.system
                if process.poll() is not None:
                    break
        os.close(ours)
    return process.returncode, longest


MAX_SILENCE = 2.0
"""CPU seconds: a busy machine is no fault."""


@pytest.mark.release
@pytest.mark.parametrize("name", RUNS)
def test_no_command_is_silent_for_long(name, folder, tmp_path):  # noqa: F811
    """Reading, importing torch, drawing and writing hold nothing that the line needs."""
    if name in TORCH:
        pytest.importorskip("torch")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for words in RUNS[name]:
        code, seconds = longest_silence([name, *words, *OUTPUTS.get(name, ())], tmp_path)
        assert code == 0 and 0 < seconds < MAX_SILENCE, (words, seconds)


SMALL = ("spectrum", "--method", "go-mhc", "-n", "20")


def test_a_terminal_shows_the_line_and_keeps_none_of_it():
    code, seen = on_a_terminal(*SMALL)
    assert code == 0 and "spectrum: " in seen and seen.endswith("\x1b[2K")


@pytest.mark.parametrize("words", [("-q",), ("--help",), ("--method", "nope")])
def test_quiet_help_and_mistakes_leave_no_line_behind(words):
    _, seen = on_a_terminal(*SMALL, *words)
    assert "spectrum: working" not in seen
    assert words[0] == "--method" or not seen


def test_rows_on_a_terminal_are_alone():
    _, seen = on_a_terminal(*SMALL, "-o", "-", "--format", "csv", stdout="terminal")
    assert "sample" in seen and "spectrum: " not in seen
