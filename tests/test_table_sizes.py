"""What a table becomes in memory is known before it is read, and one thread reads it."""

import io
import json
import struct
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices, stacks, tables
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.analyses.core.result import at_once
from birkhoff_cli.analyses.core.table import arrow_schema, column
from birkhoff_cli.content import Content, of_bytes
from birkhoff_cli.tables import _footer, _messages
from conftest import ROOT
from test_tables import LABEL, formats, write

LIMIT = 500 << 20
"""Bytes that any bad input may take: a process with its libraries has 150 MB."""


def measure(*words, input=None):
    """Exit code, standard error and peak memory of a command."""
    code = (
        "import re, sys\n"
        "from birkhoff_cli.app import main\n"
        f"sys.argv = ['birkhoff', *{list(map(str, words))!r}]\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "status = open('/proc/self/status').read()\n"  # ru_maxrss counts the parent's, too
        "print(code, re.search(r'VmHWM:\\s*(\\d+)', status)[1])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, input=input, capture_output=True, check=True)
    *_, last = done.stdout.decode().splitlines()
    code, peak = map(int, last.split())
    return code, done.stderr.decode(), peak << 10


def ones(d, rows=1, type_=None):
    """A table of matrices whose entries are all alike, as lists of any length or of one."""
    values = pa.array(np.ones(rows * d * d, np.float32))
    if type_ == "fixed":
        inner = pa.FixedSizeListArray.from_arrays(values, d)
        return pa.table({"matrix": pa.FixedSizeListArray.from_arrays(inner, d)})
    inner = pa.ListArray.from_arrays(np.arange(0, rows * d * d + 1, d, dtype=np.int32), values)
    outer = pa.ListArray.from_arrays(np.arange(0, rows * d + 1, d, dtype=np.int32), inner)
    return pa.table({"matrix": outer})


@pytest.mark.parametrize("type_", ["list", "fixed"])
def test_a_parquet_file_of_one_huge_matrix_is_refused_unread(type_, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(ones(8000, type_=type_), path, compression="zstd")
    assert path.stat().st_size < 200_000
    code, said, peak = measure("spectrum", path)
    assert code == 6 and said.count("\n") == 1 and "would become 0.2 GiB" in said
    assert peak < LIMIT


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream], ids=["file", "stream"])
def test_an_arrow_table_that_unfolds_is_refused_unread(make, tmp_path):
    path = tmp_path / "t.arrow"
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    facts = {"schema": "spectrum", "schema_version": 1, "meta": {}}
    table = pa.table({"re": np.zeros(60 << 20, np.float64)})
    table = table.replace_schema_metadata({"birkhoff": json.dumps(facts)})
    with path.open("wb") as file, make(file, table.schema, options=options) as writer:
        writer.write_table(table)
    del table
    assert path.stat().st_size < 1 << 20
    code, said, peak = measure("plot", path, "--plot", tmp_path / "a.png")
    assert code == 6 and said.count("\n") == 1 and "would become 0.5 GiB" in said
    assert peak < LIMIT


def test_an_arrow_message_that_says_more_than_the_footer_lists_is_refused_unread(tmp_path):
    """Arrow allocated what the message said: 3.6 GB for a file of 7 kB."""
    path = tmp_path / "t.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, ones(2).schema) as writer:
        writer.write_table(ones(2))
    with path.open("r+b") as file:
        schema = _messages.message(file, 8)
        header, body = _messages._header(file, schema.end)
        at = _messages.field(header, _messages.follow(header, 0), _messages.BODY_LENGTH)
        file.seek(body - len(header) + at)
        file.write(struct.pack("<q", 3 << 30))
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    with pytest.raises(BadInput, match="damaged"):
        _ = matrices.read(path).matrices
    assert pool.max_memory() - before < 1 << 20


def test_words_that_unfold_are_refused_unread(tmp_path):
    word = pa.array(["x" * (1 << 20)] * 100)
    columns = {"site": np.arange(100), "branch": word, "matrix": ones(2, 100)["matrix"]}
    plain = pa.table(columns)
    coded = plain.set_column(1, "branch", word.dictionary_encode())
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for name, table in (("plain", plain), ("coded", coded)):
        pq.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
        path = tmp_path / f"{name}.arrow"
        with path.open("wb") as file, pa.ipc.new_file(file, table.schema, options=options) as out:
            out.write_table(table)
    for path in sorted(tmp_path.iterdir()):
        assert path.stat().st_size < 50_000
        with pytest.raises(BirkhoffError, match="would become 0.1 GiB|word of over 1000 bytes"):
            matrices.read(path)


def test_standard_input_is_judged_by_its_beginning():
    """What never ends is refused at once, with what it is."""
    for text, said in (("y", "holds no matrices of a known format"), ("a,b", "without a column")):
        command = [sys.executable, "-m", "birkhoff_cli", "depth-drift", "-"]
        with subprocess.Popen(["yes", text], stdout=subprocess.PIPE) as endless:
            done = subprocess.run(
                command, stdin=endless.stdout, cwd=ROOT, capture_output=True, timeout=600
            )
            endless.kill()
        assert done.returncode == 3 and said in done.stderr.decode()


class Endless(io.RawIOBase):
    """A pipe that begins as a table and goes on without end, or one that is never a row."""

    def __init__(self, head, more):
        self.head, self.more, self.sent = head, more, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.head or self.more * (len(buffer) // len(self.more))
        self.head, size = data[len(buffer) :], min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self.sent += size
        return size


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "head, more, said",
    [
        (npy(np.eye(3)), bytes(1024), "goes on behind the 200 bytes that it says it has"),
        (b"matrix_0_0,b\n", b"1,", "has a line of over 64 MB"),
        (b'{"matrix": [[', b"1,", "has a line of over 64 MB"),
    ],
    ids=["npy", "csv", "ndjson"],
)
def test_a_pipe_that_never_ends_is_refused_before_it_fills_memory(head, more, said, monkeypatch):
    """It was read until a quarter of memory was full."""
    pipe = Endless(head, more)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    with pytest.raises(BadInput, match=said):
        matrices.read(matrices.STDIN)
    assert pipe.sent < 80 << 20


def test_a_long_array_and_long_lines_are_read_from_a_pipe(monkeypatch):
    h = np.random.default_rng(0).random((3, 1, 500, 500))
    rows = "".join(
        json.dumps({"sample": k, "matrix": m[0].tolist()}) + "\n" for k, m in enumerate(h)
    )
    for data in (npy(h), rows.encode()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert np.array_equal(matrices.read(matrices.STDIN).matrices, h)


def test_many_columns_of_text_are_read_and_written_in_their_number():
    """Four times the columns take no more than about four times the work."""

    def work(d):
        names = ",".join(f"matrix_{i}_{j}" for i in range(d) for j in range(d))
        data = f"{names}\n{','.join(['0.5'] * d * d)}\n".encode()
        schema = (column("matrix", f"matrix<float64>[{d}]", "a matrix"),)
        calls = 0

        def count(_frame, event, _arg):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            h = matrices_of(tables.load("csv"), data)
            made = at_once(schema, {"matrix": h[0]}, {})
            sink = io.BytesIO()
            tables.load("csv").write(
                made.batches(arrow_schema(schema)), arrow_schema(schema), sink, dict
            )
        finally:
            sys.setprofile(None)
        assert h.shape == (1, 1, d, d) and (h == 0.5).all()
        return calls

    small, large = work(20), work(40)
    assert large < 4.5 * small


def matrices_of(format, data):
    return format.trace(of_bytes(LABEL, data), {}).matrices


@pytest.mark.parametrize("shape", ["(True, 2, 2)", "(2, True, True)", "(True, True)"])
def test_a_shape_of_truth_values_is_refused(shape, tmp_path):
    file = io.BytesIO()
    np.save(file, np.ones((1, 2, 2)) if "2, 2" in shape else np.ones((2, 1, 1)))
    data = file.getvalue()
    start, stop = data.index(b"("), data.index(b")") + 1
    header = data[:start] + shape.encode() + data[stop:]
    cut = len(header) - len(data)
    data = header.replace(b" " * cut, b"", 1) if cut else header
    path = tmp_path / "t.npy"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="has shape .*True"):
        matrices.read(path)


def test_an_archive_that_unfolds_is_refused(tmp_path):
    path, data = tmp_path / "t.npz", io.BytesIO()
    np.save(data, np.zeros((20, 1000, 1000)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("H.npy", data.getvalue())
    assert path.stat().st_size < 20_000
    with pytest.raises(TooLarge, match="would become 0.1 GiB"):
        matrices.read(path)


@pytest.mark.parametrize("order", [("H", "half"), ("half", "H")])
def test_two_archives_in_one_file_are_refused(order, tmp_path):
    """The second one was read, and nothing said so."""
    path, parts = tmp_path / "t.npz", {}
    for name, factor in (("H", 1.0), ("half", 0.5)):
        parts[name] = io.BytesIO()
        np.savez(parts[name], H=factor * np.eye(3))
    path.write_bytes(b"".join(parts[name].getvalue() for name in order))
    for read in (matrices.read, stacks.read):
        with pytest.raises(BadInput, match="has something before its archive"):
            read(path)
    path.write_bytes(parts["H"].getvalue() + b"more")
    for read in (matrices.read, stacks.read):
        with pytest.raises(BadInput, match="does not end as a zip archive does"):
            read(path)


def test_a_column_that_only_later_rows_have_is_named(tmp_path):
    """The layers of all but the first row were left out."""
    rows = [{"site": k, "matrix": [[1.0]]} | ({"layer": 7} if k else {}) for k in range(3)]
    path = tmp_path / "t.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput, match="a column 'layer' in a later row and not in the first"):
        matrices.read(path)
    rows = [{"site": k, "matrix": [[1.0]], "branch": "layer"} for k in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(matrices.read(path).sites) == 3


class OneThread(io.BytesIO):
    """A file that notes who reads it."""

    readers: set[int]

    def read(self, *size):
        self.readers.add(threading.get_ident())
        return super().read(*size)

    def readinto(self, buffer):
        self.readers.add(threading.get_ident())
        return super().readinto(buffer)


@formats
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_one_thread_reads_a_file(format, seekable):
    data = write(format, 3000, 4, seekable)
    readers = set()

    @contextmanager
    def opened():
        file = OneThread(data)
        file.readers = readers
        yield file

    content = Content(LABEL, len(data), opened)
    stored = format.read(content)
    names = list(stored.schema.names)
    for chosen in (names, ["matrix"]):
        assert sum(map(len, stored.batches(chosen, 500))) == 3000
    assert readers == {threading.get_ident()}


def test_the_footer_counts_what_pyarrow_reads():
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "a": rng.random(1000),
            "i": pa.array(range(1000), pa.int32()),
            "m": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(4000)), 4),
            "l": pa.array([[1.0, 2.0]] * 1000),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=300, write_page_index=True)
    groups = _footer.row_groups(sink)
    assert [group.rows for group in groups] == [300, 300, 300, 100]
    assert groups[-1].sizes == {"a": 800, "i": 400, "m": 3200, "l": 1600}


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("make, start", [(pa.ipc.new_file, 8), (pa.ipc.new_stream, 0)])
def test_the_messages_count_what_pyarrow_reads(make, start, compression):
    table = pa.table({"a": np.zeros(1000), "d": pa.array(["x", "y"] * 500).dictionary_encode()})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    sink = io.BytesIO()
    with make(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=400)
        writer.write_batch(table.to_batches()[0][:0], custom_metadata={"a": "b", "c": ""})
    _, words, *batches, last = _messages.messages(sink, start)
    assert words.rows == 0 and 0 < words.size < 100
    assert [(batch.rows, batch.size) for batch in batches] == [
        *[(400, 400 * 12), (400, 400 * 12), (200, 200 * 12)]
    ]
    assert last.rows == 0 and last.metadata == {b"a": b"b", b"c": b""}


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_damaged_end_raises_nothing_that_is_not_expected(suffix, tmp_path):
    """Sizes are read from files of others too, which no digest protects."""
    table = ones(2, 40)
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=10)
    data, sizes = (
        path.read_bytes(),
        {
            "parquet": _footer.row_groups,
            "arrow": lambda file: list(_messages.messages(file, 8)),
        },
    )
    rng = np.random.default_rng(0)
    for _ in range(400):
        changed = bytearray(data)
        for place in rng.integers(len(data) - 600, len(data), 2):
            changed[place] = rng.integers(256)
        try:
            sizes[suffix](io.BytesIO(bytes(changed)))
        except (ValueError, OSError, IndexError, struct.error, pa.ArrowException):
            continue
