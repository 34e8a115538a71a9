"""Bytes that a file's own list of contents leaves out: another file, or what is said to be none."""

import io
import zipfile
from contextlib import nullcontext

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices, stacks
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers import open_store
from birkhoff_cli.digest import ASSUMED

torch = pytest.importorskip("torch")


def table(rows=900):
    values = pa.array(np.random.default_rng(0).random(4 * rows))
    inner = pa.FixedSizeListArray.from_arrays(values, 2)
    columns = {"sample": range(rows), "branch": ["attn"] * rows}
    return pa.table({**columns, "matrix": pa.FixedSizeListArray.from_arrays(inner, 2)})


def parquet(**options):
    sink = io.BytesIO()
    pq.write_table(table(), sink, **options)
    return sink.getvalue()


def polars(**options):
    sink = io.BytesIO()
    pl.from_arrow(table()).write_parquet(sink, **options)
    return sink.getvalue()


def duck(folder, options):
    trace = table()  # noqa: F841, the query names it
    duckdb.connect().execute(f"copy trace to '{folder}/d.parquet' {options}")
    return (folder / "d.parquet").read_bytes()


def arrow(make=pa.ipc.new_file, coded=False, **options):
    whole = table()
    if coded:
        whole = whole.set_column(1, "branch", whole["branch"].dictionary_encode())
    sink = io.BytesIO()
    with make(sink, whole.schema, **options) as writer:
        writer.write_table(whole, max_chunksize=200)
    return sink.getvalue()


def ipc(**options):
    sink = io.BytesIO()
    pl.from_arrow(table()).write_ipc(sink, **options)
    return sink.getvalue()


WRITERS = {
    "pyarrow": lambda _: parquet(),
    "indices": lambda _: parquet(write_page_index=True, row_group_size=200),
    "filters": lambda _: parquet(bloom_filter_options={"sample": {"ndv": 100, "fpp": 0.01}}),
    "checksums": lambda _: parquet(write_page_checksum=True, compression="zstd"),
    "second version": lambda _: parquet(data_page_version="2.0", use_dictionary=False),
    "polars": lambda _: polars(),
    "polars in groups": lambda _: polars(row_group_size=100, statistics="full"),
    "duckdb": lambda folder: duck(folder, ""),
    "duckdb with filters": lambda folder: duck(folder, "(row_group_size 2048, parquet_version v2)"),
    "arrow": lambda _: arrow(),
    "arrow stream": lambda _: arrow(pa.ipc.new_stream),
    "arrow with words": lambda _: arrow(coded=True),
    "arrow of polars": lambda _: ipc(),
    "arrow of polars, compressed": lambda _: ipc(compression="zstd"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_other_programs_write_is_whole_and_two_of_it_are_not(name, tmp_path):
    """Of two files the numbers of the first were read, by the list of the second."""
    data, path = WRITERS[name](tmp_path), tmp_path / "t"
    path.write_bytes(data)
    trace = matrices.read(path)
    assert trace.samples == 900 and trace.meta["assumptions"] == [ASSUMED]
    path.write_bytes(data + data)
    with pytest.raises(BadInput, match="more than one file|goes on behind its end"):
        matrices.read(path)


@pytest.mark.parametrize("name", ["pyarrow", "polars", "arrow"])
def test_bytes_that_no_list_has_are_said_and_zeros_are_none(name, tmp_path):
    data, path = WRITERS[name](tmp_path), tmp_path / "t"
    end = 10 if name == "arrow" else 8
    footer = len(data) - end - int.from_bytes(data[-end : 4 - end], "little")
    path.write_bytes(data[:footer] + bytes(80) + data[footer:])
    assert matrices.read(path).meta["assumptions"] == [ASSUMED]
    path.write_bytes(data[:footer] + b"some junk" * 9 + data[footer:])
    assumed, *others = matrices.read(path).meta["assumptions"]
    assert assumed == ASSUMED
    assert len(others) == 1 and "bytes that the list of its contents leaves out" in others[0]


def test_pages_that_are_listed_twice_are_refused(tmp_path):
    """The rows of a group would be there twice."""
    sink, path = io.BytesIO(), tmp_path / "t.parquet"
    pq.write_table(table(), sink, row_group_size=450, compression="none", use_dictionary=False)
    metadata = pq.read_metadata(sink)
    for group in range(2):  # to the first group's pages, by a list that is written anew
        assert metadata.row_group(group).num_rows == 450
    first = pq.read_metadata(io.BytesIO(sink.getvalue()))
    other = pq.read_metadata(io.BytesIO(sink.getvalue()))
    first.append_row_groups(other)
    footer = io.BytesIO()
    first.write_metadata_file(footer)
    path.write_bytes(sink.getvalue()[:-8] + footer.getvalue()[4:])
    with pytest.raises(BadInput):
        matrices.read(path)


def test_an_array_with_more_behind_it_is_refused_wherever_arrays_are_read(tmp_path):
    """Commands that take stacks read the first of two."""
    path, data = tmp_path / "t.npy", io.BytesIO()
    np.save(data, np.eye(3)[None])
    for more in (b"x", data.getvalue()):
        path.write_bytes(data.getvalue() + more)
        for read in (matrices.read, stacks.read):
            with pytest.raises(BadInput, match="takes 72 bytes and"):
                read(path)
        with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
            archive.writestr("H.npy", data.getvalue() + more)
        for read in (matrices.read, stacks.read):
            with pytest.raises(BadInput, match="takes 72 bytes and"):
                read(tmp_path / "t.npz")


@pytest.mark.parametrize("name", ["t.npz", "t.pt"])
def test_a_record_that_an_archive_does_not_list_is_refused(name, tmp_path):
    path = tmp_path / name
    if name == "t.npz":
        np.savez(path, H=np.eye(3), other=np.ones(3))
    else:
        torch.save({"model": {"a": torch.ones(3), "b": torch.zeros(4)}}, path)
        with zipfile.ZipFile(path) as archive:  # torch's list is of the long form
            records = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for record, data in records.items():
                archive.writestr(record, data)
        open_store(path).close()
    open_ = stacks.read if name == "t.npz" else open_store
    with zipfile.ZipFile(path) as archive:
        last = archive.infolist()[-1]
    # its entry in the list, whole, and the list's count and size
    data = path.read_bytes()
    start = data.index(last.filename.encode(), data.index(b"PK\x01\x02")) - 46
    lengths = [int.from_bytes(data[start + k : start + k + 2], "little") for k in (28, 30, 32)]
    size = 46 + sum(lengths)
    end = data.rindex(b"PK\x05\x06")
    tail = bytearray(data[end:])
    for at, less, width in ((8, 1, 2), (10, 1, 2), (12, size, 4)):
        number = int.from_bytes(tail[at : at + width], "little") - less
        tail[at : at + width] = number.to_bytes(width, "little")
    path.write_bytes(data[:start] + data[start + size : end] + tail)
    with zipfile.ZipFile(path) as archive:
        assert last.filename not in archive.namelist()
    with pytest.raises(BadInput, match="that its list leaves out|has no record"):
        open_(path)


def test_an_archive_with_one_name_twice_says_so(tmp_path):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(2):
            data = io.BytesIO()
            np.save(data, k * np.eye(3))
            with pytest.warns(UserWarning) if k else nullcontext():
                archive.writestr("H.npy", data.getvalue())
    for read in (matrices.read, stacks.read):
        with pytest.raises(BadInput, match="has a record twice"):
            read(path)
