"""Traces larger than a block: read in pieces, held to their order, and equal bit by bit."""

import io
import tracemalloc

import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birkhoff_cli import matrices, tables
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge
from birkhoff_cli.analyses.core.table import arrow_schema
from birkhoff_cli.analyses.core.trace import MixingTrace, Site, in_memory
from birkhoff_cli.commands import trace as command
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.content import of_file
from birkhoff_cli.tables import _groups
from birkhoff_cli.tables._blocks import Blocks
from birkhoff_cli.tables._columns import TYPES
from birkhoff_cli.tables._ordered import regrouped


def sites(count):
    return tuple(Site(k // 2, ("attn", "mlp")[k % 2], f"site {k}") for k in range(count))


def random(samples, count, d, kind="f8", seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1 << 32, (samples, count, d, d)).astype(kind) / (1 << 31)


def written(path, h, format="parquet", group=1 << 20, block=500):
    """What `birkhoff trace` writes, in row groups of about so many bytes."""
    with pytest.MonkeyPatch.context() as patch, path.open("wb") as sink:
        patch.setattr(_groups, "GROUP_BYTES", group)
        patch.setattr(MixingTrace, "block", block)
        result = command.run(in_memory(h, sites(h.shape[1]), "test"))
        schema = arrow_schema(result.schema)
        tables.load(format).write(result.batches(schema), schema, sink, dict)
    return path


def groups(path, table, rows):
    """The same rows in groups of so many, as Parquet or Arrow by the name."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    else:
        with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    return path


def table_of(h):
    table = command.run(in_memory(h, sites(h.shape[1]), "test")).table
    return table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 5)),
    kind=st.sampled_from(["f4", "f8"]),
    format=st.sampled_from([f.name for f in tables.writable()]),
    group=st.integers(1, 3000),
    block=st.integers(1, 45),
)
def test_what_is_written_is_read_bit_by_bit(tmp_path_factory, shape, kind, format, group, block):
    h = random(*shape, kind)
    path = written(tmp_path_factory.getbasetemp() / "trace", h, format, group, block)
    trace = matrices.read(path)
    blocks = list(trace.reader(block, 0))
    assert [len(b) for b in blocks[:-1]] == [block] * (len(blocks) - 1)
    assert (trace.samples, len(trace.sites), trace.d) == shape and len(blocks[-1]) <= block
    found = np.concatenate(blocks)
    later = list(trace.reader(block, block * (len(blocks) // 2)))
    assert np.array_equal(np.concatenate(later), found[block * (len(blocks) // 2) :])
    assert found.dtype == trace.dtype == (kind if format in ("parquet", "arrow") else "f8")
    assert found.astype(kind).tobytes() == h.tobytes()
    assert np.array_equal(trace.matrices, found)
    assert [s[:2] for s in trace.sites] == [s[:2] for s in sites(shape[1])]


@given(lengths=st.lists(st.integers(0, 9), max_size=9), size=st.integers(1, 12))
def test_regrouped_rows_are_the_same_rows(lengths, size):
    rows = np.arange(sum(lengths))
    parts = list(regrouped(np.split(rows, np.cumsum(lengths)[:-1]) if lengths else [], size))
    assert [len(p) for p in parts] == [size] * (len(rows) // size) + [len(rows) % size] * (
        len(rows) % size > 0
    )
    assert np.array_equal(np.concatenate([rows[:0], *parts]), rows)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_rows_in_any_order_are_the_same_trace(tmp_path_factory, suffix, data):
    h = random(5, 3, 2)
    order = data.draw(st.permutations(range(15)))
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    groups(path, table_of(h).take(pa.array(order)), data.draw(st.integers(1, 16)))
    trace = matrices.read(path)
    assert np.array_equal(trace.matrices, h)
    assert [s[:2] for s in trace.sites] == [s[:2] for s in sites(3)]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("left", [("matrix",), ("sample", "matrix"), ("site", "branch", "matrix")])
def test_columns_that_are_not_there_are_filled_in(suffix, left, tmp_path):
    """Without sites every row is a sample; without samples there is one."""
    h = random(1, 6, 3) if "site" in left else random(6, 1, 3)
    path = groups(tmp_path / f"t.{suffix}", table_of(h).select(left), 4)
    assert np.array_equal(matrices.read(path).matrices, h)


def test_batches_without_rows_are_passed_over(tmp_path):
    h = random(4, 3, 2)
    (whole,) = in_lists(table_of(h)).combine_chunks().to_batches()
    with (tmp_path / "t").open("wb") as file, pa.ipc.new_file(file, whole.schema) as writer:
        for first, last in ((0, 0), (0, 5), (5, 5), (5, 12), (12, 12)):
            writer.write_batch(whole[first:last])
    assert np.array_equal(matrices.read(tmp_path / "t").matrices, h)


def test_numbers_of_samples_and_sites_may_have_gaps(tmp_path):
    h = random(4, 3, 2)
    table = table_of(h)
    table = table.set_column(0, "sample", pa.array(np.repeat([-7, 0, 5, 1 << 62], 3)))
    table = table.set_column(1, "site", pa.array(np.tile([2, 30, 400], 4)))
    assert np.array_equal(matrices.read(groups(tmp_path / "t.parquet", table, 5)).matrices, h)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_polars_writes_traces_too(name, tmp_path):
    h = random(3000, 4, 2)
    frame = polars.from_arrow(table_of(h)).with_columns(
        polars.col("branch").cast(polars.Categorical)
    )
    (frame.write_parquet if name == "t.parquet" else frame.write_ipc)(tmp_path / name)
    trace = matrices.read(tmp_path / name)
    assert np.array_equal(trace.matrices, h)
    assert [s.branch for s in trace.sites] == ["attn", "mlp"] * 2


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_table_too_large_to_sort_says_how_to_order_it(suffix, tmp_path, monkeypatch):
    table = table_of(random(40_000, 3, 2))
    ordered = groups(tmp_path / f"a.{suffix}", table, 7000)
    swapped = table.take(pa.array([*range(90_000), 90_001, 90_000, *range(90_002, len(table))]))
    path = groups(tmp_path / f"b.{suffix}", swapped, 7000)
    assert matrices.read(path).samples == 40_000
    monkeypatch.setattr("birkhoff_cli.analyses.core.memory.available", lambda: 1 << 20)
    assert sum(len(block) for block in matrices.read(ordered)) == 40_000
    with pytest.raises(TooLarge, match=r"order of sample.*order by sample, site") as refusal:
        matrices.read(path)
    assert len(str(refusal.value)) < 400


def replaced(table, name, row, value):
    field, values = table.schema.field(name), table[name].to_pylist()
    values[row] = value
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


LATE = {
    "a sample is not complete": (lambda t: t.slice(0, len(t) - 1), "are not 1000 samples of 2 sit"),
    "a site is missing": (lambda t: pa.concat_tables([t[:1501], t[1502:]]), "are not 1000 samples"),
    "a sample comes twice": (lambda t: pa.concat_tables([t, t[-2:]]), "2002 rows are not 1000"),
    "a site comes twice": (lambda t: replaced(t, "site", 1501, 0), "a site twice"),
    "another layer": (lambda t: replaced(t, "layer", 1501, 7), "two values of 'layer'"),
    "another branch": (lambda t: replaced(t, "branch", 1501, "x"), "two values of 'branch'"),
    "no sample": (lambda t: replaced(t, "sample", 1501, None), "'sample' is null"),
    "no site": (lambda t: replaced(t, "site", 1501, None), "'site' is null"),
    "no branch": (lambda t: replaced(t, "branch", 1501, None), "'branch' is null"),
    "no matrix": (lambda t: replaced(t, "matrix", 1501, None), "a matrix is null"),
    "no row": (lambda t: replaced(t, "matrix", 1501, [None, [1.0, 0.0]]), "a row is null"),
    "no entry": (lambda t: replaced(t, "matrix", 1501, [[1.0, None]] * 2), "a number is null"),
    "NaN": (lambda t: replaced(t, "matrix", 1501, [[1.0, np.nan]] * 2), "mlp, sample 750 holds Na"),
    "infinity": (
        lambda t: replaced(t, "matrix", 1501, [[1.0, np.inf]] * 2),
        "750 holds NaN or inf",
    ),
    "another size": (
        lambda t: replaced(in_lists(t), "matrix", 1501, [[1.0, 2.0, 3.0]] * 3),
        "of length 2 and one of 3",
    ),
    "all of another size": (
        lambda t: pa.concat_tables(
            [in_lists(t)[:1500], in_lists(table_of(random(1000, 2, 3)))[1500:]]
        ),
        "of length 2 and one of 3",
    ),
}


def in_lists(table):
    """Matrices in lists of any length, as DuckDB keeps them."""
    values = pa.array(table["matrix"].to_pylist(), pa.list_(pa.list_(pa.float64())))
    return table.set_column(4, "matrix", values)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("change, said", LATE.values(), ids=LATE)
def test_what_is_wrong_in_a_later_group_is_refused_in_one_line(suffix, change, said, tmp_path):
    table = table_of(random(1000, 2, 2))
    path = groups(tmp_path / f"t.{suffix}", change(table), 500)
    with pytest.raises(BadInput) as refusal:
        for _ in matrices.read(path):
            pass
    line = str(refusal.value)
    assert said in line and line.startswith(str(path)) and "\n" not in line and len(line) < 400


def test_a_flipped_bit_in_a_later_group_is_refused_or_changes_no_number(tmp_path):
    h = random(100, 3, 2)
    path = written(tmp_path / "t", h, group=1000, block=10)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    assert pq.ParquetFile(path).num_row_groups > 5
    for bit in rng.choice(8 * len(data), 150, replace=False).tolist():
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if not matrices.recognises(path):
            continue
        try:
            found = matrices.read(path).matrices
        except BirkhoffError:
            continue
        assert np.array_equal(found, h), f"bit {bit}"


@pytest.mark.parametrize("format", ["parquet", "arrow", "npy"])
def test_a_file_that_changes_is_refused(format, tmp_path):
    h, path = random(50, 2, 3), tmp_path / "t"

    def put(array):
        with path.open("wb") as file:
            np.save(file, array) if format == "npy" else file.write(data(array))

    def data(array):
        return written(tmp_path / "other", array, format).read_bytes()

    put(h)
    trace = matrices.read(path)
    put(h + 1)
    with pytest.raises(BadInput, match="was changed while it was read"):
        next(iter(trace))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv"])
def test_rows_are_read_from_any_row_on(suffix, tmp_path):
    whole = table_of(random(9, 2, 2))
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        with path.open("wb") as sink:
            tables.load("csv").write(whole.to_batches(), whole.schema, sink, dict)
    else:
        groups(path, whole, 4)
    content = of_file(path)
    stored = tables.recognise(content.head()).read(content, TYPES)
    for first in range(19):
        found = [batch["site"].to_pylist() for batch in stored.batches(["site"], 3, first)]
        assert [site for batch in found for site in batch] == whole["site"].to_pylist()[first:]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_what_lies_before_a_range_is_not_decoded(suffix, tmp_path):
    """Every range of a file was read from its beginning: sixteen of them eight times."""
    h = random(400, 2, 2)
    whole = table_of(h)
    path = groups(tmp_path / f"t{suffix}", whole, 200)
    data = bytearray(path.read_bytes())
    place = 300 if suffix == ".parquet" else data.index(h[3].tobytes())  # in the first group
    data[place : place + 1000] = bytes(1000)
    path.write_bytes(data)
    content = of_file(path)
    stored = tables.recognise(content.head()).read(content)

    def numbers(first):
        try:
            batches = stored.batches(["sample", "matrix"], 100, first)
            return [row for batch in batches for row in batch.to_pylist()]
        except (OSError, pa.ArrowInvalid):
            return None

    expected = whole.select(["sample", "matrix"]).to_pylist()
    assert numbers(450) == expected[450:]
    assert numbers(0) != expected


@pytest.mark.parametrize("format", ["parquet", "arrow", "npy"])
def test_memory_does_not_grow_with_the_file(format, tmp_path):
    h = random(25_000, 16, 4, "f8")
    path = tmp_path / f"t.{format}"
    if format == "npy":
        np.save(path, h)
    else:
        written(path, h, format)
    pool, default = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        count = sum(len(block) for block in matrices.read(path))
        peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)
    assert count == 25_000 and h.nbytes > 50e6 and peak < 20e6


def test_an_npy_file_in_fortran_order_is_read_whole(tmp_path):
    h = random(7, 3, 4)
    np.save(tmp_path / "t.npy", np.asfortranarray(h))
    assert np.array_equal(np.concatenate(list(matrices.read(tmp_path / "t.npy").reader(2, 0))), h)


def test_parquet_keeps_no_dictionary_of_matrices(tmp_path):
    """It would be read and written in vain: their entries do not repeat."""
    path = written(tmp_path / "t", random(50, 3, 2))
    group = pq.ParquetFile(path).metadata.row_group(0)
    held = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    entries = held.pop("matrix.list.element.list.element")
    assert not entries.has_dictionary_page and "BYTE_STREAM_SPLIT" in entries.encodings
    assert all(column.has_dictionary_page for column in held.values())


def test_a_pipe_is_read_in_blocks_too(tmp_path, monkeypatch):
    h = random(300, 2, 3)
    data = written(tmp_path / "t", h, group=2000, block=10).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    trace = matrices.read(matrices.STDIN)
    assert np.array_equal(np.concatenate(list(trace.reader(7, 0))), h)
    assert trace.meta["inputs"][0]["size"] == len(data)


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_a_few_columns_of_an_arrow_file_are_what_they_are_in_it(compression, tmp_path, rng):
    """Their buffers are put together in memory: behind words of a dictionary, and texts."""
    columns = {
        "texts": pa.array([f"a text of its own, number {k}" for k in range(3000)]),
        "words": pa.array(["attn", "mlp", "mlp"] * 1000).dictionary_encode(),
        "sample": pa.array(range(3000)),
        "some": pa.array([1.5, None, 2.5] * 1000),
        "wide": pa.FixedSizeListArray.from_arrays(pa.array(rng.random(48_000)), 16),
    }
    table, path = pa.table(columns), tmp_path / "t.arrow"
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=1000)
    content = of_file(path)
    blocks = Blocks(content)
    for names in (["sample"], ["some", "texts"], ["words", "sample"], ["wide"], ["wide", "texts"]):
        fields = [table.schema.get_field_index(name) for name in names]
        chosen = pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        with content.open() as file:
            batches = [batch.select(names) for batch in blocks.batches(file, chosen, first=1)]
        for batch in batches:
            batch.validate(full=True)
        assert pa.Table.from_batches(batches).equals(table.select(names).slice(1000))


def test_a_buffer_outside_its_batch_is_refused(tmp_path):
    """The bytes there belong to something else: the offset of the samples leads behind the body."""
    path = tmp_path / "t.arrow"
    table = pa.table({"sample": range(1000), **{name: np.arange(1000.0) for name in "abc"}})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
        writer.write_table(table)
    data = bytearray(path.read_bytes())
    spans = np.array([0, 0, 0, 8000], "<i8").tobytes()  # no nulls, and 8,000 bytes of samples
    assert data.count(spans) == 2
    at = data.index(spans) + 16
    data[at : at + 8] = (32_000).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged"), refusing(path):
        content = of_file(path)
        with content.open() as file:
            options = pa.ipc.IpcReadOptions(included_fields=[0])
            next(Blocks(content).batches(file, options))
