"""A new region is one new file: help, listing, boundary, picture and contracts follow from it."""

import json

import pytest

from copies import copy, python_in

FILE = '''"""Eigenvalues of all complex d x d matrices of spectral norm at most 1/2: a disk.

Source: none, a test.
"""

from dataclasses import dataclass

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.geometry import curves
from birkhoff_cli.analyses.geometry.region import Region, Style


@dataclass(frozen=True)
class HalfDisk(Region):
    """The same for every d."""

    proven = "proven"
    proven_by = "no eigenvalue exceeds the norm, and z times the identity has the norm |z|"
    inner_square = 0.25
    style = Style("disk of radius 1/2", "-.", "0.3", "0.9", is_unit_circle=False)

    @property
    def stochastic(self) -> bool:
        """From d = 3 on: the triangle of the cube roots of 1 holds the disk."""
        return self.d >= 3

    @property
    def breaks(self) -> Array:
        """The ends of the upper half."""
        return np.array([0, np.pi])

    def radius(self, angle: Array) -> Array:
        """One half."""
        return np.full_like(angle, 0.5, dtype=float)

    def excess(self, re: Array, im: Array) -> Array:
        """Distance beyond the circle, less than 0 inside."""
        return np.hypot(re, im) - 0.5

    def distance(self, re: Array, im: Array) -> Array:
        """Euclidean distance, 0 inside."""
        return np.maximum(np.hypot(re, im) - 0.5, 0)

    def upper_pieces(self, points: int) -> Array:
        """One arc."""
        return curves.arcs(self.radius, self.breaks, points)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the package that has one file more."""
    folder = copy(tmp_path_factory.mktemp("copy"))
    (folder / "birkhoff_cli" / "analyses" / "regions" / "half_disk.py").write_text(FILE)
    return folder


@pytest.fixture
def python(folder):
    return python_in(folder)


@pytest.fixture
def birkhoff(python):
    return lambda *words: python("-m", "birkhoff_cli", *words)


def test_help_and_the_sentence_on_a_misspelt_kind_list_it(birkhoff):
    shown = " ".join(birkhoff("region", "--help").stdout.split())
    assert "half-disk: Eigenvalues of all complex d x d matrices of spectral norm at most" in shown
    done = birkhoff("region", "--kind", "half-disc")
    assert done.returncode == 2 and "did you mean 'half-disk'" in done.stderr


def test_its_boundary_its_area_and_its_picture_are_drawn(birkhoff, folder):
    words = ("--kind", "half-disk", "--d", "3", "--points", "5")
    done = birkhoff("region", *words, "--json", "-o", "b.csv", "--plot", "b.svg")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["area"] == pytest.approx(0.7853981633974483, abs=1e-12)
    assert (summary["kind"], summary["proven"]) == ("half-disk", "proven")
    assert len((folder / "b.csv").read_text().splitlines()) == 1 + 2 * 5
    assert "disk of radius 1/2" in (folder / "b.svg").read_text()
    both = birkhoff("region", "--kind", "half-disk,karpelevic", "--plot", "both.svg", "-q")
    assert both.returncode == 0 and "disk of radius 1/2" in (folder / "both.svg").read_text()


def test_its_contracts_follow(python):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "half-disk")
    done = python(*words, "tests/test_region_contracts.py")
    assert done.returncode == 0, done.stdout
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 60
