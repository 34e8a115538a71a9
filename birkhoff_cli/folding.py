"""Where the blocks of a fold are gone over: here, in several processes, on a dask scheduler.

A worker is told the command and the texts of its options, and makes the same fold of them: nothing
of it travels but the numbers of blocks, and back come rows and a state. States are merged in the
order of blocks, so that the result is the same bytes wherever the work was done.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from birkhoff_cli import engines, members, packages, provenance
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.binding import bind
from birkhoff_cli.options import Text

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Walk = Generator[Columns, None, Any]

RANGES = 8
"""Ranges of blocks for every worker: the last ones to end do not wait long for one another."""


@dataclass(frozen=True)
class Job:
    """A command that a worker runs a part of.

    Attributes:
        name: of the command.
        texts: of its options, as pairs, with whole paths.
        facts: digest of what the run says of its inputs, where it was planned.
        code: digest of the code there; None for processes of this machine.
    """

    name: str
    texts: tuple[tuple[str, Text], ...]
    facts: str
    code: str | None = None


def code_digest(name: str, texts: Mapping[str, Text]) -> str:
    """Of the installation, and of a command and methods from elsewhere."""
    methods = [texts.get("method", ()), texts.get("sampler", ())]
    return provenance.digest_of([provenance.code_digest(), packages.digests(name, methods)])


@lru_cache(maxsize=1)
def _prepared(job: Job) -> tuple[Fold[Any, Any], Blocks[Any]]:
    """The fold of a job, made once in every worker.

    Raises:
        Unsupported: the code here is another.
        BadInput: an input is not here, or has changed.
    """
    texts = dict(job.texts)
    if job.code is not None and code_digest(job.name, texts) != job.code:
        raise Unsupported(
            "a worker has other code than the command that uses it; install the same on both"
        )
    binding, request = bind(members.module_of(job.name), texts)
    result = binding.prepare(request)()
    if provenance.digest_of(result.meta) != job.facts or result.fold is None:
        raise BadInput("an input was changed while the command ran; run it again")
    return result.fold


def work(job: Job, first: int, last: int, rows: bool) -> tuple[list[Columns], Any]:
    """Rows and state of a range of blocks; without ``rows`` the rows are left empty."""
    fold, source = _prepared(job)
    state = fold.start()
    steps = fold_range(fold, source, range(first, last), state)
    return [columns if rows else {} for columns in steps], state


def spread(result: Result, name: str, request: Any, engine: str, rows: bool) -> None:
    """Let the blocks of a result's fold be gone over by an engine.

    Args:
        result: of the command, nothing of it computed yet.
        name: of the command.
        request: narrowed.
        engine: a number of processes, or ``dask=ADDRESS``.
        rows: whether anybody looks at the rows of blocks.

    Raises:
        UsageError: there is nothing to share out.
    """
    engines.check(engine)
    texts = request.absolute()
    piped = any("-" in text for text in texts.values() if isinstance(text, tuple))
    if result.fold is None or piped:
        if engine != "1":
            why = "a pipe is read once" if piped else "it goes over no samples, or over a series"
            raise UsageError(
                f"--engine {engine} has nothing to share out here: {why}; leave it out"
            )
        return
    if engine == "1":
        return

    def job() -> Job:
        remote = engine.startswith("dask=")
        code = code_digest(name, texts) if remote else None
        return Job(name, tuple(texts.items()), provenance.digest_of(result.meta), code)

    result.walk = lambda fold, source: _walk(fold, source, job, engine, rows)


def _walk(fold: Fold[Any, Any], source: Blocks[Any], job: Any, engine: str, rows: bool) -> Walk:
    """Every block, on the engine."""
    blocks = range(source.blocks)
    if not blocks:
        return fold.start()
    return (yield from _shared(fold, source, blocks, fold.start(), _Way(job(), engine, rows)))


@dataclass(frozen=True)
class _Way:
    """What workers are told, where they are, and whether rows are to come back."""

    job: Job
    engine: str
    rows: bool


def _shared(
    fold: Fold[Any, Any], source: Blocks[Any], blocks: range, state: Any, way: _Way
) -> Walk:
    """Ranges of blocks on an executor, merged in order into the state of those before them."""
    from concurrent.futures import BrokenExecutor

    at = blocks.start
    try:
        with engines.executor(way.engine, len(blocks)) as pool:
            for columns, part, last in _in_order(pool, blocks, way):
                yield from columns
                state, at = fold.merge(state, part), last
    except BrokenExecutor:  # a process was killed: what is left is done here
        part = fold.start()
        yield from fold_range(fold, source, range(at, blocks.stop), part)
        state = fold.merge(state, part)
    return state


def _in_order(
    pool: "Executor", blocks: range, way: _Way
) -> Iterator[tuple[list[Columns], Any, int]]:
    """Rows, state and end of every range, a few of which are under way at any time."""
    workers = engines.workers_of(pool)
    size = max(1, -(-len(blocks) // (RANGES * workers)))
    ranges = [(k, min(k + size, blocks.stop)) for k in range(blocks.start, blocks.stop, size)]
    running: deque[tuple[Future[Any], int]] = deque()
    while ranges or running:
        while ranges and len(running) <= 2 * workers:
            first, last = ranges.pop(0)
            running.append((pool.submit(work, way.job, first, last, way.rows), last))
        task, last = running.popleft()
        columns, state = task.result()
        yield columns, state, last
