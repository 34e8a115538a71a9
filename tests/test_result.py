"""A result in Python: the same however often it is read, and its meaning beside every number."""

import html
import sys
import weakref

import numpy as np
import polars
import pytest
from matplotlib.figure import Figure

from birkhoff_cli.analyses import depth_drift, sample, spectrum
from birkhoff_cli.analyses.core import result as result_module
from birkhoff_cli.analyses.core.array_trace import array_trace
from birkhoff_cli.analyses.core.errors import BadInput, TooLarge, Unsupported, UsageError
from birkhoff_cli.analyses.core.result import Result, at_once
from birkhoff_cli.analyses.core.source import Drawn, Draws
from birkhoff_cli.analyses.core.table import arrow_schema, column
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC

SCHEMA = (column("x", "int64", "a number <of> rows"),)


def counted(steps=3, fail=None):
    """A result that counts how far it was taken."""
    taken = []

    def rows():
        for k in range(steps):
            if k == 2 and fail is not None:
                raise fail
            taken.append(k)
            yield {"x": np.arange(k + 1)}

    return Result(SCHEMA, rows(), lambda: {"steps": len(taken), "none": None}), taken


READS = {
    "table": lambda result: result.table,
    "summary": lambda result: result.summary,
    "polars": lambda result: result.to_polars(),
    "html": lambda result: result._repr_html_(),
}


@pytest.mark.parametrize("first", READS)
def test_it_is_the_same_however_often_and_in_whatever_order_it_is_read(first):
    result, taken = counted()
    assert not taken and "not computed yet" in repr(result)
    READS[first](result)
    for _ in range(2):
        assert result.table["x"].to_pylist() == [0, 0, 1, 0, 1, 2]
        assert result.summary == {"steps": 3, "none": None}
        assert result.to_polars()["x"].to_list() == [0, 0, 1, 0, 1, 2]
        assert "6 rows" in repr(result)
    assert taken == [0, 1, 2]


def test_an_error_on_the_way_is_the_same_error_again_and_no_shorter_table():
    result, _ = counted(fail=BadInput("the third is broken"))
    for read in READS.values():
        with pytest.raises(BadInput, match="the third is broken"):
            read(result)


def test_a_run_that_was_stopped_gives_no_shorter_table():
    result, _ = counted(fail=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        result.summary  # noqa: B018
    with pytest.raises(UsageError, match="stopped before its end; run the analysis again"):
        result.table  # noqa: B018


def test_rows_that_were_passed_on_are_not_silently_missing():
    result, _ = counted()
    schema = arrow_schema(SCHEMA)
    assert sum(map(len, result.batches(schema))) == 6
    with pytest.raises(UsageError, match="passed on"):
        result.table  # noqa: B018
    with pytest.raises(UsageError, match="passed on"):
        result.batches(schema)
    assert result.finish()["steps"] == 3
    kept, _ = counted()
    assert len(kept.table) == 6 and kept.finish()["steps"] == 3
    with pytest.raises(UsageError, match="in the table"):
        kept.batches(schema)


def test_a_command_without_a_table_keeps_no_rows():
    alive = []

    def rows():
        for _ in range(3):
            values = np.zeros(10)
            alive.append(weakref.ref(values))
            yield {"x": values}
            del values
            assert sum(ref() is not None for ref in alive) <= 1

    assert Result(SCHEMA, rows(), dict).finish() == {}


def test_rows_beyond_memory_cost_the_table_and_not_the_summary(monkeypatch):
    monkeypatch.setattr(result_module, "available", lambda: 40)
    result, _ = counted()
    assert result.summary["steps"] == 3
    assert "too many to keep" in repr(result)
    with pytest.raises(TooLarge, match="with the command's -o"):
        result.table  # noqa: B018


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_said_in_one_sentence(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"{library} is not installed; pip install {library}$"):
        getattr(counted()[0], f"to_{library}")()


def test_matrices_in_polars_are_matrices():
    frame = sample.run(GoMHC(3), samples=2, seed=1).to_polars()
    assert frame.schema["matrix"] == polars.Array(polars.Array(polars.Float64, 3), 3)
    drawn = next(iter(Drawn(GoMHC(3), Draws(2), 1)))[:, 0]
    assert np.array_equal(frame["matrix"].to_numpy(), drawn)


def test_a_picture_is_that_of_the_table():
    result = spectrum.run(GoMHC(3), samples=20)
    figure = result.plot()
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == "go-mhc:s=2, d = 3, 20 matrices"
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(result.table) == 60
    with pytest.raises(UsageError, match="sample draws no picture; take its table"):
        sample.run(GoMHC(3), samples=2).plot()


def test_a_page_explains_every_number_and_every_column():
    result = depth_drift.run(np.eye(3)[None])
    page = result._repr_html_()
    for name in (*result.summary, *(c.name for c in result.schema)):
        assert f"<td>{name}</td>" in page, name
    legends = [q.legend for q in depth_drift.SUMMARY if q.name in result.summary]
    assert len(legends) == len(result.summary)
    every = (*legends, *(c.about for c in result.schema))
    assert all(text in html.unescape(page) for text in every)
    assert result.answer and result.answer in html.unescape(page)
    assert len(repr(result)) < 100
    nested = at_once(SCHEMA, {"x": [1]}, {"rows": [{"x": 2}], "text": "<b>"})._repr_html_()
    assert "rows[0].x" in nested and "a number &lt;of&gt; rows" in nested and "&lt;b&gt;" in nested


def test_an_array_is_a_trace_wherever_one_is_taken():
    import torch

    h = GoMHC(3).draw(4, np.random.default_rng(0))
    expected = spectrum.run(array_trace(h)).table
    for array in (h, torch.from_numpy(h), h[:, None]):
        assert spectrum.run(array).table.equals(expected)
    assert depth_drift.run(h).summary["sites"] == 4
    assert depth_drift.run(h[:, None]).summary["sites"] == 1
    assert depth_drift.run(h[None]).summary == depth_drift.run(h).summary
    said = depth_drift.run(h).meta["assumptions"]
    assert any("n sites of one sample, in order of depth" in sentence for sentence in said)
    half = array_trace(torch.from_numpy(h).bfloat16())
    assert half.dtype == np.float32
    assert np.array_equal(half.matrices[:, 0], torch.from_numpy(h).bfloat16().float().numpy())


def test_a_trace_of_an_array_is_what_the_array_was():
    h = np.eye(3)[None]
    trace = array_trace(h)
    h[:] = 7
    assert np.array_equal(trace.matrices[0, 0], np.eye(3))


@pytest.mark.parametrize(
    "array, error",
    [
        (np.zeros((2, 3)), BadInput),
        (np.zeros(4), BadInput),
        (np.zeros((0, 2, 2)), BadInput),
        (np.zeros((1, 1, 1, 2, 2)), BadInput),
        (np.eye(2, dtype=complex), Unsupported),
        (np.eye(2, dtype=bool), Unsupported),
    ],
)
def test_an_array_that_holds_no_matrices_is_refused(array, error):
    with pytest.raises(error, match="an array of"):
        spectrum.run(array)


def test_what_is_meant_for_draws_is_refused_beside_matrices():
    with pytest.raises(UsageError, match="samples is for drawn matrices"):
        spectrum.run(np.eye(3), samples=3)
    with pytest.raises(UsageError, match=r"give birkhoff_cli\.load\('x.pt'\)"):
        spectrum.run("x.pt")
    with pytest.raises(TypeError, match="sampels"):
        spectrum.run(GoMHC(3), sampels=3)
