"""Where the cells of a sweep run: processes of this machine, or a dask scheduler."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from birkhoff_cli import process
from birkhoff_cli.analyses.core.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor


@contextmanager
def executor(engine: str | None, cells: int) -> "Iterator[Executor]":
    """Where cells run: as many processes as there are processors, a number, or a dask scheduler.

    Raises:
        UsageError: an engine that is none of these.
        ModuleNotFoundError: dask.distributed is not installed.
    """
    if engine is not None and engine.startswith("dask="):
        with _dask(engine.removeprefix("dask=")) as pool:
            yield pool
        return
    if engine is not None and not re.fullmatch("[1-9][0-9]{0,3}", engine):
        raise UsageError(f"--engine {engine}: expected a number of processes, or dask=ADDRESS")
    import multiprocessing  # only here: not every platform has its semaphores
    from concurrent.futures import ProcessPoolExecutor

    workers = min(int(engine or os.cpu_count() or 1), cells)
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the state of threads
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)
    try:
        yield pool
        pool.shutdown()
    except BaseException:  # an error of one cell, or a signal: what is done is kept
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _start_worker() -> None:
    """Let SIGINT kill workers silently; the parent reports it, and none outlives the parent."""
    import threading

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    process.keep_freed_memory()


def _end_with_parent() -> None:
    """End when the parent has: a worker holds both ends of its queue, and would wait for ever."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(128 + signal.SIGTERM)


@contextmanager
def _dask(address: str) -> "Iterator[Executor]":
    from distributed import Client

    with Client(address) as client:
        yield client.get_executor()
