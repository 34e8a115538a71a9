"""The blocks of a command's fold gone over in several processes, or on a dask scheduler.

A worker is told the command and the texts of its options, and makes the same fold of them: nothing
of it travels but the numbers of blocks, and back come rows and a state. States are merged in the
order of blocks, so that the result is the same bytes wherever the work was done.
"""

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from birkhoff_cli import content, deferred, engines, members, packages, places, provenance, sharing
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, Unsupported, UsageError
from birkhoff_cli.analyses.core.fold import Blocks, Fold, fold_range
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.binding import bind
from birkhoff_cli.matrices import STDIN
from birkhoff_cli.options import Text
from birkhoff_cli.pilot import Share, Walk
from birkhoff_cli.request import Request

PRIVATE = ("/dev/stdin", "/dev/fd/", "/proc/")
"""Beginnings of names that mean other files in another process."""


@dataclass(frozen=True)
class Job:
    """A command that a worker runs a part of.

    Attributes:
        name: of the command.
        texts: of its options, as pairs, with whole paths.
        facts: digest of what the run says of its inputs, where it was planned.
        code: digest of the code there; None for processes of this machine.
        file_facts: what was found out about files there, see `content.trust`.
    """

    name: str
    texts: tuple[tuple[str, Text], ...] = field(repr=False)  # a worker of dask logs what it runs
    facts: str
    code: str | None = None
    file_facts: tuple[tuple[content.Fact, Any], ...] = ()


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
    content.trust(dict(job.file_facts))
    try:
        with _digests_of(job):
            binding, request = bind(members.module_of(job.name), texts)
            result = binding.prepare(request)()
    except BirkhoffError as error:
        if job.code is None:
            raise
        raise type(error)(f"on a worker: {error}; every worker has to see the inputs") from error
    if _facts_of(result, job.code) != job.facts or result.fold is None:
        places.forget()  # a worker of dask is there for the next command, too
        raise BadInput("an input was changed while the command ran; run it again")
    return result.fold


def _facts_of(result: Result, code: str | None) -> str:
    """What tells the inputs of a result; on another machine by their digests alone."""
    return (provenance.fingerprint_of if code is None else provenance.digest_of)(result.meta)


def _digests_of(job: Job) -> AbstractContextManager[None]:
    """Where digests are found out: on this machine by the process of the command."""
    return deferred.deferring("elsewhere") if job.code is None else nullcontext()


def work(job: Job, first: int, last: int, rows: bool) -> sharing.Done:
    """Rows and state of a range of blocks of a command, in a worker."""
    fold, source = _prepared(job)
    return sharing.work(fold, source, range(first, last), rows)


def spread(
    result: Result, name: str, request: Request, engine: str, rows: bool, typed: bool = True
) -> None:
    """Let the blocks of a result's fold be gone over by an engine.

    Args:
        result: of the command, nothing of it computed yet.
        name: of the command.
        request: narrowed.
        engine: a number of processes, or ``dask=ADDRESS``.
        rows: whether anybody looks at the rows of blocks.
        typed: whether it is for this command; the environment's is for those that can be shared.

    Raises:
        UsageError: there is nothing to share out.
    """
    engines.check(engine)
    if why := why_whole(result, request):
        if typed and engine != "1":
            raise UsageError(
                f"--engine {engine} has nothing to share out here: {why}; leave it out"
            )
        return
    if engine != "1":
        result.workers = lambda: engines.at_a_time(engine, result.total)
        share = sharer(result, name, request, rows, engine)
        result.walk = lambda fold, source: share(fold, source, range(source.blocks), fold.start())


def why_whole(result: Result, request: Request) -> str | None:
    """Why the work of a result cannot be shared out; None if it can."""
    paths = [path for path in request.paths() if not places.is_remote(path)]
    if any(path == STDIN for path in paths):
        return "a pipe is read once"
    if any(str(path.absolute()).startswith(PRIVATE) for path in paths):
        return f"{' and '.join(PRIVATE)} are other files to another process"
    return None if result.fold else "it goes over no samples, or over a series"


def processes(result: Result, request: Request) -> int:
    """How many processes go over the blocks of a result, if nobody says and it takes long."""
    if _is_on_device(request) or why_whole(result, request):
        return 1
    return engines.processes(None, result.total)


def _is_on_device(request: Request) -> bool:
    """Whether processes would share what cannot be shared."""
    return bool(request.get("device") == "cuda")


def sharer(
    result: Result, name: str, request: Request, rows: bool, engine: str | None = None
) -> Share:
    """How blocks of a result's fold are shared out, where they can be.

    Args:
        result: of the command.
        name: of the command.
        request: narrowed.
        rows: whether anybody looks at the rows of blocks.
        engine: a number of processes, or ``dask=ADDRESS``; None: every core.
    """
    remote = engine is not None and engine.startswith("dask=")
    on_device = engine is None and _is_on_device(request)

    def job() -> Job:
        texts = request.absolute()
        code = code_digest(name, texts) if remote else None
        facts, file_facts = _facts_of(result, code), tuple(content.facts().items())
        return Job(name, tuple(texts.items()), facts, code, file_facts)

    def share(fold: Fold[Any, Any], source: Blocks[Any], blocks: range, state: Any) -> Walk:
        others = engine if remote else str(engines.processes(engine, len(blocks)) - 1)
        if not blocks or others == "0" or on_device or why_whole(result, request):
            yield from fold_range(fold, source, blocks, state)
            return state
        task = job()

        def submit(pool: Executor, first: int, last: int) -> "Future[sharing.Done]":
            return pool.submit(work, task, first, last, rows)

        def pool() -> AbstractContextManager[Executor]:
            return engines.executor(others, len(blocks))

        shared = sharing.Shared(fold, source, pool, submit, rows, helps=not remote)
        with deferred.settling():
            return (yield from shared.walk(blocks, state))

    return share
