"""Copies of the package, in which a test adds a file as somebody who extends it would."""

import os
import shutil
import subprocess
import sys

from conftest import ROOT


def copy(folder, *more):
    """A copy of the package and its tests, without their data; ``more`` are other folders."""
    for name in ("birkhoff_cli", *more):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("data"))
    return folder


def python_in(folder):
    """Runs Python with the package of a folder."""

    def run(*words):
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "100"},
            capture_output=True,
            text=True,
        )

    return run
