"""What is piped in: judged as it comes, and kept on disk once it is large."""

import io
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices, spool
from birkhoff_cli.analyses.core import memory
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.spool import Spool
from birkhoff_cli.tables import _arrow_pipe, _incoming, _messages, _pages
from test_table_sizes import Endless, matrices_of
from test_tables import LABEL, formats, write

MIB = 1 << 20


@pytest.fixture
def pipe(monkeypatch):
    """Puts a pipe in the place of standard input."""

    def put(head, more=b""):
        raw = Endless(head, more) if more else io.BytesIO(head)
        file = io.BufferedReader(raw) if more else raw
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        return raw

    return put


@pytest.fixture
def small_machine(monkeypatch):
    """400 MiB are left: 50 may be read of a pipe whose end nothing says."""
    monkeypatch.setattr(memory, "available", lambda: 400 * MIB)


def table(rows=2000, **columns):
    values = pa.array(np.random.default_rng(0).random(4 * rows))
    inner = pa.FixedSizeListArray.from_arrays(values, 2)
    return pa.table({**columns, "matrix": pa.FixedSizeListArray.from_arrays(inner, 2)})


def arrow(make, whole):
    sink = io.BytesIO()
    with make(sink, whole.schema) as writer:
        writer.write_table(whole)
    return sink.getvalue()


def parquet(whole, **options):
    sink = io.BytesIO()
    pq.write_table(whole, sink, **options)
    return sink.getvalue()


@formats
@pytest.mark.parametrize("kept", [100, 1 << 30], ids=["on disk", "in memory"])
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_what_is_kept_on_disk_is_read_as_it_was_sent(format, kept, seekable, pipe, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", kept)
    data = write(format, 300, 3, seekable)
    pipe(data)
    trace = matrices.read(matrices.STDIN)
    assert np.array_equal(trace.matrices, matrices_of(format, data))
    assert trace.meta["inputs"][0]["size"] == len(data)


def test_a_pipe_takes_no_memory():
    kept = Spool(LABEL)
    tracemalloc.start()
    try:
        for k in range(80):
            kept.write(bytes([k]) * MIB)
        assert tracemalloc.get_traced_memory()[1] < spool.IN_MEMORY + 20 * MIB
    finally:
        tracemalloc.stop()
    content = kept.content()
    with content.open() as one, content.open() as other:
        assert other.seek(-3, 2) == 80 * MIB - 3 and other.read() == bytes([79]) * 3
        assert one.read(2) == bytes(2) and one.seek(79 * MIB - 1) and one.read(2) == b"\x4e\x4f"
        with pytest.raises((ValueError, OSError)):
            one.seek(-1)


def test_what_does_not_fit_on_the_disk_is_refused_before_it_comes(pipe, monkeypatch):
    monkeypatch.setattr(spool, "_free", lambda _: 30 * MIB)
    head = np.lib.format.magic(1, 0) + bytes([118, 0])
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000, 3, 3), }"
    source = pipe(head + shape.ljust(117) + b"\n", bytes(1024))
    with pytest.raises(TooLarge, match="does not fit into .* of which 0.0 GiB .*set TMPDIR"):
        matrices.read(matrices.STDIN)
    assert source.sent < MIB


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    "head, more",
    [
        (parquet(table()), bytes(1024)),
        (parquet(table()), b"y\n"),
        (b"matrix_0_0\n", b"1.0\n"),
        (b'{"matrix": [[1.0]]}\n', b'{"matrix": [[1.0]]}\n'),
    ],
    ids=["parquet", "text behind parquet", "csv", "ndjson"],
)
def test_what_has_no_end_is_refused_with_flat_memory(head, more, pipe, monkeypatch):
    """It was all in memory."""
    monkeypatch.setattr(_pages, "MAX_FOOTER", MIB)
    source = pipe(head, more)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="has no end after 0.0 GiB"):
            matrices.read(matrices.STDIN)
        assert tracemalloc.get_traced_memory()[1] < spool.IN_MEMORY + 20 * MIB
    finally:
        tracemalloc.stop()
    assert source.sent < 60 * MIB


STREAM, FILE = arrow(pa.ipc.new_stream, table()), arrow(pa.ipc.new_file, table())


@pytest.mark.parametrize(
    "head, more, said",
    [
        (STREAM, bytes(1024), "goes on behind its end"),
        (STREAM, STREAM, "goes on behind its end"),
        (FILE, bytes(1024), "goes on behind its end"),
        (STREAM[:-8], b"y\n" * 8, "cannot be understood"),
        (arrow(pa.ipc.new_stream, pa.table({"x": [1]})), STREAM, "no column 'matrix'"),
        (arrow(pa.ipc.new_stream, table(Site=[1] * 2000)), STREAM, "looks like 'site'"),
        (b"PAR1", b"y\n", "begins as Parquet and has no page"),
    ],
)
def test_what_can_be_no_table_is_refused_as_soon_as_that_is_known(
    head, more, said, pipe, monkeypatch
):
    for module in (_pages, _arrow_pipe):
        monkeypatch.setattr(module, "MAX_FOOTER", MIB)
    source = pipe(head, more)
    with pytest.raises(BadInput, match=said):
        matrices.read(matrices.STDIN)
    assert source.sent < 5 * MIB


def test_batches_without_number_are_refused(pipe, monkeypatch):
    """A list of all of them would fill memory."""
    for module in (_messages, _arrow_pipe):
        monkeypatch.setattr(module, "MAX_MESSAGES", 50)
    first = _messages.frame(STREAM)[0]
    batch = STREAM[first : -len(b"\xff\xff\xff\xff\0\0\0\0")]
    for more in (batch, b""):
        pipe(STREAM[:first] + batch * 60, more)
        with pytest.raises(TooLarge, match="more than 50 batches"):
            matrices.read(matrices.STDIN)


def test_batches_and_pages_of_any_size_and_cut_are_followed():
    data = arrow(pa.ipc.new_stream, table())
    pieces = parquet(table(sample=range(2000)), data_page_size=500, row_group_size=700)
    for whole, make in (
        (data, lambda: _arrow_pipe.Messages(LABEL, 0)),
        (pieces, lambda: _pages.Pages(LABEL, 4)),
    ):
        ends = []
        for step in (1, 7, 1000, len(whole)):
            incoming = make()
            for start in range(0, len(whole), step):
                incoming.take(whole[start : start + step])
            ends.append(incoming.whole)
        assert len({*ends}) == 1 and len(whole) // 2 < ends[0] <= len(whole)


@pytest.mark.usefixtures("small_machine")
def test_a_row_that_never_ends_is_no_row(monkeypatch):
    monkeypatch.setattr(_incoming, "MAX_LINE", 10)
    lines = _incoming.Lines(LABEL)
    lines.take(b"12345\n123456")
    lines.take(b"7890\n")
    lines.take(b"12345678")
    with pytest.raises(BadInput, match="no row"):
        lines.take(b"901")


def test_a_disk_that_is_full_is_said(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", full)
    with pytest.raises(BirkhoffError, match=r"\(No space left on device\); save it in a file"):
        Spool(LABEL).write(bytes(spool.IN_MEMORY + 1))
