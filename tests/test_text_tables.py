"""Text in blocks of lines: the same rows as all at once, with every row held to the first."""

import json

import numpy as np
import pytest

from birkhoff_cli import matrices
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge
from birkhoff_cli.content import of_bytes
from birkhoff_cli.tables import _keys, _text, csv, ndjson
from test_table_sizes import LIMIT, matrices_of, measure
from test_tables import LABEL


def rows(count=50, d=3, **more):
    rng = np.random.default_rng(0)
    for k in range(count):
        yield {"sample": k // 2, "site": k % 2, "branch": ("attn", 'm,"lp')[k % 2], **more} | {
            "matrix": rng.random((d, d)).tolist()
        }


def as_csv(table):
    names = [name for name in table[0] if name != "matrix"]
    d = len(table[0]["matrix"])
    head = [*names, *(f"matrix_{i}_{j}" for i in range(d) for j in range(d))]
    lines = [",".join(head)]
    for row in table:
        cells = [
            '"' + row[n].replace('"', '""') + '"' if isinstance(row[n], str) else str(row[n])
            for n in names
        ]
        lines.append(",".join([*cells, *(repr(v) for line in row["matrix"] for v in line)]))
    return "\n".join([*lines, ""]).encode()


def as_ndjson(table):
    return "".join(json.dumps(row) + "\n" for row in table).encode()


WRITERS = {"csv": as_csv, "ndjson": as_ndjson}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("whole", [0, 1 << 30], ids=["large", "small"])
def test_blocks_of_any_size_give_the_same_rows(name, whole, tmp_path, monkeypatch):
    table = list(rows())
    path = tmp_path / f"t.{name}"
    path.write_bytes(WRITERS[name](table))
    expected = np.array([row["matrix"] for row in table]).reshape(25, 2, 3, 3)
    monkeypatch.setattr(_text, "MAX_WHOLE", whole)
    for size in (1, 200, 1000, 1 << 20):
        for module in (csv, ndjson):
            monkeypatch.setattr(module, "BLOCK", size)
        monkeypatch.setattr(csv, "COLUMN_BYTES", 0)
        trace = matrices.read(path)
        assert np.array_equal(trace.matrices, expected)
        assert [site.branch for site in trace.sites] == ["attn", 'm,"lp']
        later = list(trace.reader(4, 11))
        assert np.array_equal(np.concatenate(later), expected[11:])


def test_lines_that_end_inside_of_a_word_are_one_row(monkeypatch):
    monkeypatch.setattr(csv, "BLOCK", 60)
    table = [row | {"branch": 'two\nlines, "and" more'} for row in rows(20)]
    assert matrices_of(csv.Csv(), as_csv(table)).shape == (10, 2, 3, 3)


def test_many_columns_are_read_alike_whichever_way(monkeypatch):
    """Plain numbers are read row by row, all else as Arrow reads it."""
    table = list(rows(12, 5))
    data = as_csv(table)
    expected = matrices_of(csv.Csv(), data)
    monkeypatch.setattr(csv, "TOGETHER", 7)
    variants = {
        "plain": data,
        "lines of Windows": data.replace(b"\n", b"\r\n"),
        "spaces": data.replace(b",0.", b", 0.", 1),
        "quotes": data.replace(str(table[0]["matrix"][0][0]).encode(), b'"%r"' % 0, 1),
    }
    for what, text in variants.items():
        monkeypatch.setattr(csv, "TOGETHER", 7)
        found = matrices_of(csv.Csv(), text)
        monkeypatch.setattr(csv, "TOGETHER", 1000)
        assert np.array_equal(found, matrices_of(csv.Csv(), text), equal_nan=True), what
        if what in ("plain", "lines of Windows"):
            assert np.array_equal(found, expected)
    turned = "\n".join(",".join(reversed(line.split(","))) for line in plain(data).splitlines())
    for together in (7, 1000):
        monkeypatch.setattr(csv, "TOGETHER", together)
        assert np.array_equal(matrices_of(csv.Csv(), f"{turned}\n".encode()), expected)


def plain(data):
    """A text without commas inside of words."""
    return data.decode().replace('"m,""lp"', "mlp")


@pytest.mark.parametrize("cell", ["1_0", "0x10", "+1", "1e", "one", "--1", "1.0.0", "١"])
def test_what_is_no_number_is_none_among_many_columns_either(cell, monkeypatch):
    data = as_csv(list(rows(3, 5)))
    first = data.split(b"\n")[1].split(b",")[-1]
    wrong = data.replace(first, cell.encode(), 1)
    said = []
    for together in (7, 1000):
        monkeypatch.setattr(csv, "TOGETHER", together)
        with pytest.raises(Exception) as error:
            matrices_of(csv.Csv(), wrong)
        said.append(type(error.value))
    assert said[0] is said[1]


def test_a_table_of_many_columns_takes_little_memory(tmp_path):
    """Of 90,000 columns it took 945 MB, of these 510."""
    d, path = 200, tmp_path / "t.csv"
    names = ",".join(f"matrix_{i}_{j}" for i in range(d) for j in range(d))
    row = ",".join(["0.005"] * d * d)
    path.write_text("\n".join([names, *[row] * 4, ""]))
    code, said, peak = measure("degeneration", path, "-q")
    assert code == 0, said
    assert peak < LIMIT // 2


LATE = {
    "in another case": ("Site", "its column 'Site' .* looks like 'site'"),
    "misspelt": ("layers", "its column 'layers' .* looks like 'layer'"),
    "by a number": (r"\u0053ite", "its column 'Site' .* looks like 'site'"),
    "of the matrix": ("Matrix", "its column 'Matrix' .* looks like 'matrix'"),
    "known": ("layer", "a column 'layer' in a later row and not in the first"),
}


@pytest.mark.parametrize("what", LATE)
@pytest.mark.parametrize("size", [100, 1 << 24], ids=["in a later block", "in the first"])
def test_a_column_of_later_rows_is_named_as_in_the_first(what, size, monkeypatch):
    """It was left out in silence."""
    key, said = LATE[what]
    monkeypatch.setattr(ndjson, "BLOCK", size)
    lines = as_ndjson(list(rows())).splitlines(keepends=True)
    matrices_of(ndjson.Ndjson(), b"".join(lines))
    lines[-1] = lines[-1].replace(b"{", b'{"' + key.encode() + b'": 1, ', 1)
    with pytest.raises(BadInput, match=said):
        matrices_of(ndjson.Ndjson(), b"".join(lines))


def test_a_key_that_a_later_row_has_twice_is_named():
    """One of the two was taken."""
    lines = as_ndjson(list(rows())).splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b"{", b'{"site" : 7, ', 1)
    with pytest.raises(BadInput, match="has the column 'site' twice"):
        matrices_of(ndjson.Ndjson(), b"".join(lines))


def test_what_only_looks_like_a_key_is_none():
    more = {"note": 'the "Site": as {"layer": 1}', "facts": {"Site": 1, "site": 2, "layer": 3}}
    table = list(rows())
    late = [*table[:-1], table[-1] | more | {"sample_id": 4, "loss": 0.5}]
    found = matrices_of(ndjson.Ndjson(), as_ndjson(late))
    assert np.array_equal(found, matrices_of(ndjson.Ndjson(), as_ndjson(table)))


def test_a_row_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(_text, "MAX_LINE", 1000)
    content = of_bytes(LABEL, b"1" * 5000)
    with pytest.raises(TooLarge, match="has a row of over 0 MB"):
        list(_text.blocks(content, 100))


class Counting(bytes):
    """Text that counts how many of its bytes are looked at for quotes."""

    seen = 0

    def count(self, *words):
        start, stop, _ = slice(*words[1:]).indices(len(self))
        Counting.seen += stop - start
        return super().count(*words)


@pytest.mark.parametrize(
    "text, end",
    [
        (b'a\n"b\nc\n', 2),
        (b'a\n"b\nc"\nd\n', 10),
        (b'"b\nc\n', 0),
        (b'a"b"\n"\n"\nx"\ny', 9),
        (b'a\n"' + b"x\n" * 50_000, 2),
    ],
)
def test_the_last_end_outside_of_quotes_is_found_at_once(text, end):
    """A quote that nothing closes took a minute for every 100 kB of lines behind it."""
    Counting.seen = 0
    assert _text._end(Counting(text), quoted=True) == end
    assert Counting.seen <= 2 * len(text)


@pytest.mark.parametrize("end", [b'"}', b""], ids=["closed", "open"])
def test_a_text_with_many_quotes_inside_is_looked_at_once(end):
    """Of 800 kB of them each was taken for the beginning of another text: minutes."""
    lines = b'{"a\\"b" : 1, "s":"' + b'\\"' * 400_000 + end
    assert [*_keys._keys_in(lines)] == [b'a\\"b', b"s"]
