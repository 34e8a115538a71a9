"""A throw-away package with members of every kind, as pip would install it."""

from pathlib import Path

MAPS = '''"""theirs: stay, or be averaged, H = (1 - w) I + w J / d.

Source: none, a test.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array, like, namespace
from birkhoff_cli.analyses.core.parameterization import DOUBLY_STOCHASTIC, Parameterization


@dataclass(frozen=True)
class Theirs(Parameterization):
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


EXAMPLES = (Theirs(4), Theirs(3, speed=2.0))
'''

ROTATIONS = '''"""Cells of two streams, as a throw-away trainer saves them.

A cell has logits and a scale, ``H = sinkhorn(scale * logits)``, and applies ``x_out = H x_in``.
"""

from collections.abc import Mapping

from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, depth_facts, matches
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.values import check_shapes, dtypes, values

MARKS = (".throwaway_",)
SITE = anchored(r"cells\\.(?P<layer>[0-9]+)\\.throwaway_(?P<tensor>logits|scale)")
SHAPES = {"logits": (2, 2), "scale": (1,)}


def claims(store: NamedStore) -> set[str]:
    """Logits and scales of cells."""
    return {name for name, _ in matches(store, SITE)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Check every site, and read its tensors."""
    places = by_depth(store, SITE, ("cell",))
    check_shapes(store, places, SHAPES)
    logits, scale = values(store, places, "logits"), values(store, places, "scale")
    return Checkpoint(
        path=store.path,
        format="rotations",
        method="mhc",
        map=MHC(2),
        theta=logits.reshape(-1, 4) * scale,
        sites=tuple(places),
        d=2,
        layers=len(places),
        width=0,
        settings=(),
        convention="stores logits, applies x_out = H x_in; as stored",
        assumptions=depth_facts(store, SITE, len(places), store.config, ("cells",)),
        dtypes=dtypes(store, places, SHAPES),
        inputs=(store.digest(),),
    )
'''

TRACES = '''"""Trace of every matrix.

The sum of the eigenvalues.
"""

from typing import Annotated

import numpy as np

from birkhoff_cli.analyses.core.quantities import quantity
from birkhoff_cli.analyses.core.result import Result, at_once
from birkhoff_cli.analyses.core.source import Draws, Source
from birkhoff_cli.analyses.core.table import column

EXAMPLES = ("birkhoff traces --method mhc --power 2", "birkhoff traces matrices.npy")

SCHEMA = (
    column("sample", "int64", "number of the sample"),
    column("trace", "float64", "trace of the power of H"),
)

SUMMARY = (
    quantity("samples", "matrices", range=(0, None)),
    quantity("trace_max", "largest trace"),
)


def run(
    source: Annotated[Source, Draws(samples=100)],
    *,
    power: Annotated[int, "power of H whose trace it is"] = 1,
) -> Result:
    """One row for every matrix of one site."""
    h = np.concatenate([block[:, 0] for block in source])
    trace = np.trace(np.linalg.matrix_power(h, power), axis1=-2, axis2=-1)
    columns = {"sample": np.arange(len(trace)), "trace": trace}
    return at_once(SCHEMA, columns, {"samples": len(trace), "trace_max": float(trace.max())})


def draw(table, figure) -> None:
    """A histogram of traces."""
    axes = figure.subplots()
    axes.hist(table["trace"].to_numpy())
    axes.set(xlabel="trace", ylabel="matrices")
'''

FILES = {"maps": MAPS, "rotations": ROTATIONS, "traces": TRACES}

ENTRY_POINTS = {
    "birkhoff.methods": {"theirs": "throwaway.maps"},
    "birkhoff.analyses": {"traces": "throwaway.traces"},
    "birkhoff.checkpoints": {"rotations": "throwaway.rotations"},
}


def install(folder: Path, entry_points=ENTRY_POINTS, files=FILES, name="throwaway") -> Path:
    """What ``pip install --target folder`` leaves of a package; its import is seen on stderr."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"import sys\nprint('{name} is imported', file=sys.stderr)\n"
    )
    for module, text in files.items():
        (package / f"{module}.py").write_text(text)
    about = folder / f"{name}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = (
        "\n".join([f"[{group}]", *(f"{n} = {value}" for n, value in members.items()), ""])
        for group, members in entry_points.items()
    )
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder
