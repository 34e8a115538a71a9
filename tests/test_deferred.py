"""A trace is read once: its digest is taken of the bytes that are read for its rows."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import forked
from birkhoff_cli import content, deferred, digest, matrices, tables
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError
from test_table_digests import written

SITES = 6


@pytest.fixture(scope="module", params=["parquet", "arrow"])
def path(request, tmp_path_factory):
    """A trace of some megabytes in several groups of rows."""
    path = tmp_path_factory.mktemp("put-off") / f"t.{request.param}"
    h = np.random.default_rng(0).dirichlet(np.ones(4), (12_000, SITES, 4)).astype(np.float32)
    path.write_bytes(written(tables.load(request.param), h, group=1 << 20))
    return path


def bytes_read():
    """By this process so far, from files or the cache of the system."""
    return int(Path("/proc/self/io").read_text().split()[1])


def read_whole(path):
    before = bytes_read()
    with deferred.deferring():
        trace = matrices.read(path)
        total = sum(block.sum(dtype=float) for block in trace)
        deferred.settle()
        sha256 = str(trace.meta["inputs"][0]["sha256"])
    return total, sha256, bytes_read() - before


def test_a_trace_is_read_once(path):
    read_whole(path)  # what is imported is read, too
    total, sha256, read = read_whole(path)
    size = path.stat().st_size
    assert size < read < 1.7 * size  # and its first part again: of what shape are matrices?
    assert total == pytest.approx(12_000 * SITES * 4)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("words", [("depth-drift",), ("degeneration",)], ids="".join)
def test_a_digest_that_is_put_off_changes_no_byte(words, path, tmp_path):
    def eagerly():
        content.LARGE = 1 << 60

    results = []
    for hook, engine in ((eagerly, "1"), (None, "1"), (None, "2")):
        more = (str(path), "--engine", engine, "-o", "o.parquet", "--json")
        done = forked.call((*words, *more), tmp_path, hook)
        assert done.code == 0, done.err
        results.append((done.out, done.err, (tmp_path / "o.parquet").read_bytes()))
    assert results[0] == results[1] == results[2]
    stamp = pq.read_schema(tmp_path / "o.parquet").metadata[b"birkhoff"].decode()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in stamp


@pytest.mark.parametrize(
    "more", [("1",), ("1", "-o", "o.parquet"), ("2", "--plot", "o.png")], ids=" ".join
)
def test_a_file_that_is_not_as_it_was_written_leaves_nothing(more, path, tmp_path):
    data = bytearray(path.read_bytes())
    (mark,) = digest.MARK.finditer(bytes(data))
    data[mark.start(1)] ^= 1  # of the digest itself: rows and metadata are right
    damaged = tmp_path / path.name
    damaged.write_bytes(data)
    done = forked.call(("degeneration", damaged.name, "--engine", *more), tmp_path)
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "is not as birkhoff wrote it" in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == [damaged.name, "tmp"]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_every_flipped_bit_is_refused_in_the_end(format, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "LARGE", 0)
    data = written(tables.load(format))
    path = tmp_path / "t"
    mark = digest.MARK.search(data)
    rng = np.random.default_rng(2)
    last = 8 * max(0, len(data) - 3000)
    for bit in sorted(
        {*rng.choice(8 * len(data), 200, replace=False).tolist(), *range(last, 8 * len(data), 67)}
    ):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if not matrices.recognises(path):
            continue
        with deferred.deferring():
            try:
                trace = matrices.read(path)
                for _ in trace:
                    pass
                deferred.settle()
            except BirkhoffError as error:
                assert "\n" not in str(error)
                continue
        assert mark.start() <= bit // 8 < mark.end(), f"bit {bit} is taken"
        assert trace.meta["assumptions"][0] == digest.ASSUMED


def test_a_file_that_is_replaced_meanwhile_is_refused(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with deferred.deferring():
        trace = matrices.read(copy)
        for _ in trace:
            pass
        (tmp_path / "other").write_bytes(path.read_bytes())
        (tmp_path / "other").replace(copy)
        with pytest.raises(BadInput, match="changed while it was read"):
            deferred.settle()
