"""What `birkhoff watch` shows while a log grows, is taken away, and begins again."""

import json
import os
import re
import sys

import pytest

from birkhoff_cli.commands import watch
from birkhoff_cli.logs import following
from birkhoff_cli.logs.following import Tail
from conftest import ROOT

SITES = 12


def line(step, alarm=None, verdict="mixing"):
    """A line of a monitor, with numbers that rise over depth."""
    numbers = dict.fromkeys(watch.QUANTITIES, 0.5)
    sites = {f"layers.{k}.attn": numbers | {"row_max_p50": k / SITES} for k in range(SITES)}
    head = {"step": step, "d": 4, "verdict": verdict, "row_max_p50": 0.5}
    rang = {"alarm": alarm} if alarm else {}
    return json.dumps(head | rang | sites | {"composite": {}}).encode() + b"\n"


def tail(path):
    return Tail(path, watch._alarms)


def test_only_what_is_new_is_read_and_a_line_that_is_cut_waits(tmp_path):
    path = tmp_path / "hc.ndjson"
    found = tail(path)
    assert not found.grown() and found.last is None  # it is not there yet
    path.write_bytes(b"")
    assert not found.grown()
    with path.open("ab") as file:
        file.write(line(1) + line(2)[:40])
        file.flush()
        assert found.grown() and found.last.step == 1
        file.write(line(2)[40:] + line(3, alarm="mixing"))
        file.flush()
        assert found.grown() and (found.last.step, found.measured) == (3, 3)
        assert not found.grown()
    assert found.alarms == [{"alarm_step": 3, "verdict": "mixing"}]


def test_a_log_that_is_replaced_cut_or_taken_up_again_begins_there(tmp_path):
    path, other = tmp_path / "hc.ndjson", tmp_path / "other"
    path.write_bytes(b"".join(line(k) for k in range(1, 8)))
    found = tail(path)
    assert found.grown() and found.measured == 7
    with path.open("ab") as file:
        file.write(line(4))  # a run that went on from step 3
    assert found.grown() and (found.last.step, found.measured) == (4, 4)
    path.rename(other)
    assert not found.grown() and found.last.step == 4
    path.write_bytes(line(1, alarm="mixing"))
    assert found.grown() and (found.last.step, found.measured) == (1, 1)
    os.truncate(path, 0)
    assert not found.grown()
    path.write_bytes(line(9))
    assert found.grown() and (found.last.step, found.measured, found.alarms) == (9, 1, [])


def test_a_line_that_holds_no_step_is_said_once_and_the_next_are_read(tmp_path):
    """It was passed over in silence."""
    path = tmp_path / "hc.ndjson"
    path.write_bytes(line(1) + b"garbage\n" + line(2)[:40])
    found = tail(path)
    assert found.grown() and found.last.step == 1
    assert found.skipped == "hc.ndjson: line 2 is none of a monitor, and is left out"
    shown = following._shown(found, watch.summarise, watch.lines, 80)
    assert shown.renderables[-1].plain == found.skipped
    with path.open("ab") as file:
        file.write(line(2)[40:] + b'{"step": 3}\n' + line(4))
    assert found.grown() and (found.last.step, found.measured) == (4, 3)
    assert found.skipped.endswith("line 2 is none of a monitor, and is left out, and so are others")
    path.write_bytes(b'{"step": 1, "step": 2, ' + line(1)[12:])  # of the same key two
    assert found.grown() and found.last is None and "line 1 " in found.skipped
    shown = following._shown(found, watch.summarise, watch.lines, 80)
    assert [text.plain for text in shown.renderables][1:] == [found.skipped]


@pytest.mark.parametrize("width", [20, 32, 40, 50, 80, 200])
def test_a_curve_has_room_at_any_width(tmp_path, width):
    path = tmp_path / "hc.ndjson"
    path.write_bytes(line(5, alarm="mixing"))
    found = tail(path)
    found.grown()
    summary = watch.summarise(found.last, 1, found.alarms)
    shown = [*watch.lines(found.last, summary, width)]
    (curve,) = (text for text in shown if text.startswith("row max p50"))
    assert len(curve) <= max(width, watch.LABEL + 3 + len("0 to 0.916667"))
    assert curve.split()[3].startswith("▁") and ("█" in curve or width < 50)
    assert shown[-1] == "alarm at step 5: mixing"


@pytest.mark.parametrize(("content", "said"), [("", "no complete line"), ("{}\n", "no log of a")])
def test_a_file_without_a_step_says_so(tmp_path, birkhoff, content, said):
    (tmp_path / "f.ndjson").write_text(content)
    done = birkhoff("watch", "f.ndjson")
    assert done.returncode == 3 and said in done.stderr


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command at a terminal of so many columns."""

    def __init__(self, columns, *words):
        import fcntl
        import struct
        import subprocess
        import termios

        self.own, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "birkhoff_cli", *map(str, words)],
            env={**environment, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.text = ""

    def until(self, wanted):
        """Read until the text is there."""
        while wanted not in self.text:
            self.text += os.read(self.own, 65536).decode()

    def rest(self):
        """Everything until the command has ended, and its exit code."""
        try:
            while data := os.read(self.own, 65536):
                self.text += data.decode()
        except OSError:
            pass
        return self.process.wait()


@pytest.mark.release
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("columns", [36, 100])
def test_at_a_terminal_it_follows_the_log_until_control_c(tmp_path, columns):
    path = tmp_path / "hc.ndjson"
    path.write_bytes(b"")
    shown = Terminal(columns, "watch", path)
    shown.until("No step has been measured yet")
    with path.open("ab") as file:
        file.write(line(10))
    shown.until("Step 10: mixing")
    with path.open("ab") as file:
        file.write(line(20, alarm="near-uniform", verdict="near-uniform"))
    shown.until("alarm at step 20: near")
    path.rename(tmp_path / "old")
    path.write_bytes(line(3))
    shown.until("Step 3: mixing")
    live = shown.text
    os.write(shown.own, b"\x03")
    assert shown.rest() == 0
    assert all(len(ESCAPE.sub("", text)) <= columns for text in re.split(r"[\r\n]+", live))
    after = ESCAPE.sub("", shown.text[len(live) :])
    assert "Step 3: mixing over 12 sites" in " ".join(after.split())
    assert "Traceback" not in shown.text


@pytest.mark.release
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("words", [["--once"], ["--json"], ["-o", "t.csv"], ["-q"], ["--table"]])
def test_at_a_terminal_it_ends_where_a_program_asks(tmp_path, words):
    path = tmp_path / "hc.ndjson"
    path.write_bytes(line(10))
    words = [str(tmp_path / w) if w.endswith("csv") else w for w in words]
    assert Terminal(80, "watch", path, *words).rest() == 0
