"""What the command sets in its own process: threads, signals, memory. Importing sets nothing."""

import gc
import os
import signal
from collections.abc import Callable
from typing import Any

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables that numerical libraries read when they are loaded."""

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that stop a command; Windows has no SIGHUP."""

FREED = 30 << 20
"""Bytes: below glibc's largest threshold, 32 MiB, and above the temporaries of a step."""


def prepare(stop: Callable[[int, Any], Any]) -> None:
    """Set up the process of the command before anything large is imported.

    Args:
        stop: called with the number of a signal that stops the command.
    """
    gc.set_threshold(100_000)  # importing makes many objects and no garbage
    for name in THREADS:
        os.environ.setdefault(name, "1")  # our matrices are too small to share out: torch is up to
        # 8 times slower with two threads, and numpy's idle ones take a third of the time it starts
    for name in STOPPING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def keep_freed_memory() -> None:
    """Let glibc keep the temporaries of every later step.

    It hands freed memory back to the kernel beyond a threshold that grows to the largest block it
    has unmapped. Having freed one large block it keeps smaller ones instead of faulting their pages
    in anew: elementwise arithmetic runs three times faster. Other allocators do not mind.
    """
    import numpy as np

    np.empty(FREED, dtype=np.uint8)
