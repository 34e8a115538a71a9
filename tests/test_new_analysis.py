"""A new analysis is one new file: the command, its help, options, tables and contracts follow."""

import json

import numpy as np
import pytest

from copies import copy, python_in

FILE = '''"""Traces of mixing matrices: how much of every stream stays where it is.

Source: none, a test.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.fold import Fold, run_fold
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import Columns, column
from birkhoff_cli.analyses.core.trace import site_columns, site_schema
from birkhoff_cli.analyses.statistics.extremes import Extremes

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = ("birkhoff stay --method mhc --power 2",)

SCHEMA = (
    column("sample", "int64", "sample of the matrix"),
    *site_schema(),
    column("trace", "float64", "mean of the diagonal to the power"),
)


def run(
    source: Annotated[Source, Draws(layers=2)],
    *,
    power: Annotated[int, "power of the diagonal"] = 1,
) -> Result:
    """Measure every matrix."""
    return run_fold(_Stay(source, power), source, SCHEMA, source.meta)


class _Stay(Fold[Extremes, Array]):
    def __init__(self, source: Source, power: int) -> None:
        self.source, self.power = source, power
        self.where = site_columns(source.sites)

    def start(self) -> Extremes:
        return Extremes(largest=("trace_max",))

    def add(self, state: Extremes, number: int, block: Array) -> Columns:
        traces = (np.diagonal(block, axis1=-2, axis2=-1).astype(float) ** self.power).mean(-1)
        state.add(number, {"trace_max": traces})
        sample = number * self.source.block + np.arange(len(block))[:, None]
        return {"sample": sample, **self.where, "trace": traces}

    def finish(self, state: Extremes) -> tuple[Iterable[Columns], Summary]:
        return (), {"samples": self.source.samples, **state.summary()}


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Every trace at its sample."""
    figure.subplots().plot(result["sample"], result["trace"], ".")
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the package that has one file more."""
    folder = copy(tmp_path_factory.mktemp("copy"), "docs")
    (folder / "analyses").symlink_to("birkhoff_cli/analyses")
    (folder / "analyses" / "stay.py").write_text(FILE)
    np.save(folder / "h.npy", np.full((3, 2, 2), 0.5))
    return folder


@pytest.fixture
def python(folder):
    return python_in(folder)


@pytest.fixture
def birkhoff(python):
    return lambda *words: python("-m", "birkhoff_cli", *words)


def test_the_list_of_commands_and_its_own_help_name_it(birkhoff):
    assert "  stay" in birkhoff("--help").stdout
    shown = " ".join(birkhoff("stay", "--help").stdout.split())
    assert "how much of every stream stays where it is" in shown
    assert "birkhoff stay --method mhc --power 2" in shown
    assert "power of the diagonal" in shown and "--inputs" in shown


def test_a_path_a_method_and_a_sweep_are_read(birkhoff, folder):
    done = birkhoff("stay", "h.npy", "--power", "2", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["samples"], summary["trace_max"]) == (3, 0.25)
    words = ("--method", "identity", "--d", "3", "-n", "4")
    assert birkhoff("stay", *words, "-o", "t.csv", "--plot", "t.svg", "-q").returncode == 0
    header, *rows = (folder / "t.csv").read_text().splitlines()
    assert header.replace('"', "") == "sample,site,layer,branch,trace" and len(rows) == 4 * 2
    assert (folder / "t.svg").read_text().startswith("<?xml")
    done = birkhoff("stay", *words, "--sweep", "power=1,2", "-o", "s.csv", "-q")
    assert done.returncode == 0, done.stderr
    assert len((folder / "s.csv").read_text().splitlines()) == 1 + 2 * 4 * 2


def test_what_has_no_effect_is_refused(birkhoff):
    done = birkhoff("stay", "h.npy", "--scale", "2")
    assert done.returncode == 2 and "--scale is for drawn matrices" in done.stderr


def test_its_contracts_follow(python):
    contracts = ("structure", "streaming_contract", "help")
    files = [f"tests/test_{name}.py" for name in contracts]
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "stay", *files)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) >= 12
