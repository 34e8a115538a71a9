"""The blocks of a command's fold gone over in several processes, or on a dask scheduler.

A worker is told the command and the texts of its options, and makes the same fold of them: nothing
of it travels but the numbers of blocks, and back come rows and a state. States are merged in the
order of blocks, so that the result is the same bytes wherever the work was done.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from birkhoff_cli import content, engines, members, packages, pilot, provenance, sharing
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported, UsageError
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.binding import bind
from birkhoff_cli.options import Text
from birkhoff_cli.pilot import Walk
from birkhoff_cli.request import Request


@dataclass(frozen=True)
class Job:
    """A command that a worker runs a part of.

    Attributes:
        name: of the command.
        texts: of its options, as pairs, with whole paths.
        facts: digest of what the run says of its inputs, where it was planned.
        code: digest of the code there; None for processes of this machine.
        found: what was found out about files there, see `content.trust`.
    """

    name: str
    texts: tuple[tuple[str, Text], ...]
    facts: str
    code: str | None = None
    found: tuple[tuple[content.Found, Any], ...] = ()


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
    content.trust(dict(job.found))
    try:
        binding, request = bind(members.module_of(job.name), texts)
        result = binding.prepare(request)()
    except BirkhoffError as error:
        if job.code is None:
            raise
        raise type(error)(f"on a worker: {error}; every worker has to see the inputs") from error
    if provenance.digest_of(result.meta) != job.facts or result.fold is None:
        raise BadInput("an input was changed while the command ran; run it again")
    return result.fold


def work(job: Job, first: int, last: int, rows: bool) -> sharing.Done:
    """Rows and state of a range of blocks of a command, in a worker."""
    fold, source = _prepared(job)
    return sharing.work(fold, source, range(first, last), rows)


def spread(result: Result, name: str, request: Request, engine: str | None, rows: bool) -> None:
    """Let the blocks of a result's fold be gone over by an engine.

    Args:
        result: of the command, nothing of it computed yet.
        name: of the command.
        request: narrowed.
        engine: a number of processes, or ``dask=ADDRESS``; None: every core, if it takes long.
        rows: whether anybody looks at the rows of blocks.

    Raises:
        UsageError: there is nothing to share out.
    """
    if engine is not None:
        engines.check(engine)
    texts = request.absolute()
    piped = any("-" in text for text in texts.values() if isinstance(text, tuple))
    if result.fold is None or piped:
        if engine not in (None, "1"):
            why = "a pipe is read once" if piped else "it goes over no samples, or over a series"
            raise UsageError(
                f"--engine {engine} has nothing to share out here: {why}; leave it out"
            )
        return
    if engine == "1" or (engine is None and request.get("device") == "cuda"):
        return  # several processes would share one device

    def job() -> Job:
        remote = engine is not None and engine.startswith("dask=")
        facts, found = provenance.digest_of(result.meta), tuple(content.found().items())
        code = code_digest(name, texts) if remote else None
        return Job(name, tuple(texts.items()), facts, code, found)

    def share(fold: Fold[Any, Any], source: Blocks[Any], blocks: range, state: Any) -> Walk:
        return _share(fold, source, blocks, state, job, engine, rows)

    if engine is None:
        result.walk = lambda fold, source: pilot.walk(fold, source, share)
    else:
        result.walk = lambda fold, source: share(fold, source, range(source.blocks), fold.start())


def _share(
    fold: Fold[Any, Any],
    source: Blocks[Any],
    blocks: range,
    state: Any,
    job: Callable[[], Job],
    engine: str | None,
    rows: bool,
) -> Walk:
    """Consecutive blocks on an engine, into the state before them."""
    remote = engine is not None and engine.startswith("dask=")
    others = engine if remote else str(engines.processes(engine, len(blocks)) - 1)
    if not blocks or others == "0":
        yield from fold_range(fold, source, blocks, state)
        return state
    told = job()

    def submit(pool: Executor, first: int, last: int) -> "Future[sharing.Done]":
        return pool.submit(work, told, first, last, rows)

    shared = sharing.Shared(
        fold,
        source,
        open=lambda: engines.executor(others, len(blocks)),
        submit=submit,
        rows=rows,
        helps=not remote,
    )
    return (yield from shared.walk(blocks, state))
