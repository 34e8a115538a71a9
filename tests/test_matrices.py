"""Matrices from files and pipes: every format says the same, and nothing broken gets through."""

import io
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birkhoff_cli import matrices
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, TooLarge, Unsupported

SAMPLE = ("sample", "--method", "go-mhc", "--d", "3", "-n", "7")
FORMATS = ("parquet", "arrow", "csv", "ndjson")


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file whose name says nothing."""

    def write(data):
        path = tmp_path / "file.bin"
        path.write_bytes(data)
        return path

    return write


def npy(array, **more):
    file = io.BytesIO()
    np.save(file, array, **more)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def parquet(table, **more):
    file = io.BytesIO()
    pq.write_table(pa.table(table), file, **more)
    return file.getvalue()


def stream(table):
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def lists(h, kind=None):
    kind = kind or pa.float64()
    return pa.array(np.asarray(h).tolist(), pa.list_(pa.list_(kind)))


def grid(rng, samples=3, sites=4, d=2):
    h = rng.random((samples, sites, d, d))
    sample, site = np.indices((samples, sites)).reshape(2, -1)
    columns = {"sample": sample, "site": site, "layer": site // 2}
    columns["branch"] = np.where(site % 2, "mlp", "attn")
    return h, columns | {"matrix": lists(h.reshape(-1, d, d))}


@pytest.mark.parametrize("format", FORMATS)
def test_what_we_write_we_read_from_a_file_and_from_a_pipe(format, birkhoff, tmp_path):
    birkhoff(*SAMPLE, "-o", "m.npyish", "--format", format)
    path = tmp_path / "m.npyish"
    piped = birkhoff(*SAMPLE, "-o", "-", "--format", format, "-q", text=False).stdout
    birkhoff(*SAMPLE, "-o", "reference.parquet")
    expected = polars.read_parquet(tmp_path / "reference.parquet")["matrix"].to_numpy()
    for data in (path.read_bytes(), piped):
        path.write_bytes(data)
        trace = matrices.read(path)
        assert np.array_equal(trace.matrices[:, 0], expected) and trace.matrices.dtype == "f8"


@pytest.mark.parametrize("format", FORMATS)
def test_a_pipe_gives_what_the_method_gives(format, birkhoff):
    direct = birkhoff("spectrum", *SAMPLE[1:], "--json").stdout
    table = birkhoff(*SAMPLE, "-o", "-", "--format", format, "-q", text=False).stdout
    piped = birkhoff("spectrum", "-", "--json", input=table.decode("latin-1"), encoding="latin-1")
    assert piped.returncode == 0
    assert json.loads(piped.stdout)["coverage"] == json.loads(direct)["coverage"]


def test_a_trace_keeps_its_places_and_its_order(put, rng):
    h, columns = grid(rng)
    shuffled = rng.permutation(12)
    table = pa.table(columns)
    for data in (
        parquet(table),
        parquet(table.take(shuffled)),
        stream(table.take(shuffled)),
        b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist()),
    ):
        trace = matrices.read(put(data))
        assert np.array_equal(trace.matrices, h)
        assert [(s.layer, s.branch) for s in trace.sites] == [
            *[(0, "attn"), (0, "mlp"), (1, "attn"), (1, "mlp")]
        ]


def test_polars_and_duckdb_tables_are_read(tmp_path, put, rng):
    h, columns = grid(rng)
    frame = polars.from_arrow(pa.table(columns))
    frame.write_parquet(tmp_path / "polars.parquet")
    frame.write_ipc(tmp_path / "polars.arrow")
    source = put(parquet(columns))
    target = tmp_path / "duck.parquet"
    duckdb.execute(f"copy (from read_parquet('{source}')) to '{target}' (format parquet)")
    for name in ("polars.parquet", "polars.arrow", "duck.parquet"):
        assert np.array_equal(matrices.read(tmp_path / name).matrices, h)


@pytest.mark.parametrize(
    "shape, expected",
    [((3, 3), (1, 1, 3, 3)), ((5, 3, 3), (5, 1, 3, 3)), ((2, 5, 3, 3), (2, 5, 3, 3))],
)
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<f2", "<i8", "|u1", "longdouble"])
def test_arrays_of_every_shape_and_real_dtype(shape, expected, kind, put, rng):
    array = rng.integers(0, 9, shape).astype(kind)
    for data in (
        npy(array),
        npy(np.asfortranarray(array)),
        npz(x=array),
        npz(True, H=array, t=[1]),
    ):
        trace = matrices.read(put(data))
        assert trace.matrices.shape == expected
        assert np.array_equal(trace.matrices.reshape(shape), array.astype(float))
        assert trace.matrices.dtype == ("f4" if kind == "<f4" else "f8")
        assert "an array does not say" in trace.meta["assumptions"][0]


def test_the_digest_is_of_what_was_read(birkhoff, tmp_path):
    np.save(tmp_path / "m.npy", np.eye(3))
    birkhoff("spectrum", "m.npy", "-o", "s.parquet")
    facts = json.loads(pq.read_schema(tmp_path / "s.parquet").metadata[b"birkhoff"])
    digest = subprocess.run(["sha256sum", "m.npy"], cwd=tmp_path, capture_output=True, text=True)
    size = (tmp_path / "m.npy").stat().st_size
    assert facts["meta"]["inputs"] == [
        {"name": "m.npy", "size": size, "sha256": digest.stdout.split()[0]}
    ]


EYE = np.eye(2)


def int128():
    frame = polars.DataFrame(
        {"sample": polars.Series([0], dtype=polars.Int128), "matrix": [[[1.0]]]}
    )
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


REFUSED = {
    "vector": (npy(np.ones(4)), "(d, d)"),
    "oblong": (npy(np.ones((2, 3))), "(2, 3)"),
    "five axes": (npy(np.ones((1, 1, 1, 2, 2))), "(1, 1, 1, 2, 2)"),
    "no matrices": (npy(np.ones((0, 2, 2))), "at least one"),
    "no entries": (npy(np.ones((2, 0, 0))), "at least one"),
    "NaN": (npy(np.stack([EYE, EYE * np.nan])), "sample 1 holds NaN"),
    "infinity": (npz(x=np.full((2, 2), np.inf)), "infinity"),
    "short": (npy(EYE)[:-1], "incomplete"),
    "long": (npy(EYE) + b"x", "33 are there"),
    "lying header": (npy(EYE).replace(b"(2, 2)", b"(9, 9)"), "648 bytes"),
    "negative header": (npy(EYE).replace(b"(2, 2), ", b"(-2, -2)"), "has shape (-2, -2)"),
    "several arrays": (npz(a=EYE, b=EYE), "2 arrays (a, b)"),
    "no end of stream": (stream(pa.table({"matrix": lists([EYE])}))[:-8], "has no end"),
    "other columns": (parquet({"re": [1.0]}), "no column 'matrix' (its columns: re)"),
    "words": (parquet({"matrix": ["eye"]}), "of type string"),
    "numbers": (parquet({"matrix": [1.0]}), "of type double"),
    "sample of words": (parquet({"sample": ["a"], "matrix": lists([EYE])}), "'sample' is of type"),
    "two sizes": (parquet({"matrix": lists([EYE])[:0]}), "no rows"),
    "ragged": (parquet({"matrix": pa.array([[[1.0]], [[1.0, 2.0]]])}), "length 1 and one of"),
    "not square": (parquet({"matrix": pa.array([[[1.0, 2.0]]])}), "1 x 2"),
    "null matrix": (parquet({"matrix": pa.array([[[1.0]], None])}), "matrix is null"),
    "null entry": (parquet({"matrix": pa.array([[[None, 1.0], [1.0, 1.0]]])}), "number is null"),
    "null sample": (parquet({"sample": [0, None], "matrix": lists([EYE] * 2)}), "'sample' is null"),
    "twice": (parquet({"sample": [0, 0], "site": [1, 1], "matrix": lists([EYE] * 2)}), "2 rows"),
    "missing": (
        parquet({"sample": [0, 0, 1, 2], "site": [0, 1, 0, 0], "matrix": lists([EYE] * 4)}),
        "4 rows are not 3 samples of 2 sites",
    ),
    "swapped": (
        parquet({"sample": [0, 0, 1, 1], "site": [0, 0, 1, 1], "matrix": lists([EYE] * 4)}),
        "a site twice",
    ),
    "two layers": (
        parquet(
            {"sample": [0, 1], "site": [0, 0], "layer": [0, 1], "matrix": lists([EYE] * 2)},
        ),
        "two values of 'layer'",
    ),
    "layers without sites": (
        parquet({"layer": [0, 1], "matrix": lists([EYE] * 2)}),
        "several values of 'layer' and no column 'site'; number the sites",
    ),
    "branches without sites": (
        parquet({"sample": [0, 0], "branch": ["attn", "mlp"], "matrix": lists([EYE] * 2)}),
        "several values of 'branch' and no column 'site'",
    ),
    "cut csv": (b"matrix_0_0\n0.5", "inside a line"),
    "oblong csv": (b"matrix_0_0,matrix_0_1\n1,2\n", "2 columns"),
    "empty cell": (b"sample,matrix_0_0\n0,1\n1,\n", "holds NaN"),
    "word in csv": (b"matrix_0_0\none\n", "damaged"),
    "decimal comma": (b'sample,matrix_0_0\n0,"0,5"\n', "'matrix_0_0': CSV conversion error"),
    "a count with a point": (b"sample,matrix_0_0\n0.0,1\n", "column 'sample': CSV conversion"),
    "a list in csv": (b'sample,matrix\n0,"[[1.0]]"\n', "its column 'matrix' is one cell"),
    "no csv rows": (b"matrix_0_0\n", "no rows"),
    "json NaN": (b'{"matrix": [[null]]}\n', "number is null"),
    "json cut": (b'{"matrix": [[1, 2], [3', "damaged"),
    "json word": (b'{"matrix": [["one"]]}\n', "from number to string; write numbers as 0.25"),
    "json text": (b'{"sample": "0", "matrix": [[1.0]]}\n', "Column(/sample) changed from number"),
    "json infinity": (b'{"matrix": [[1e400]]}\n', "too big to be stored in double"),
    "a sample by its hash": (
        parquet({"sample": pa.array([1 << 63], pa.uint64()), "matrix": lists([EYE])}),
        "holds 9,223,372,036,854,775,808, which is no number of a sample",
    ),
    "integers of 128 bits": (int128(), "holds what pyarrow does not read (Integers with more"),
}


@pytest.mark.parametrize("data, said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(data, said, put):
    path = put(data)
    assert matrices.recognises(path)
    with pytest.raises(BadInput) as refusal:
        _ = matrices.read(path).matrices
    line = str(refusal.value)
    assert said in line and line.startswith(str(path)) and "\n" not in line and len(line) < 400


@pytest.mark.parametrize(
    "array",
    [
        np.array([[print, 1], [1, 1]], dtype=object),
        np.eye(2) > 0,
        np.eye(2) + 1j,
        np.array([["a", "b"], ["c", "d"]]),
        np.zeros((2, 2), dtype=[("a", float)]),
    ],
    ids=["objects", "booleans", "complex", "text", "records"],
)
def test_other_dtypes_are_refused_before_they_are_read(array, put, monkeypatch):
    monkeypatch.setattr("pickle.load", lambda *_: pytest.fail("a pickle was opened"))
    data = npy(array)
    for file in (data, npz(x=array)):
        with pytest.raises(Unsupported, match="only real numbers"):
            matrices.read(put(file))


def test_a_header_is_never_code(put, tmp_path):
    evil = f"__import__('pathlib').Path({str(tmp_path / 'made')!r}).touch()"
    data = npy(EYE).replace(b"(2, 2)", f"({evil})".encode())
    with pytest.raises(BirkhoffError):
        matrices.read(put(data))
    assert not (tmp_path / "made").exists()


def test_one_of_several_arrays_is_said_to_be_chosen(tmp_path):
    """Two arrays of matrices lie in many files; the name decides, and must be told."""
    path = tmp_path / "truth.npz"
    path.write_bytes(npz(H=np.eye(3)[None], H_static=np.eye(3)))
    said = "the array H is meant, one of 2 in the file, by its name"
    assert said in matrices.read(path).meta["assumptions"]
    path.write_bytes(npz(H=np.eye(3)[None]))
    assert not any("is meant" in text for text in matrices.read(path).meta["assumptions"])


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv", "ndjson", "npy", "npz"])
def test_no_beginning_of_a_file_passes_for_the_whole(format, birkhoff, tmp_path, put):
    """In the text formats and in a table of lines the cut must fall inside a row."""
    whole = _small(format, birkhoff, tmp_path)
    for size in np.linspace(9, len(whole) - 2, 60).astype(int):
        cut = whole[:size]
        if format in ("csv", "ndjson") and cut.endswith((b"\n", b"}")):
            continue
        path = put(cut)
        if matrices.recognises(path):
            with pytest.raises(BirkhoffError):
                _ = matrices.read(path).matrices


def _small(format, birkhoff, tmp_path):
    if format == "npy":
        return npy(np.eye(3))
    if format == "npz":
        return npz(x=np.eye(3))
    birkhoff(*SAMPLE, "-o", "small", "--format", format)
    return (tmp_path / "small").read_bytes()


@pytest.mark.parametrize("format", ["parquet", "npz"])
def test_a_flipped_bit_is_refused_or_changes_no_number(format, birkhoff, tmp_path, put):
    """Pages and records have checksums. What has none, the footer, can only say no or the same."""
    whole = _small(format, birkhoff, tmp_path)
    expected = matrices.read(put(whole)).matrices
    rng = np.random.default_rng(0)
    bits = rng.choice(8 * len(whole), min(3000, 8 * len(whole)), replace=False)
    for bit in bits.tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path = put(bytes(flipped))
        try:
            found = matrices.read(path).matrices if matrices.recognises(path) else expected
        except BirkhoffError:
            continue
        assert np.array_equal(found, expected), f"bit {bit}"


def test_every_flipped_bit_of_the_matrices_pages_is_refused(birkhoff, tmp_path, put):
    """By the pages' own checksums, without the file's digest."""
    whole = _small("parquet", birkhoff, tmp_path).replace(b"birkhoff-sha256", b"somebody-sha256")
    column = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(0).column(1)
    header = 40  # more than enough: a page's own header is outside its checksum
    start = column.data_page_offset
    body = range(start + header, start + column.total_compressed_size)
    assert len(body) > 400
    for byte in body:
        flipped = bytearray(whole)
        flipped[byte] ^= 1 << byte % 8
        with pytest.raises(BadInput, match="damaged|incomplete"):
            _ = matrices.read(put(bytes(flipped))).matrices


def test_an_arrow_offset_that_points_outside_does_not_crash(tmp_path):
    table = pa.table({"branch": ["attn"] * 4, "site": range(4), "matrix": lists([EYE] * 4)})
    data = bytearray(stream(table))
    at = data.index(np.array([0, 4, 8, 12, 16], "<i4").tobytes())
    data[at + 4 : at + 8] = (0x7FFFFFF0).to_bytes(4, "little")
    path = tmp_path / "evil.arrow"
    path.write_bytes(data)
    code = (
        "import sys; from pathlib import Path; from birkhoff_cli import matrices\n"
        "from birkhoff_cli.analyses.core.errors import BadInput\n"
        f"try: matrices.read(Path({str(path)!r}))\n"
        "except BadInput as e: print(e)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0 and "damaged" in done.stdout


def test_an_archive_that_would_inflate_beyond_memory_is_refused(put, monkeypatch):
    monkeypatch.setattr("birkhoff_cli.analyses.core.memory.available", lambda: 1 << 20)
    data = npz(True, x=np.zeros((200, 30, 30)))
    assert len(data) < 10_000
    with pytest.raises(TooLarge):
        matrices.read(put(data))


@pytest.mark.parametrize(
    "data, code, said",
    [
        ("", 3, "did the command before the pipe fail"),
        ("hello\n", 3, "arrow, csv, ndjson, npy, npz or parquet"),
        ("PK\x03\x04 and more", 4, "a checkpoint"),
    ],
)
def test_standard_input_that_holds_no_matrices(data, code, said, birkhoff):
    done = birkhoff("spectrum", "-", input=data)
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1
    assert "standard input: " in done.stderr


def test_a_device_or_a_fifo_is_no_file(birkhoff):
    for path in ("/dev/zero", "/proc/self/environ"):
        done = birkhoff("decompose", path)
        assert done.returncode == 3 and "not a regular file" in done.stderr


def test_a_checkpoint_is_still_a_checkpoint(checkpoints):
    path = checkpoints / "mhclite_mhc_n4" / "ckpt.pt"
    assert not matrices.recognises(path) and matrices.recognises(path.with_name("truth.npz"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["H", "weights"])
def test_one_tensor_of_a_safetensors_file_is_an_array_of_matrices(name, dtype, tmp_path, rng):
    numpy = pytest.importorskip("safetensors.numpy")
    h = rng.random((5, 3, 4, 4)).astype(dtype)
    numpy.save_file({name: h}, path := tmp_path / "h.safetensors")
    assert matrices.recognises(path)
    found = matrices.read(path)
    assert np.array_equal(found.matrices, h) and found.matrices.dtype == dtype
    assert (found.samples, len(found.sites), found.d) == (5, 3, 4)
    beside = {"H": h, "bias": rng.random(3)} if name == "H" else {"a": h, "b": h}
    numpy.save_file(beside, path)
    assert matrices.recognises(path) is (name == "H")


def test_what_is_no_matrix_in_a_safetensors_file_is_left_to_the_checkpoints(tmp_path, birkhoff):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"H": np.zeros((3, 2))}, path := tmp_path / "h.safetensors")
    assert not matrices.recognises(path)
    done = birkhoff("spectrum", path)
    assert done.returncode == 3 and "numpy.save, (samples, sites, d, d)" in done.stderr
    numpy.save_file({"H": np.eye(2, dtype=np.int64)}, path)
    assert birkhoff("spectrum", path).returncode == 4
