"""What every analysis keeps: its schema, the seed, the picture, the legend, sound edges."""

import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, get_args

import numpy as np

from birkhoff_cli.analyses.core.entry_points import one_line
from birkhoff_cli.analyses.core.errors import BirkhoffError
from birkhoff_cli.analyses.core.quantities import Quantities
from birkhoff_cli.series import STEP
from birkhoff_cli.summaries import declared
from birkhoff_cli.testing._holding import check, hold
from birkhoff_cli.testing.runs import Analysis, Run, content, read_again
from birkhoff_cli.testing.stand_ins import Sizes

EDGES: Mapping[str, tuple[Sizes, Mapping[str, str]]] = {
    "no sample": (Sizes(samples=0), {"samples": "0"}),
    "one sample": (Sizes(samples=1), {"samples": "1"}),
    "one stream": (Sizes(d=1), {"d": "1"}),
}
"""Sizes of files and of draws where formulas divide by zero."""

REFUSED: Mapping[str, Mapping[str, str]] = {
    "fewer than no samples": {"samples": "-1"},
    "no streams": {"d": "0"},
    "a negative seed": {"seed": "-1"},
}
"""What no analysis takes."""


def check_analysis(
    module: ModuleType, name: str | None = None, small: Mapping[str, str] | None = None
) -> None:
    """Hold that an analysis keeps all contracts, on every one of its EXAMPLES.

    Args:
        module: it has ``run``, SCHEMA, SUMMARY, EXAMPLES, and ``draw`` if it draws.
        name: of its command; that of its examples if not given.
        small: values of options that make a run of the examples long, such as
            ``{"epochs": "3"}``; those that our own analyses have are small already.

    Raises:
        AssertionError: what does not hold.
    """
    lacking = [
        word for word in ("run", "SCHEMA", "SUMMARY", "EXAMPLES") if word not in vars(module)
    ]
    hold(not lacking, f"{module.__name__} defines no {' and no '.join(lacking)}")
    hold(module.EXAMPLES, f"{module.__name__}: EXAMPLES are empty, and its contracts run on them")
    name = name or module.EXAMPLES[0].split()[1]
    check(CONTRACTS, Analysis(module, name, small or {}), name)


def it_documents_itself(analysis: Analysis) -> None:
    """A sentence for the module, for every column and for every option; examples of its own."""
    module, name = analysis.module, analysis.name
    headline = inspect.cleandoc(module.__doc__ or "").partition("\n")[0]
    hold(headline.endswith("."), f"its first line is no sentence: '{headline}'")
    for line in module.EXAMPLES:
        hold(f"{line} ".startswith(f"birkhoff {name} "), f"'{line}' is an example of another")
    for column in module.SCHEMA:
        hold(column.about and column.unit, f"column {column.name} has no sentence or no unit")
    for parameter in inspect.signature(module.run, eval_str=True).parameters.values():
        if parameter.name != "seed" and isinstance(parameter.default, int | float | str):
            notes = [note for note in get_args(parameter.annotation)[1:] if isinstance(note, str)]
            hold(notes, f"option {parameter.name} has no sentence; say Annotated[type, 'sentence']")


def every_example_keeps_the_schema(analysis: Analysis) -> None:
    """Columns of the schema, in its order; no value is missing where none may be."""
    own = [c.name for c in analysis.module.SCHEMA]
    known = own if STEP.name in own else [STEP.name, *own]
    for run in analysis.runs:
        names = run.table.column_names
        if "--table" not in run.arguments:  # which asks for another one, such as a trace
            strange = [name for name in names if name not in known]
            hold(not strange, f"'{run.line}' has columns that SCHEMA does not: {strange}")
            in_order = [name for name in known if name in names]
            hold(names == in_order, f"'{run.line}' has columns {names}, and SCHEMA {in_order}")
        for field in run.table.schema:
            missing = run.table[field.name].null_count
            hold(
                field.nullable or not missing,
                f"'{run.line}': {field.name} is not nullable, and null in {missing} rows",
            )


def every_column_is_given_by_an_example(analysis: Analysis) -> None:
    """A column that is null in all rows of all examples is one that nobody has seen."""
    columns = {
        name
        for run in analysis.runs
        for name in run.table.column_names
        if run.table[name].null_count < len(run.table)
    }
    never = [c.name for c in analysis.module.SCHEMA if c.name not in columns]
    hold(
        not never,
        f"no example gives a value of {', '.join(never)}; leave the column out, "
        f"or add an example that gives it",
    )


def the_same_seed_gives_the_same_bytes(analysis: Analysis) -> None:
    """Twice the same call: the same table, metadata and summary; clocks apart."""
    for run in analysis.runs:
        if run.is_timed:
            continue
        again = analysis.run(run.arguments)
        hold(
            content(again.table) == content(run.table),
            f"'{run.line}' twice gives other values of {_changed(run, again)}; "
            f"draw from the seed alone",
        )
        hold(again.summary == run.summary, f"'{run.line}' twice sums up differently")


def _changed(run: Run, again: Run) -> str:
    """Names of the columns that differ."""
    names = run.table.column_names
    if again.table.column_names != names or len(again.table) != len(run.table):
        return f"{len(run.table)} and {len(again.table)} rows"
    differ = [n for n in names if not again.table[n].equals(run.table[n])]
    return ", ".join(differ) or "metadata"


def the_picture_is_that_of_the_table(analysis: Analysis) -> None:
    """Drawn from the table that a file gives back it is the same, byte for byte."""
    if "draw" not in vars(analysis.module):
        return
    for run in analysis.runs:
        try:
            again = analysis.draw(read_again(run.table))
        except KeyError as error:
            raise AssertionError(
                f"'{run.line}': draw reads {error}, and the table has {run.table.column_names}"
            ) from error
        if run is analysis.runs[0]:
            hold(analysis.draw(run.table) == again, f"'{run.line}': drawn twice the figure differs")


def every_key_of_the_summary_is_declared(analysis: Analysis) -> None:
    """SUMMARY names every key that a run has, those of rows too, with its range."""
    known = declared(analysis.module)
    for run in analysis.runs:
        for key, value, quantity in _keys(run.summary, known, ""):
            hold(
                quantity is not None, f"'{run.line}' sums up {key}, which SUMMARY does not declare"
            )
            hold(key.replace(".", "").isidentifier(), f"'{run.line}': {key} is no identifier")
            if quantity is not None and type(value) in (int, float):
                low, high = quantity.range
                fits = (low is None or value >= low - LENIENCE) and (
                    high is None or value <= high + LENIENCE
                )
                hold(fits, f"'{run.line}': {key} is {value:g}, and its range {low} to {high}")


LENIENCE = 1e-6
"""Of a bound: rounding in float32."""


def _keys(
    summary: Mapping[str, Any], known: Quantities, prefix: str
) -> Iterator[tuple[str, Any, Any]]:
    """Every key with its value and its declaration, None if it has none."""
    names = {q.name: q for q in known}
    for key, value in summary.items():
        quantity = names.get(key)
        yield prefix + key, value, quantity
        for row in value if isinstance(value, list) and quantity else ():
            if isinstance(row, Mapping) and quantity:
                yield from _keys(row, quantity.rows, f"{prefix}{key}.")


def edges_are_sound_or_refused(analysis: Analysis) -> None:
    """No sample, one sample, one stream: a table without NaN, or one line that says why not."""
    for what, (sizes, more) in EDGES.items():
        for usual in analysis.runs:
            if usual.is_timed:
                continue
            line = f"'{usual.line}' with {what}"
            try:
                run = analysis.run(usual.arguments, sizes, more)
            except BirkhoffError as error:
                hold("\n" not in str(error), f"{line} is refused in several lines: {error}")
                continue
            except Exception as error:
                raise AssertionError(f"{line} raises {one_line(error)}") from error
            _hold_finite(run, line)
            if "draw" in vars(analysis.module) and usual is analysis.runs[0]:
                _draw(analysis, run, line)


def _draw(analysis: Analysis, run: Run, line: str) -> None:
    try:
        analysis.draw(run.table)
    except BirkhoffError:
        return
    except Exception as error:
        raise AssertionError(f"{line} cannot be drawn: {one_line(error)}") from error


def _hold_finite(run: Run, line: str) -> None:
    """Hold that what is not defined is null."""
    for field in run.table.schema:
        if str(field.type) in ("double", "float") and len(run.table):
            values = run.table[field.name].drop_null().to_numpy()
            count = int(np.isnan(values).sum())
            hold(not count, f"{line}: {field.name} is NaN in {count} rows; undefined is null")


def what_cannot_be_is_refused(analysis: Analysis) -> None:
    """With one line, whatever the analysis does with the option."""
    arguments = analysis.examples[0]
    for what, more in REFUSED.items():
        if not more.keys() <= analysis.options_of(arguments):
            continue
        try:
            analysis.run(arguments, more=more)
        except BirkhoffError as error:
            hold("\n" not in str(error), f"{what}: is refused in several lines: {error}")
        else:
            raise AssertionError(f"'{' '.join(arguments)}' with {what} is not refused")


def rows_of_a_sample_do_not_depend_on_the_others(analysis: Analysis) -> None:
    """Where rows are those of a sample: the first of five are those of two alone."""
    names = [c.name for c in analysis.module.SCHEMA]
    if "sample" not in names:
        return
    for run in analysis.runs:
        if "matrices" not in run.line and ".npy" not in run.line:
            continue
        few = analysis.run(run.arguments, Sizes(samples=2))
        ours, alone = _of_first(run, 2), _of_first(few, 2)
        same = len(ours) == len(alone) and all(map(_alike, ours, alone))
        hold(same, f"'{run.line}': rows of the first two samples of five are others than alone")


def _of_first(run: Run, samples: int) -> list[dict[str, Any]]:
    return [row for row in run.table.to_pylist() if row["sample"] < samples]


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows are equal, their floating point numbers up to rounding."""
    return one.keys() == other.keys() and all(
        np.allclose(value, other[name], rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
        if isinstance(value, float) and isinstance(other[name], float)
        else value == other[name]
        for name, value in one.items()
    )


ROUNDING = 1e-9
"""Of numbers that were computed beside others, which may change the order of operations."""


CONTRACTS = (
    it_documents_itself,
    every_example_keeps_the_schema,
    every_column_is_given_by_an_example,
    the_same_seed_gives_the_same_bytes,
    the_picture_is_that_of_the_table,
    every_key_of_the_summary_is_declared,
    edges_are_sound_or_refused,
    what_cannot_be_is_refused,
    rows_of_a_sample_do_not_depend_on_the_others,
)
"""In the order in which a fault is easiest to understand."""
