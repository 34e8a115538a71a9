"""The same bytes wherever the work is done: here, in processes, on a dask scheduler."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import forked
from birkhoff_cli import Recorder, engines, folding, pilot, sharing
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from conftest import ROOT

COMMANDS = {
    "drawn": ("spectrum", "--method", "mhc", "--d", "3", "-n", "20000"),
    "drift": ("depth-drift", "parts"),
    "degeneration": ("degeneration", "parts"),
}
OTHERS = (
    ("sample", "--method", "mhc", "-n", "20000"),
    ("heatmap", "parts"),
    ("sinkhorn", "parts"),
    ("slice", "parts"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trace of three blocks or so in uneven parts."""
    folder = tmp_path_factory.mktemp("engines")
    rng = np.random.default_rng(0)
    (folder / "parts").mkdir()
    for k, n in enumerate((1, 4000, 900, 3, 3000)):
        with Recorder(folder / "parts" / f"rank{k}.parquet", {"model": "GPT"}) as recorder:
            for site in range(12):
                h = rng.dirichlet(np.ones(4), (n, 4)).astype(np.float32)
                recorder.add(site // 2, ("attn", "mlp")[site % 2], h)
    return folder


def outcome(birkhoff, folder, words, engine, name="t.parquet"):
    done = birkhoff(*words, "--engine", engine, "--json", "-o", name, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / name).read_bytes()


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_two_processes_give_the_bytes_of_one(words, birkhoff, folder):
    one, two = (outcome(birkhoff, folder, words, engine) for engine in "12")
    assert one == two


@pytest.mark.release
@pytest.mark.parametrize("words", OTHERS, ids=[words[0] for words in OTHERS])
def test_two_processes_give_the_bytes_of_one_of_every_other_analysis(words, birkhoff, folder):
    one, two = (outcome(birkhoff, folder, words, engine) for engine in "12")
    assert one == two


@pytest.mark.parametrize("name", ["one.parquet", "every", "every/../parts"])
def test_what_is_behind_a_link_is_the_same_to_every_process(name, folder, tmp_path):
    """Metadata show the name of the link, as a model's that is in the cache of a hub."""
    (tmp_path / "one.parquet").symlink_to(folder / "parts" / "rank1.parquet")
    (tmp_path / "every").symlink_to(folder / "parts", target_is_directory=True)
    words = ("spectrum", name, "--json", "--engine")
    one, two = (forked.call((*words, engine), tmp_path) for engine in "12")
    assert one.code == 0 and one == two


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_files_of_one_process_are_read_by_that_one(name):
    request = SimpleNamespace(paths=lambda: [Path("a.parquet"), Path(name)])
    assert folding.why_whole(SimpleNamespace(fold=object()), request)
    request = SimpleNamespace(paths=lambda: [Path("a.parquet"), Path("/dev/shm/b")])
    assert folding.why_whole(SimpleNamespace(fold=object()), request) is None


class Counted:
    """Blocks that are numbers."""

    blocks = 40

    def read(self, numbers):
        return iter(numbers)


class Sum(Fold):
    """The numbers in the order of blocks, as rows too."""

    def start(self):
        return []

    def add(self, state, number, block):
        assert number == block
        state.append(block)
        return {"block": [block]}

    def merge(self, state, other):
        return state + other

    def finish(self, state):
        return (), {"blocks": state}


def fold_on(pool_work, helps):
    """Rows and summary of `Sum` where ranges are worked on by ``pool_work``."""
    from forked import Inline

    def submit(pool, first, last):
        return pool.submit(pool_work, first, last)

    def walk(fold, source):
        shared = sharing.Shared(fold, source, lambda: Entered(Inline()), submit, True, helps)
        return shared.walk(range(3, source.blocks), [0, 1, 2])

    result = run_fold(Sum(), Counted(), (), {})
    result.walk = walk
    return list(result.steps), result.summarise()


class Entered:
    def __init__(self, pool):
        self.pool = pool

    def __enter__(self):
        return self.pool

    def __exit__(self, *_):
        return False


def range_of(first, last):
    fold, state = Sum(), []
    return [fold.add(state, k, k) for k in range(first, last)], state


@pytest.mark.parametrize("helps", [False, True])
def test_what_a_killed_process_left_is_done_here(helps):
    from concurrent.futures.process import BrokenProcessPool

    def killed(first, last):
        if first > 12:
            raise BrokenProcessPool("killed")
        return range_of(first, last)

    rows, summary = fold_on(killed, helps)
    assert [row["block"][0] for row in rows] == list(range(3, 40))
    assert summary == {"blocks": list(range(40))}


@pytest.mark.parametrize("where", ["__init__", "submit"])
@pytest.mark.parametrize("error", [BlockingIOError(11, "try again"), OSError(38, "no semaphores")])
def test_where_no_process_starts_all_is_done_here(where, error, monkeypatch):
    """In a container with a limit on processes, without /dev/shm, or inside a daemon."""
    from concurrent.futures import ProcessPoolExecutor

    def refuse(*words, **more):
        del words, more
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, where, refuse)
    shared = sharing.Shared(
        Sum(),
        Counted(),
        lambda: engines.executor("1", 40),
        lambda pool, first, last: pool.submit(range_of, first, last),
        rows=True,
        helps=True,
    )
    walk, state = list_and_state(shared.walk(range(3, 40), [0, 1, 2]))
    assert len(walk) == 37 and state == list(range(40))


def test_a_process_that_begins_is_not_interrupted_and_one_that_works_is(monkeypatch):
    from concurrent.futures import ProcessPoolExecutor

    seen, submit = [], ProcessPoolExecutor.submit

    def watched(pool, *words):
        seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return submit(pool, *words)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", watched)
    with engines.executor("1", 1) as pool:
        at_work = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert seen == [{signal.SIGINT}] and not at_work
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("helps", [False, True])
def test_ranges_are_merged_in_order(helps):
    rows, summary = fold_on(range_of, helps)
    assert [row["block"][0] for row in rows] == list(range(3, 40))
    assert summary == {"blocks": list(range(40))}


class Late(Future):
    """What a worker does while this process goes on; it ends when somebody has to wait for it."""

    def __init__(self, first, last):
        super().__init__()
        self.range = first, last

    def result(self, timeout=None):
        if not self.done():
            self.set_result(range_of(*self.range))
        return super().result(timeout)


@pytest.mark.parametrize("rows", [False, True])
def test_this_process_works_while_it_would_only_wait(rows):
    """It takes the first range, and others while those of a slow worker are not there."""
    sent = []

    def submit(pool, first, last):
        del pool
        sent.append(range(first, last))
        return Late(first, last)

    shared = sharing.Shared(Sum(), Counted(), lambda: Entered(Pool()), submit, rows, helps=True)
    walk, state = list_and_state(shared.walk(range(40), []))
    assert state == list(range(40)) and len(walk) == 40
    theirs = [k for each in sent for k in each]
    assert theirs == sorted({*theirs}) and 0 not in theirs and 0 < len(theirs) < 30
    assert [sharing.share_of(left, 2, 64) for left in (64, 20, 3, 1)] == [16, 5, 1, 1]
    assert [sharing.share_of(left, 2, 1000) for left in (1000, 100, 17, 3)] == [250, 25, 15, 3]


@pytest.mark.parametrize("helps", [False, True])
@pytest.mark.parametrize("width", [1, 1000, 100_000])
def test_what_waits_for_its_turn_is_bounded_by_its_bytes(width, helps, monkeypatch):
    """Of narrow rows many ranges wait; of wide ones as few as there is room for."""
    waiting, most, limit = 0, 0, 1 << 20
    monkeypatch.setattr(sharing, "MAX_WAITING", limit)

    class Wide(Sum):
        def add(self, state, number, block):
            super().add(state, number, block)
            return {"block": np.full(width, block, np.int64)}

    def submit(_, first, last):
        nonlocal waiting, most
        waiting += 8 * width * (last - first)
        most = max(most, waiting)
        return Slow(sharing.work(Wide(), Counted(), range(first, last), True))

    class Slow(Late):
        def __init__(self, result):
            Future.__init__(self)
            self.own = result

        def result(self, timeout=None):
            nonlocal waiting
            del timeout
            waiting -= 8 * width * len(self.own[0])
            return self.own

    opened = lambda: Entered(SimpleNamespace(workers=4))  # noqa: E731
    shared = sharing.Shared(Wide(), Counted(), opened, submit, True, helps)
    rows, state = list_and_state(shared.walk(range(40), []))
    assert state == list(range(40)) and [r["block"][0] for r in rows] == list(range(40))
    one = 8 * width  # before anything is known of rows, each worker has two ranges of one block
    assert most <= max(limit + one, 8 * one) and (most > 4 * one or width > 1000)


class Pool:
    workers = 1


class Broken(Sum):
    """Each block from 20 on is one that cannot be read."""

    def add(self, state, number, block):
        if number >= 20:
            raise BadInput(f"block {number}")
        return super().add(state, number, block)


class LateAndBroken(Late):
    def result(self, timeout=None):
        del timeout
        return sharing.work(Broken(), Counted(), range(*self.range), True)


def test_the_first_block_that_cannot_be_read_is_named_wherever_it_is():
    """One process would stop there; this one may have met another while it worked ahead."""
    shared = sharing.Shared(
        Broken(),
        Counted(),
        lambda: Entered(Pool()),
        lambda _, *mine: LateAndBroken(*mine),
        rows=True,
        helps=True,
    )
    with pytest.raises(BadInput, match="block 20"):
        list_and_state(shared.walk(range(40), []))


def list_and_state(walk):
    rows = []
    while True:
        try:
            rows.append(next(walk))
        except StopIteration as end:
            return rows, end.value


@pytest.mark.parametrize(
    "block, rows, torch, shared",
    [
        (0.2, 0.0, False, True),
        (0.01, 0.0, False, False),  # 0.4 s in all
        (0.2, 0.3, False, False),  # writing rows takes longer than computing them
        (0.2, 0.0, True, False),  # 7 s are too few for processes that load torch
        (1.0, 0.0, True, True),
    ],
)
def test_work_is_shared_out_if_it_takes_long(block, rows, torch, shared, monkeypatch):
    now, taken = [0.0], []

    class Timed(Sum):
        def add(self, state, number, values):
            now[0] += block
            return super().add(state, number, values)

    def share(fold, source, blocks, state):
        taken.append(blocks)
        yield from pilot.fold_range(fold, source, blocks, state)
        return state

    monkeypatch.setattr(pilot, "Pace", partial(pilot.Pace, clock=lambda: now[0]))
    monkeypatch.setattr(pilot.sys, "modules", {"torch": None} if torch else {})
    pace = pilot.Pace(Counted.blocks)
    walk, seen = pilot.walk(Timed(), Counted(), share, pace), []
    while True:
        try:
            seen.append(next(walk))
            now[0] += rows
        except StopIteration as end:
            assert end.value == list(range(40)) and len(seen) == 40
            break
    assert [each.stop for each in taken] == ([40] if shared else [])
    assert pace.is_writing == (rows > block)  # an estimate divides by no cores then


def test_an_estimate_counts_no_more_processes_than_cores(monkeypatch):
    monkeypatch.setattr(engines, "cores", lambda: 2)
    for engine, count in (("3", 2), ("1", 1), (None, 2), ("dask=here", 9)):
        assert engines.at_a_time(engine, 9) == count


def test_an_estimate_counts_the_processes_that_there_will_be(monkeypatch):
    monkeypatch.setattr(folding.engines, "processes", lambda *_: 7)
    result = SimpleNamespace(fold=object(), total=9)
    for path, device, count in (("a", "cpu", 7), ("-", "cpu", 1), ("a", "cuda", 1)):
        words = {"device": device}
        request = SimpleNamespace(paths=lambda path=path: [Path(path)], get=words.get)
        assert folding.processes(result, request) == count


@pytest.mark.parametrize(
    "words",
    [
        ("region", "--kind", "karpelevic"),
        ("spectrum", "--method", "mhc", "-n", "9", "--part", "1/2", "-o", "p"),
    ],
)
def test_an_engine_of_the_environment_is_for_what_can_be_shared(words, tmp_path):
    def hook():
        os.environ["BIRKHOFF_ENGINE"] = "2"

    assert forked.call(words, tmp_path, hook).code == 0


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("spectrum", "--method", "mhc", "--engine", "many"), 2, "expected a number of processes"),
        (("region", "--kind", "karpelevic", "--engine", "2"), 2, "nothing to share out"),
        (("spectrum", "-", "--engine", "2"), 2, "a pipe is read once"),
    ],
)
def test_an_engine_that_cannot_be_is_one_line(words, code, said, birkhoff, folder):
    piped = {"input": (folder / "parts" / "rank0.parquet").read_bytes(), "text": False}
    done = birkhoff(*words, **piped)
    err = done.stderr.decode()
    assert (done.returncode, err.count("\n")) == (code, 1), err
    assert said in err


@pytest.mark.release
def test_a_process_that_is_killed_changes_no_byte(birkhoff, folder):
    import psutil

    words = ("spectrum", "--method", "go-mhc", "--s", "3", "--d", "8", "-n", "400000", "--json")
    whole = birkhoff(*words, "--engine", "1", cwd=folder).stdout
    command = [sys.executable, "-m", "birkhoff_cli", *words, "--engine", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True) as run:
        workers = []
        while run.poll() is None and not workers:  # the command itself is the other process
            children = psutil.Process(run.pid).children()
            workers = [c for c in children if "spawn_main" in " ".join(c.cmdline())]
            time.sleep(0.05)
        time.sleep(3)
        assert run.poll() is None
        os.kill(workers[0].pid, signal.SIGKILL)
        assert run.communicate()[0] == whole and run.returncode == 0


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as running:
        yield running


@pytest.mark.release
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_two_workers_of_dask_give_the_bytes_of_one_process(words, birkhoff, folder, cluster):
    here = outcome(birkhoff, folder, words, "1")
    there = outcome(birkhoff, folder, words, f"dask={cluster.scheduler_address}")
    assert here == there


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """One trace in 1, 4 and 32 uneven files."""
    folder = tmp_path_factory.mktemp("cuts")
    h = np.random.default_rng(1).dirichlet(np.ones(4), (9000, 12, 4)).astype(np.float32)
    for count, ends in ((1, []), (4, [1, 5000, 5003]), (32, [k * k * 9 for k in range(1, 32)])):
        (folder / str(count) / "trace").mkdir(parents=True)
        for k, (first, last) in enumerate(pairwise([0, *ends, len(h)])):
            path = folder / str(count) / "trace" / f"rank{k}.parquet"
            with Recorder(path, {"model": "GPT"}) as recorder:
                for site in range(12):
                    recorder.add(site // 2, ("attn", "mlp")[site % 2], h[first:last, site])
    return folder


@pytest.mark.release
@pytest.mark.parametrize("analysis", ["depth-drift", "degeneration"])
def test_a_trace_in_files_gives_the_same_bytes_on_every_engine(analysis, birkhoff, cuts, cluster):
    summaries = []
    for count in ("1", "4", "32"):
        engines = ("1", "2", f"dask={cluster.scheduler_address}")
        found = [outcome(birkhoff, cuts, (analysis, f"{count}/trace"), e) for e in engines]
        assert found.count(found[0]) == 3
        summaries.append(found[0][0])
    assert summaries.count(summaries[0]) == 3


@pytest.mark.release
def test_similarity_is_the_same_on_every_engine(birkhoff, folder, cluster):
    (folder / "examples").symlink_to(ROOT / "examples")
    words = ("similarity", "examples/mhc-lite.pt", "--inputs", "tokens=examples/val.bin")
    engines = ("1", "2", f"dask={cluster.scheduler_address}")
    found = [outcome(birkhoff, folder, (*words, "--sequences", "40"), e) for e in engines]
    assert found.count(found[0]) == 3


@pytest.mark.release
def test_a_worker_of_dask_that_is_killed_changes_no_byte(birkhoff, folder):
    """Or it ends in one line, if no other takes its place."""
    distributed = pytest.importorskip("distributed")
    words = ("spectrum", "--method", "go-mhc", "--s", "3", "--d", "8", "-n", "300000", "--json")
    whole = birkhoff(*words, "--engine", "1", cwd=folder).stdout
    with distributed.LocalCluster(
        2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as running:
        engine = f"dask={running.scheduler_address}"
        command = [sys.executable, "-m", "birkhoff_cli", *words, "--engine", engine]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, cwd=folder, text=True, **pipes) as run:
            time.sleep(8)
            assert run.poll() is None
            os.kill(next(iter(running.workers.values())).pid, signal.SIGKILL)
            out, err = run.communicate()
    assert (run.returncode, out) == (0, whole) or (run.returncode, err.count("\n")) == (6, 1), err


def test_a_worker_without_the_inputs_or_with_other_code_says_so(tmp_path):
    texts = (("path", (str(tmp_path / "absent.parquet"),)),)
    code = folding.code_digest("heatmap", dict(texts))
    with pytest.raises(BadInput, match="on a worker: .*absent.parquet: no such file; .*see the in"):
        folding.work(folding.Job("heatmap", texts, "", code), 0, 1, rows=False)
    with pytest.raises(Unsupported, match="other code"):
        folding.work(folding.Job("heatmap", texts, "", "0" * 64), 0, 1, rows=False)


@pytest.mark.release
def test_no_scheduler_and_no_workers_are_one_line(birkhoff, folder):
    pytest.importorskip("distributed")
    words = ("depth-drift", "parts", "--engine")
    scheduler = Path(sys.executable).with_name("dask")
    command = [scheduler, "scheduler", "--host", "127.0.0.1", "--port", "18786", "--no-dashboard"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as empty:
        idle = birkhoff(*words, "dask=tcp://127.0.0.1:18786", cwd=folder)
        empty.terminate()
    dead = birkhoff(*words, "dask=tcp://127.0.0.1:9", cwd=folder)
    for done, said in ((idle, "has no workers"), (dead, "no scheduler answers")):
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
        assert said in done.stderr
    assert json.loads(birkhoff(*words, "1", "--json", cwd=folder).stdout)["samples"] == 7904
