"""What the command sets in its process, what importing leaves alone, and what systems lack."""

import contextlib
import errno
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

import files as files_of_tests
from birkhoff_cli import app, files, process
from birkhoff_cli.analyses.core.errors import CannotWrite
from conftest import ROOT


def run(code):
    """Run Python in the repository; returns what it prints."""
    environment = {k: v for k, v in os.environ.items() if k not in process.THREADS}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_every_module_changes_nothing_in_the_process():
    """app set environment variables, and arrays freed 30 MB to train the allocator."""
    code = (
        "import gc, importlib, os, pkgutil, signal, sys\n"
        "import numpy, torch, matplotlib, pyarrow, typer\n"
        "def state(): return dict(os.environ), gc.get_threshold(), signal.getsignal(2), "
        "signal.getsignal(15), numpy.geterr(), torch.get_num_threads(), os.getcwd(), "
        "torch.get_default_dtype()\n"
        "before, large, real = state(), [], numpy.empty\n"
        "def empty(shape, *more, **named):\n"
        "    array = real(shape, *more, **named)\n"
        "    large.append(array.nbytes)\n"
        "    return array\n"
        "numpy.empty = empty\n"
        "import birkhoff_cli\n"
        "names = [m.name for m in pkgutil.walk_packages(birkhoff_cli.__path__, 'birkhoff_cli.')]\n"
        "for name in names:\n"
        "    if not name.endswith('__main__'): importlib.import_module(name)\n"
        "assert len(names) > 100 and state() == before, name\n"
        "assert max(large, default=0) < 1 << 20"
    )
    run(code)


def test_the_command_uses_one_thread_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(process.gc, "set_threshold", lambda _: None)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    process.prepare()
    assert (os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]) == ("1", "3")


@pytest.mark.parametrize("missing", ["SIGHUP", "SIGTERM", None])
def test_signals_that_a_system_does_not_have_are_left_out(missing, monkeypatch):
    handled = {}
    monkeypatch.setattr(signal, "signal", handled.__setitem__)
    monkeypatch.setattr(process.gc, "set_threshold", lambda _: None)
    monkeypatch.setattr(process, "_last", -math.inf)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # back when this is over
    expected = {getattr(signal, name) for name in process.STOPPING if name != missing}
    if missing:
        monkeypatch.delattr(signal, missing)
    process.prepare()
    assert handled.keys() == expected and len({*handled.values()}) == 1
    with pytest.raises(process.Stopped):
        handled[signal.SIGINT](signal.SIGINT, None)
    handled[signal.SIGINT](signal.SIGINT, None)  # at once: it is the same wish


def test_a_second_signal_does_not_interrupt_what_cleans_up_after_the_first(monkeypatch):
    """The exit code was that of the second, and Arrow printed a traceback."""
    monkeypatch.setattr(process, "_last", -math.inf)
    with pytest.raises(process.Stopped) as first, process.unstopped():
        process._stop(signal.SIGINT, None)
        process._stop(signal.SIGTERM, None)
    assert first.value.exit_code == 130
    process._stop(signal.SIGTERM, None)
    with process.unstopped():
        process._stop(signal.SIGTERM, None)
    monkeypatch.setattr(process, "_last", process._last - 2 * process.TWICE)
    with pytest.raises(process.Stopped):
        process._stop(signal.SIGTERM, None)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators differ")
def test_freed_memory_is_kept_for_the_next_step():
    """Pages of a temporary are faulted in once, not at every step."""
    code = (
        "import resource, numpy as np\n"
        "from birkhoff_cli import process\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20): [np.ones(1 << 17) for _ in range(8)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "first = faults(); process.keep_freed_memory(); faults(); print(first, faults())"
    )
    first, then = map(int, run(code).split())
    assert then < first / 4


def test_pools_are_imported_where_one_is_made():
    code = (
        "import sys\n"
        "from birkhoff_cli import engines, sweeps, command\n"
        "assert not {'multiprocessing', 'concurrent.futures.process'} & sys.modules.keys()\n"
        "with engines.executor('1', 1) as pool: print(pool.submit(abs, -3).result())\n"
    )
    assert run(f"if __name__ == '__main__':\n  exec({code!r})").strip() == "3"


def test_a_file_that_is_interrupted_as_it_is_made_leaves_nothing(tmp_path, monkeypatch):
    """A signal between making the file and the block that removes it left it behind."""
    real = type(tmp_path).open

    def interrupted(self, *more):
        real(self, *more).close()
        raise KeyboardInterrupt

    monkeypatch.setattr(type(tmp_path), "open", interrupted)
    with pytest.raises(KeyboardInterrupt), files.opened(tmp_path / "a.csv"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_folder_that_cannot_be_synchronised_is_let_be(reason, tmp_path, monkeypatch):
    real = os.fsync
    folders = []

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            folders.append(descriptor)
            raise OSError(reason, os.strerror(reason))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with files.opened(tmp_path / "a") as file:
        file.write(b"all of it")
    assert folders and (tmp_path / "a").read_bytes() == b"all of it"


def test_windows_opens_no_folder(tmp_path, monkeypatch):
    real = os.open

    def refused(path, *more):
        if os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr(os, "open", refused)
    with files.opened(tmp_path / "a") as file:
        file.write(b"all of it")
    assert (tmp_path / "a").read_bytes() == b"all of it"


def test_a_disk_that_fails_at_the_folder_is_said(tmp_path, monkeypatch):
    real = os.fsync

    def failing(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    failed = pytest.raises(CannotWrite, match="Input/output error")
    with failed, files.opened(tmp_path / "a") as file:
        file.write(b"x")


def test_a_device_is_opened_as_binary_where_that_has_a_flag(tmp_path, monkeypatch):
    flags = []
    real = os.open
    monkeypatch.setattr(files, "BINARY", 1 << 30)
    monkeypatch.setattr(
        os, "open", lambda path, flag: flags.append(flag) or real(path, flag & ~(1 << 30))
    )
    with files.opened(type(tmp_path)(os.devnull)) as file:
        file.write(b"\n")
    assert flags == [os.O_WRONLY | 1 << 30]


def test_a_full_disk_behind_standard_error_changes_no_exit_code(birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.full((2, 3, 3), 1 / 3))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        assert birkhoff("depth-drift", "h.npy", "--json", stderr=full).returncode == 0
        assert (
            birkhoff("depth-drift", "h.npy", "-o", "-", "--format", "csv", stderr=full).returncode
            == 0
        )
        assert birkhoff("depth-drift", "none.npy", stderr=full).returncode == 3


QUICK = ["--help", "--version", "methods", "spectrum --help", "region --kind karpelevic --json"]


@pytest.mark.parametrize("words", QUICK)
def test_text_into_a_closed_pipe_ends_quietly(words, birkhoff):
    reader, writer = os.pipe()
    os.close(reader)
    done = birkhoff(*words.split(), stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", QUICK)
def test_text_onto_a_full_disk_is_5_and_no_bug(words, birkhoff):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = birkhoff(*words.split(), stdout=full)
        assert done.returncode == 5
        assert done.stderr.startswith("birkhoff: standard output: No space left on device")
        assert done.stderr.count("\n") == 1
        assert birkhoff(*words.split(), stderr=full).returncode == 0


@pytest.fixture
def full_pipe():
    """Both ends of a pipe that takes nothing more and does not block."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    yield reader, writer
    os.close(writer)


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="Windows has other pipes")
def test_a_pipe_that_does_not_block_is_waited_for(full_pipe, monkeypatch):
    """4,096 of 4,361 letters of the help came, with exit code 0; a table was cut, with 5."""
    reader, writer = full_pipe
    monkeypatch.setattr(process, "patient", partial(lambda real, _: real(writer), process.patient))
    monkeypatch.setattr(process, "is_blocking", lambda number: number == 2)
    with open(os.dup(1), "w", encoding="utf-8") as stdout:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr(sys, "stdout", stdout)
        process.wait_for_readers()
        got = []
        with open(reader, "rb") as file:  # noqa: PTH123
            thread = threading.Thread(
                target=lambda: got.append(file.read(1 << 16 | 9)), daemon=True
            )
            thread.start()
            print("help", flush=True)
            with files.opened(files.STDOUT) as table:
                table.write(b"rows")
            thread.join()
    assert got[0].endswith(b"help\nrows")


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="Windows has other pipes")
def test_whether_a_write_waits_is_asked_of_the_descriptor(full_pipe):
    reader, writer = full_pipe
    assert process.is_blocking(reader) and not process.is_blocking(writer)
    os.close(reader)
    assert process.is_blocking(reader)  # whatever else is wrong with it is said elsewhere


FIRST = """
import os, signal, sys
awaited, signum = sys.argv.pop(1), sys.argv.pop(1)
class Finder:
    def find_spec(self, name, *more):
        if name == awaited:
            os.kill(os.getpid(), int(signum))
sys.meta_path.insert(0, Finder())
from birkhoff_cli.__main__ import main
assert 'typing' not in sys.modules
sys.argv.append('--version')
main()
"""


@pytest.mark.parametrize(
    "name, signum",
    [("birkhoff_cli.process", signal.SIGTERM), ("birkhoff_cli.app", 2), ("typing", signal.SIGINT)],
)
def test_a_signal_at_the_first_import_is_no_traceback(name, signum):
    """Handlers stood when a hundredth of a second was over."""
    command = [sys.executable, "-S", "-c", FIRST, name, str(int(signum))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signum, "", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other descriptors")
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_are_survived_and_no_file_takes_their_numbers(closed, birkhoff, tmp_path):
    """A file that is written had the number of standard error, to which libraries of C write."""
    words = ("sample", "--method", "mhc", "--d", "2", "-n", "1")

    def close():
        for number in closed:
            os.close(number)

    def run(*more):
        return birkhoff(*words, *more, stdout=None, stderr=None, preexec_fn=close).returncode

    assert (run(), run("-o", "a.csv"), run("--s", "2")) == (0, 0, 2)
    assert (tmp_path / "a.csv").read_text().startswith('"sample"')
    assert run("-o", "-", "--format", "csv") == (5 if 1 in closed else 0)
    code = (
        f"import os\nfor k in {closed}: os.close(k)\nfrom birkhoff_cli import process\n"
        "process.prepare()\nos._exit(os.open('/dev/null', os.O_RDONLY))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode > 2


@pytest.mark.parametrize("name", process.STOPPING)
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(name):
    """What nohup or a shell in the background had started ended at a signal that they ignore."""
    signum = getattr(signal, name)
    command = [sys.executable, "-S", "-c", FIRST, "birkhoff_cli.app", str(int(signum))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signum, signal.SIG_IGN),
    )
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("birkhoff ")


IN_FINALIZER = """
import os, signal, time
from birkhoff_cli import process
process.prepare()
class Odd:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
try:
    Odd()
    for _ in range(100): time.sleep(0.1)
except process.Stopped as end:
    os._exit(end.exit_code)
"""

AT_THE_END = """
import atexit, os, sys
atexit.register(os.kill, os.getpid(), 2)
sys.argv[1:] = ["--version"]
from birkhoff_cli.__main__ import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("code, expected", [(IN_FINALIZER, 143), (AT_THE_END, 0)])
def test_a_signal_inside_a_finalizer_is_neither_lost_nor_printed(code, expected):
    """Python prints what is raised there, and goes on: a report was written to its end."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (expected, "")


def test_nothing_is_said_of_what_follows_a_signal(monkeypatch, capsys):
    """A part of NumPy in C drops what a signal raises, and cannot be imported: it was to blame."""
    monkeypatch.setattr(process, "_first", signal.SIGTERM)
    assert app._say(4, "numpy is installed in part") == 143
    assert capsys.readouterr() == ("", "")


IMPORTS = """
import builtins, os, signal, sys
real, left, signum = builtins.__import__, int(sys.argv.pop(1)), int(sys.argv.pop(1))
libraries = 'typer', 'numpy', 'birkhoff_cli', 'rich', 'pyarrow', 'scipy', 'matplotlib', 'torch'
def counted(name, *rest, **more):
    global left
    if left == 0:
        print('reached', file=sys.stderr)
        left = -1  # once: what drops the exception is not sent another
        os.kill(os.getpid(), signum)
    left -= name.partition('.')[0] in libraries
    return real(name, *rest, **more)
from birkhoff_cli.__main__ import main
from birkhoff_cli import process
builtins.__import__ = counted
sys.argv[0] = 'birkhoff'
main()
"""


def stopped(number, signum, *words):
    """Whether a command has so many imports; it ends quietly if a signal comes at that one."""
    command = [sys.executable, "-c", IMPORTS, str(number), str(int(signum)), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not done.stderr:
        assert done.returncode == 0, number
        return False
    assert (done.returncode, done.stderr, done.stdout) == (128 + signum, "reached\n", ""), number
    return True


def test_a_signal_while_libraries_are_imported_ends_quietly():
    """The signal comes at some modules in turn, from the first that the command imports."""
    for number in (0, 1, 2, 5, 20, 60):
        assert stopped(number, signal.SIGTERM, "methods"), number


IN_C = """
import builtins, os, signal, sys
real, names = builtins.__import__, []
def imported(name, *rest, **more):
    if 'pyarrow.lib' in sys.modules:
        names.append(name)
        if names.count('datetime') == 2:  # the first is imported by what C imports
            builtins.__import__ = real
            print('reached', file=sys.stderr)
            os.kill(os.getpid(), signal.SIGTERM)
    return real(name, *rest, **more)
builtins.__import__ = imported
from birkhoff_cli.__main__ import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_signal_while_a_module_written_in_c_imports_ends_quietly(tmp_path):
    """What the signal raised came out in C++, which aborted."""
    words = ("sample", "--method", "mhc", "-n", "5", "-q", "-o", str(tmp_path / "a.parquet"))
    done = subprocess.run(
        [sys.executable, "-c", IN_C, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr, done.stdout) == (143, "reached\n", "")
    assert not list(tmp_path.iterdir())


EVERY = "sample --method mhc -n 5 -q -o {}/a.parquet"
PICTURE = "spectrum --method mhc -n 50 -q --plot {}/a.png"
TRAINING = "train --method mhc --updates 1 -q -o {}/run"


@pytest.mark.release
@pytest.mark.parametrize(
    "words, name, step",
    [(EVERY, name, 1) for name in process.STOPPING]
    + [(PICTURE, "SIGINT", 3), (TRAINING, "SIGTERM", 53)],
)
def test_a_signal_at_every_import_ends_quietly(words, name, step, tmp_path):
    """Training keeps a run that was stopped after its plan was written: it goes on from there."""
    number = 0
    while stopped(number, getattr(signal, name), *words.format(tmp_path).split()):
        left = {path.name for path in tmp_path.glob("*")}
        assert left <= ({"run"} if words == TRAINING else set()), number
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        number += step


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    "words, shown",
    [
        (("watch", "hc.ndjson"), "\\u2581\\u2583"),
        (("watch", "hc.ndjson", "--json"), "\\u2581\\u2583"),
        (("watch", "hc.ndjson", "-o", "\xe4.csv"), ""),
        (("report", "\xfc.npy", "-o", "\xf6.html"), ""),
    ],
)
def test_an_ascii_terminal_gets_escapes(words, shown, birkhoff, tmp_path):
    """Letters of a curve and names of outputs were called a bug of ours."""
    (tmp_path / "hc.ndjson").write_text(files_of_tests.monitor_log())
    np.save(tmp_path / "\xfc.npy", np.full((2, 3, 3), 1 / 3))
    done = birkhoff(*words, env=ASCII)
    assert done.returncode == 0 and shown in done.stdout and done.stdout.isascii(), done.stderr
    if "--json" in words:
        assert json.loads(done.stdout)["curves"][0]["depth"].startswith("\u2581")
    if "-o" in words:
        assert (tmp_path / words[-1]).exists()
    if "report" in words:
        assert 'href="%C3%B6_files/' in (tmp_path / words[-1]).read_text("utf-8")
