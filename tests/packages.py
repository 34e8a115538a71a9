"""The package that CONTRIBUTING.md shows, as pip would install it."""

import re
from pathlib import Path

from conftest import ROOT

RECIPE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("of another package\n")[2]
BLOCKS = dict(re.findall(r"^`([\w./]+)`[^\n]*\n\n```\w+\n(.*?)^```", RECIPE, re.M | re.S))
"""Files of the package that CONTRIBUTING.md shows, by name."""

MAPS = BLOCKS["mymixers/lazy.py"].replace("Lazy", "Theirs")
CELLS, TRACES = BLOCKS["mymixers/cells.py"], BLOCKS["mymixers/traces.py"]

FILES = {"maps": MAPS, "cells": CELLS, "traces": TRACES}

ENTRY_POINTS = {
    "birkhoff.methods": {"theirs": "throwaway.maps"},
    "birkhoff.analyses": {"traces": "throwaway.traces"},
    "birkhoff.checkpoints": {"cells": "throwaway.cells"},
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
