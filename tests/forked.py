"""Commands in forks of one process that has imported everything: thousands of them in minutes."""

import contextlib
import gc
import importlib
import multiprocessing.util
import os
import pkgutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple

MAX_SECONDS = 120
"""Of a command, before it counts as one that does not end."""


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: its exit code; -9 of one that did not end, -N of one that signal N killed.
        out: what it printed.
        err: what it said on standard error.
    """

    code: int
    out: str
    err: str


class Inline(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The result, which is there already."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def warm_up() -> None:
    """Import what any command imports."""
    import psutil  # noqa: F401
    import torch._dynamo  # noqa: F401

    from birkhoff_cli import engines, files, members, outputs, preview, sweeps, tables  # noqa: F401

    for name in members.names():  # which also finds what other packages bring
        members.module_of(name)


LIBRARIES = (
    *("pyarrow.parquet", "pyarrow.ipc", "pyarrow.compute", "scipy.optimize", "rich.console"),
    *("matplotlib.style", "matplotlib.figure", "matplotlib.backends.backend_agg"),
    *("matplotlib.backends.backend_svg", "array_api_compat.torch", "ml_dtypes"),
)
"""What commands import as they run."""


def warm_up_all() -> None:
    """Import every module of ours, too, and what commands import as they run.

    A command then takes a third of the time; none of its imports happens while it runs.
    """
    import birkhoff_cli

    warm_up()
    for module in pkgutil.walk_packages(birkhoff_cli.__path__, "birkhoff_cli."):
        importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)


@contextlib.contextmanager
def _in_this_process(engine: str | None, cells: int) -> Iterator[Executor]:
    del engine, cells
    yield Inline()


def call(
    words: Sequence[str], folder: Path, hook: Callable[[], None] | None = None, inline: bool = True
) -> Ended:
    """Run a command in a fork of this process.

    Args:
        words: behind ``birkhoff``.
        folder: where it runs; temporary files go to ``tmp`` in it.
        hook: is called in the fork before the command is.
        inline: whether cells of a sweep run in the fork itself.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = _run(words, folder, (out.fileno(), err.fileno()), hook, inline)
            finally:
                os._exit(code)
        code = _wait(child)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Ended(code, *texts)


def _run(
    words: Sequence[str],
    folder: Path,
    streams: tuple[int, int],
    hook: Callable[[], None] | None,
    inline: bool,
) -> int:
    from birkhoff_cli import __main__, engines

    gc.freeze()  # what is here already is no garbage of the command: looking through it takes long
    os.chdir(folder)
    tempfile.tempdir = str(folder / "tmp")
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1)
    sys.argv = ["birkhoff", *words]
    warnings.simplefilter("ignore", ResourceWarning)  # as Python does, where pytest makes it errors
    if inline:
        engines.executor = _in_this_process
        engines.started_early = lambda *_: contextlib.nullcontext()
    if hook is not None:
        hook()
    try:
        try:
            __main__.main()
        finally:
            sys.setprofile(None)
            gc.collect()  # as the interpreter does at its end
            multiprocessing.util._run_finalizers()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        return 98


def _wait(child: int) -> int:
    """The exit code of a child, which is killed if it does not end."""
    end = time.monotonic() + MAX_SECONDS
    pause = 0.001
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.3, 0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL
