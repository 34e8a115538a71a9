"""Bytes that travel: planned, merged, eight requests at a time, and each byte once.

What was read is kept until the process ends in one file without a name, with a list of the spans
in it: reading a byte again costs no request, memory does not grow, and a byte that was never read
cannot be taken for one.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from birkhoff_cli import progress
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, UsageError
from birkhoff_cli.places._place import Place
from birkhoff_cli.places._spans import Known, cut, merge

AT_ONCE = 8
"""Requests at a time."""

HEAD = 256 << 10
"""Bytes at the beginning of a file that are read together: headers of 2,000 tensors are so long."""

MAX_BYTES = 4 * 10**9
"""Bytes that one command reads, unless `VARIABLE` says another number."""

VARIABLE = "BIRKHOFF_MAX_DOWNLOAD"


class SpanCache:
    """What this process read, one span behind the other, in a file without a name."""

    def __init__(self) -> None:
        """Start with an empty file."""
        self.process = os.getpid()
        self._file = TemporaryFile(prefix="birkhoff-")  # noqa: SIM115 (open as long as we run)
        atexit.register(self._file.close)
        self._size = 0

    def put(self, data: bytes) -> int:
        """Keep bytes; returns where they are."""
        offset = self._size
        self._file.seek(offset)
        self._file.write(data)
        self._size += len(data)
        return offset

    def get(self, offset: int, count: int) -> bytes:
        """Bytes that were kept there."""
        self._file.seek(offset)
        return self._file.read(count)


class Share(NamedTuple):
    """What one of several processes of a command may read.

    Attributes:
        size: in bytes.
        processes: how many there are.
        before: bytes that the command had read before it started them.
    """

    size: int
    processes: int
    before: int


class Traffic:
    """How many bytes this command has read and is about to read."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """A new command."""
        self.planned = self.done = 0
        self.share: Share | None = None

    def plan(self, size: int, label: str) -> None:
        """Count what is about to be read.

        Raises:
            TooLarge: with it, the command would read more than it may.
        """
        limit = max_bytes() if self.share is None else self.share.size
        with self.lock:  # the first bytes of several files are counted by several threads
            planned = self.planned + size
            if planned <= limit:
                self.planned = planned
        if planned > limit:
            raise self._refusal(planned, limit, label)
        self.show()

    def _refusal(self, planned: int, limit: int, label: str) -> TooLarge:
        """The sentence about more than may be read, by the command or by one of its processes."""
        reader, whole = "one command reads", planned
        if self.share is not None:
            reader = f"each of {self.share.processes} more processes reads"
            whole = self.share.before + planned * self.share.processes
        return TooLarge(
            f"{label}: {megabytes(planned)} would be read over the network, and {reader} "
            f"{megabytes(limit)}; set {VARIABLE}={_rounded_up(whole):.0e}, or download it"
        )

    def readers(self, most: int) -> int:
        """How many more processes, at most so many, may each read as much as this one has."""
        return min(most, (max_bytes() - self.planned) // self.planned) if self.planned else most

    def divide(self, processes: int) -> "Share":
        """What each of so many processes may still read, so that all of them keep the bound."""
        left = max_bytes() if self.share is None else self.share.size
        return Share((left - self.planned) // processes, processes, self.planned)

    def add(self, size: int) -> None:
        """Count what has come."""
        with self.lock:
            self.done += size
        self.show()

    def show(self) -> None:
        """Say it on the line of the command."""
        progress.count(self.done, self.planned, f"reading {megabytes(self.planned)}")


def max_bytes() -> int:
    """Bytes that one command may read.

    Raises:
        UsageError: the variable holds no number.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return MAX_BYTES
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise UsageError(f"{VARIABLE} is no number of bytes; say 2e10") from None


def megabytes(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _rounded_up(size: int) -> int:
    digit: int = 10 ** (len(str(size)) - 1)
    return -(-size // digit) * digit


traffic = Traffic()
_lock = threading.RLock()
_caches: list[SpanCache] = []


def _cache() -> SpanCache:
    """The file of this process: one that was forked begins its own."""
    with _lock:
        if not _caches or _caches[-1].process != os.getpid():
            _caches.append(SpanCache())
        return _caches[-1]


class Blob:
    """One remote file.

    Attributes:
        place: where it is.
        name: its name there.
        size: in bytes.
    """

    def __init__(self, place: Place, name: str, size: int) -> None:
        self.place, self.name, self.size = place, name, size
        self._kept, self._known = _cache(), Known()

    @property
    def known(self) -> Known:
        """Spans of it that this process has read."""
        with _lock:
            if self._kept.process != os.getpid():
                self._kept, self._known = _cache(), Known()
            return self._known

    def get(self, position: int, count: int) -> bytes:
        """Bytes from a position on that are known together: at most ``count``, perhaps none."""
        with _lock:
            span = self.known.find(position)
            return b"" if span is None else self._kept.get(span[0], min(count, span[1]))

    def put(self, start: int, data: bytes) -> None:
        """Keep what came; what was known already is not kept twice."""
        with _lock:
            for a, b in self.known.missing(start, start + len(data)):
                self.known.add(a, b, self._kept.put(data[a - start : b - start]))

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """What is not known of a span, as far as the file goes."""
        with _lock:
            return self.known.missing(max(start, 0), min(stop, self.size))


@cache
def blob(place: Place, name: str, size: int) -> Blob:
    """The one of a file."""
    return Blob(place, name, size)


def fetch(ranges: Iterable[tuple[Blob, int, int]]) -> None:
    """Read spans of files, as few requests as that takes, several at a time.

    Raises:
        TooLarge: they are more than one command may read.
        BadInput: one cannot be had.
    """
    by_blob: dict[int, tuple[Blob, list[tuple[int, int]]]] = {}
    for blob, start, stop in ranges:
        by_blob.setdefault(id(blob), (blob, []))[1].extend(blob.missing(start, stop))
    jobs = [
        (blob, piece)
        for blob, spans in by_blob.values()
        for whole in merge(spans)
        for piece in cut(whole)
    ]
    if not jobs:
        return
    traffic.plan(sum(stop - start for _, (start, stop) in jobs), jobs[0][0].place.root)

    def work(job: tuple[Blob, tuple[int, int]]) -> None:
        blob, (start, stop) = job
        data = blob.place.read(blob.name, start, stop)
        if len(data) != stop - start:  # fewer would be the end of the file to whoever reads it
            raise BadInput(f"{blob.place.root}/{blob.name}: is cut short; read it again")
        blob.put(start, data)
        traffic.add(stop - start)

    each(work, jobs)


def each(work: Callable[[Any], object], jobs: Sequence[Any]) -> None:
    """Do every job, `AT_ONCE` at a time; the first error ends it.

    The threads are daemons: a signal does not wait for a server that says nothing.
    """
    if len(jobs) == 1:
        work(jobs[0])
        return
    todo: SimpleQueue[Any] = SimpleQueue()
    done: SimpleQueue[BaseException | None] = SimpleQueue()
    for job in jobs:
        todo.put(job)
    failed = threading.Event()

    def run() -> None:
        while not failed.is_set():
            try:
                job = todo.get_nowait()
            except Empty:
                return
            try:
                work(job)
            except BaseException as error:  # raised again in the thread that waits
                failed.set()
                done.put(error)
            else:
                done.put(None)

    for _ in range(min(AT_ONCE, len(jobs))):
        threading.Thread(target=run, daemon=True).start()
    try:
        for _ in jobs:
            if (error := done.get()) is not None:
                raise error
    finally:
        failed.set()
