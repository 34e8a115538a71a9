"""What the command sets in its own process: threads, signals, memory. Importing sets nothing."""

import gc
import io
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.machinery import ExtensionFileLoader
from typing import Any, BinaryIO

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables that numerical libraries read when they are loaded."""

OF_FIGURES = ("MPLBACKEND", "SOURCE_DATE_EPOCH")
"""Variables that Matplotlib reads: we choose what draws, and write no date."""

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that stop a command; Windows has no SIGHUP."""

FREED = 30 << 20
"""Bytes: below glibc's largest threshold, 32 MiB, and above the temporaries of a step."""


class Stopped(BaseException):
    """A signal asked us to stop; everything on the way out cleans up after itself."""

    def __init__(self, signum: int) -> None:
        """Remember which one, for the exit code."""
        self.exit_code = 128 + signum


class PipeClosed(Exception):
    """Whoever read our output has had enough: the end, and no error."""

    exit_code = 141


_waiting: list[int] | None = None
"""Signals that came inside `unstopped`; None outside."""


TWICE = 1.0
"""Seconds within which another signal is the same wish: to a process, and to its group."""

_last, _first = -math.inf, 0
"""When `Stopped` was raised last, and the first signal that it was raised for."""


def _stop(signum: int, _frame: Any) -> None:
    if _waiting is not None:
        _waiting.append(signum)
    else:
        _stop_once(signum)


def _stop_once(signum: int) -> None:
    global _last, _first
    now = time.monotonic()
    if now - _last > TWICE:  # else what is on the way out would be interrupted as it cleans up
        _last, _first = now, _first or signum
        raise Stopped(signum)


def stopped() -> int | None:
    """The exit code of the first signal that stopped this process; None if none has.

    What is written in C, such as a part of NumPy as it is imported, drops the exception and
    raises one of its own.
    """
    return 128 + _first if _first else None


def heed() -> None:
    """Stop if a signal has come whose exception was dropped on the way: nobody is cleaning up."""
    if _first:
        raise Stopped(_first)


def _print_unstopped(*error: Any) -> None:
    """Print an error as Python does, but not what a signal raised, or what follows from it."""
    if stopped() is None:
        sys.__excepthook__(*error)


def _stop_again(dropped: Any) -> None:
    """Let a signal come again whose exception Python has dropped, as in a finalizer.

    Args:
        dropped: as Python hands it to `sys.unraisablehook`.
    """
    error = dropped.exc_value
    if not isinstance(error, Stopped):
        sys.__unraisablehook__(dropped)
        return

    def stop(_signum: int, _frame: Any) -> None:
        raise error

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SOON)


SOON = 0.01
"""Seconds after which a finalizer is over, or else the signal comes once more."""


@contextmanager
def unstopped() -> Iterator[None]:
    """Let a signal wait until the block ends: what is inside is done wholly, and soon.

    Raises:
        Stopped: one has come.
    """
    global _waiting
    if _waiting is not None:  # inside another one
        yield
        return
    _waiting = []
    try:
        yield
    finally:
        waiting, _waiting = _waiting, None
        if waiting:
            _stop_once(waiting[0])


@cache  # once in a process
def load_whole() -> None:
    """Let a signal wait while a module written in C is loaded.

    What such a module imports on its way comes back to C, which drops what a signal raises, and
    blames a library, or aborts.
    """
    for name in ("create_module", "exec_module"):  # a module does its work in either
        setattr(ExtensionFileLoader, name, unstopped()(getattr(ExtensionFileLoader, name)))


def prepare() -> None:
    """Set up the process of the command before anything large is imported."""
    global _last, _first
    _last, _first = -math.inf, 0  # a fork may have those of its parent
    gc.set_threshold(100_000)  # importing makes many objects and no garbage
    occupy_closed_streams()
    wait_for_readers()
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without a letter gets its number
        with suppress(OSError):  # whatever it is by now is said where something is written
            sys.stdout.reconfigure(errors="backslashreplace")
    for name in THREADS:
        os.environ.setdefault(name, "1")  # our matrices are too small to share out: torch is up to
        # 8 times slower with two threads, and numpy's idle ones take a third of the time it starts
    for name in OF_FIGURES:  # one that it cannot read ends it in ways of its own
        os.environ.pop(name, None)
    for signum in stopping():
        signal.signal(signum, _stop)
    load_whole()
    sys.excepthook = _print_unstopped
    if hasattr(signal, "setitimer"):  # Windows has none
        sys.unraisablehook = _stop_again


def stopping() -> list[int]:
    """Signals that stop a command: not those that whoever started it wants ignored, as nohup does.

    A shell lets what it runs in the background ignore SIGINT.
    """
    every = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    return [signum for signum in every if signal.getsignal(signum) != signal.SIG_IGN]


def finish() -> None:
    """Let no signal come any more: all is written, and Python would print what it interrupts."""
    for signum in stopping():
        signal.signal(signum, signal.SIG_IGN)


STREAMS = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How closed descriptors of standard streams are opened: onto 1 nothing can be written."""


def occupy_closed_streams() -> None:
    """Let no file be standard output or error by its number: libraries of C write to them."""
    for number, mode in STREAMS.items():
        try:
            os.fstat(number)
        except OSError:  # those below are open: it becomes the lowest number that is free
            with suppress(OSError):
                os.open(os.devnull, mode)


def wait_for_readers() -> None:
    """Let standard output and error wait where whoever started us made them non-blocking.

    Python drops what a full pipe does not take at once, and says so or not.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not is_blocking(number):
            form = (stream.encoding, stream.errors, None, stream.line_buffering)
            setattr(sys, name, io.TextIOWrapper(patient(number), *form))


def is_blocking(number: int) -> bool:
    """Whether a write to a descriptor waits until there is room."""
    try:
        return os.get_blocking(number)
    except (OSError, AttributeError):  # closed; Windows has no such descriptors
        return True


def patient(number: int) -> BinaryIO:
    """A file that writes to a descriptor, and waits until that takes what is written."""
    from select import select

    class Patient(io.FileIO):
        """Writes when there is room."""

        def write(self, data: Any, /) -> int:
            """As many bytes as there is room for."""
            while (count := super().write(data)) is None:
                select((), (self,), ())
            return count

    return io.BufferedWriter(Patient(number, "wb", closefd=False))


def keep_freed_memory() -> None:
    """Let glibc keep the temporaries of every later step.

    It hands freed memory back to the kernel beyond a threshold that grows to the largest block it
    has unmapped. Having freed one large block it keeps smaller ones instead of faulting their pages
    in anew: elementwise arithmetic runs three times faster. Other allocators do not mind.
    """
    import numpy as np

    np.empty(FREED, dtype=np.uint8)
