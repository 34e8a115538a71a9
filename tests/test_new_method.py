"""A new method is one new file: help, listing, options, analyses and contracts follow from it."""

import json

import pytest

from copies import copy, python_in

FILE = '''"""lazy: stay, or be averaged, H = (1 - w) I + w J / d.

Source: none, a test.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, like, namespace
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, Parameterization


@dataclass(frozen=True)
class Lazy(Parameterization):
    """The segment from the identity to the barycenter."""

    speed: Annotated[float, "multiplies the logit of the weight"] = 1.0

    source = "none"
    exact = DOUBLY_STOCHASTIC
    parameters = 1

    def __call__(self, theta: Array) -> Array:
        """One weight for all streams."""
        w = (1 + namespace(theta).tanh(self.speed * theta[..., None])) / 2
        return w / self.d + (1 - w) * like(np.eye(self.d), theta)

    def initial(self) -> Array:
        """Near the identity."""
        return np.full(1, -8.0)

    def flops(self) -> int:
        """A multiplication and a sum for every entry."""
        return 2 * self.d**2


EXAMPLES = (Lazy(4), Lazy(3, speed=2.0))
'''


@pytest.fixture(scope="module")
def birkhoff(tmp_path_factory):
    """The command of a copy of the package that has one file more."""
    folder = copy(tmp_path_factory.mktemp("copy"))
    (folder / "birkhoff_cli" / "analyses" / "parameterizations" / "lazy.py").write_text(FILE)
    return python_in(folder)


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-n", "5"),
        ("slice", "--d", "3", "-n", "50"),
        ("spectrum", "-n", "50"),
        ("spectrum", "--probe", "frontier", "--directions", "8", "--starts", "1"),
        ("fit", "--targets", "2", "--epochs", "20"),
        ("depth-drift", "-n", "20", "--layers", "2"),
        ("gradients", "--points", "3", "-n", "2"),
        ("complexity", "--d", "4"),
    ],
    ids=" ".join,
)
def test_every_analysis_runs(birkhoff, words):
    done = birkhoff("-m", "birkhoff_cli", *words, "--method", "lazy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_the_listing_names_it_and_its_options(birkhoff):
    methods = json.loads(birkhoff("-m", "birkhoff_cli", "methods", "--json").stdout)["methods"]
    (row,) = [row for row in methods if row["method"] == "lazy"]
    assert row["exact"] == "doubly stochastic" and row["options"] == "--speed 1.0"
    other = birkhoff("-m", "birkhoff_cli", "sample", "--method", "mhc", "--speed", "2")
    assert other.returncode == 2 and "mhc has no --speed" in other.stderr


def test_its_contracts_follow(birkhoff):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "Lazy or lazy")
    done = birkhoff(*words, "tests/test_parameterizations.py", "tests/test_facts.py")
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 40
