"""Where blocks and the cells of a sweep run: processes of this machine, or a dask scheduler."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any

from birkhoff_cli import places, process
from birkhoff_cli.analyses.core import cgroups
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, UsageError
from birkhoff_cli.text import escape

if TYPE_CHECKING:
    from concurrent.futures import Executor


def check(engine: str) -> None:
    """Hold that an engine is a number of processes or ``dask=ADDRESS``.

    Raises:
        UsageError: it is neither.
    """
    if not re.fullmatch("[1-9][0-9]{0,3}|dask=.+", engine):
        raise UsageError(f"--engine {engine}: expected a number of processes, or dask=ADDRESS")


def cores() -> int:
    """Processors that this process may use: of those it is bound to, what its container allows."""
    known = hasattr(os, "sched_getaffinity")
    bound = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    allowed = cgroups.processors()
    return bound if allowed >= bound else max(1, ceil(allowed))


def processes(engine: str | None, blocks: int) -> int:
    """How many processes go over so many blocks; as many as there are cores, if nobody says.

    Each of them will hold about what this one does.
    """
    if engine is not None:
        return min(int(engine), blocks)
    import psutil

    from birkhoff_cli.analyses.core.memory import available

    room = available() // (2 * psutil.Process().memory_info().rss)
    most = max(1, min(cores(), blocks, 1 + int(room)))
    return 1 + places.readers(most - 1)


def workers_of(pool: "Executor") -> int:
    """About how many tasks it runs at a time."""
    workers: int = getattr(pool, "_max_workers", 0) or getattr(pool, "workers", 1)
    return workers


def most_workers(engine: str | None, tasks: int) -> int:
    """At most how many tasks are run at a time: all of them where that is not known.

    Raises:
        UsageError: an engine that is none.
    """
    if engine is not None:
        check(engine)
    if engine is not None and engine.startswith("dask="):
        return max(1, tasks)
    return max(1, min(int(engine or cores()), tasks))


def at_a_time(engine: str | None, tasks: int) -> int:
    """How many tasks go on at a time: more processes than cores make no work shorter."""
    most = most_workers(engine, tasks)
    return most if engine is not None and engine.startswith("dask=") else min(most, cores())


@contextmanager
def executor(engine: str | None, cells: int) -> "Iterator[Executor]":
    """Where tasks run: as many processes as there are cores, a number, or a dask scheduler.

    Raises:
        UsageError: an engine that is none of these.
        ModuleNotFoundError: dask.distributed is not installed.
        BrokenExecutor: this machine starts no processes for us.
    """
    workers = most_workers(engine, cells)
    if engine is not None and engine.startswith("dask="):
        with _dask(engine.removeprefix("dask=")) as pool:
            yield pool
        return
    import multiprocessing  # only here: not every platform has its semaphores

    pool = _early.pop() if _early else _processes(workers)
    try:
        yield pool
        pool.shutdown()
    except BaseException:  # an error of one cell, or a signal: what is done is kept
        with process.unstopped():
            children = multiprocessing.active_children()
            for child in children:
                child.terminate()
            for child in children:  # what they held locked can be removed then
                child.join(MAX_ENDING)
            pool.shutdown(cancel_futures=True)  # before, it would still write to them
        raise


MAX_ENDING = 5
"""Seconds in which a process that is terminated has ended."""


_early: list["Executor"] = []
"""Processes that were started before anybody knew what they will do."""

MAX_EARLY = 8
"""Processes that are started so: more than one block is all that is known of the work."""


@contextmanager
def started_early(engine: str | None, name: str) -> Iterator[None]:
    """Let the processes of an engine start, and import, while this one reads its inputs.

    Args:
        engine: that was asked for; dask's workers run already, and others begin if it takes long.
        name: of the command.
    """
    from concurrent.futures import BrokenExecutor

    count = int(engine) - 1 if engine is not None and engine.isdecimal() else 0
    if not 0 < count < min(cores(), MAX_EARLY) or places.has_typed():
        yield
        return
    with suppress(BrokenExecutor):
        pool = _processes(count)
        for _ in range(count):
            pool.submit(_get_ready, name)
        _early.append(pool)
    try:
        yield
    finally:
        while _early:  # nothing was to be shared out
            _early.pop().shutdown(wait=False, cancel_futures=True)


def _get_ready(name: str) -> None:
    """Import what a worker needs for a command."""
    from birkhoff_cli import folding, members, tables

    del folding
    members.module_of(name)
    tables.formats()


CANNOT_START = (OSError, ImportError, NotImplementedError, AssertionError, RuntimeError)
"""Where processes or their semaphores are too many or are none, and in daemons of multiprocessing.

RuntimeError is a thread that cannot be started, and a script without ``if __name__``.
"""


MAX_ON_WINDOWS = 61
"""Processes that Python waits for at a time there."""


def _processes(workers: int) -> "Executor":
    """So many processes, which are started when they have something to do.

    Raises:
        BrokenExecutor: none can be; so does ``submit``.
    """
    import multiprocessing
    from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor

    class Processes(ProcessPoolExecutor):
        """Those of this machine, one error for all that is against starting them."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
            """As of every executor."""
            try:
                with process.unstopped(), _interrupts_blocked():
                    return super().submit(fn, *args, **kwargs)
            except CANNOT_START as error:
                raise BrokenExecutor("no process can be started") from error

    try:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy the state of threads
        most = MAX_ON_WINDOWS if sys.platform == "win32" else workers
        count = min(workers, most)
        shares = (places.divide(count),)
        return Processes(count, mp_context=spawn, initializer=_start_worker, initargs=shares)
    except CANNOT_START as error:
        raise BrokenExecutor("no process can be started") from error


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes begin with SIGINT blocked: one that still imports would print a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(share: Any) -> None:
    """Let SIGINT kill workers silently; the parent reports it, and none outlives the parent.

    Args:
        share: what the process may read over a network.
    """
    import threading

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as of what runs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    process.keep_freed_memory()
    places.take(share)


def _end_with_parent() -> None:
    """End when the parent has: a worker holds both ends of its queue, and would wait for ever."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(128 + signal.SIGTERM)


WAIT = 10
"""Seconds that a scheduler, and the first of its workers, may take to answer."""


@contextmanager
def _dask(address: str) -> "Iterator[Executor]":
    """The workers of a scheduler. Both must be trusted: what they send is unpickled here.

    Raises:
        BadInput: nobody answers there, or no worker does.
        TooLarge: workers were killed again and again, or the scheduler ended.
    """
    from asyncio import CancelledError as Cancelled
    from concurrent.futures import CancelledError

    import distributed
    from distributed.comm import CommClosedError

    distributed.utils.logging.getLogger("distributed").setLevel("CRITICAL")  # we say it in a line
    where = f"--engine dask={escape(address)}"
    try:
        client = distributed.Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            f"{where}: no scheduler answers there; start it with 'dask scheduler', or leave "
            f"--engine out"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
            pool = client.get_executor(pure=False)
            pool.workers = sum(client.nthreads().values())
        except TimeoutError as error:
            raise BadInput(
                f"{where}: the scheduler has no workers; start some with 'dask worker "
                f"{escape(address)}'"
            ) from error
        try:
            yield pool
        except (distributed.KilledWorker, CommClosedError, CancelledError, Cancelled) as error:
            raise TooLarge(
                f"{where}: its workers or its scheduler were lost, perhaps for want of memory; "
                f"start them again and run the same command"
            ) from error
