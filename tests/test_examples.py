"""What the front page shows works right after the clone."""

import json
import re
import shlex

import numpy as np
import pytest

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core.parameterization import COLUMNS, ROWS
from conftest import ROOT

EXAMPLES = sorted(p for p in (ROOT / "examples").rglob("*.pt"))


def test_they_are_small():
    sizes = [p.stat().st_size for p in (ROOT / "examples").rglob("*") if p.is_file()]
    assert len(EXAMPLES) >= 12 and sum(sizes) < 5e6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_example_is_read_and_is_what_its_method_says(path):
    found = checkpoints.read(path)
    h = found.trace().matrices.astype(float)
    assert found.map.name.replace("-", "") in str(path.relative_to(ROOT)).replace("-", "")
    for side, axis in ((ROWS, -1), (COLUMNS, -2)):
        if side in found.map.exact:
            assert np.abs(h.sum(axis) - 1).max() < 1e-5
    eye = np.eye(found.d)
    assert "000000" in path.name or np.abs(h - eye).max() > 1e-6


def test_the_commands_of_the_front_page_run(birkhoff, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Your model") : text.index("## What it does")]
    lines = re.findall(r"^birkhoff .*$", section, flags=re.M)
    assert len(lines) >= 3
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in lines:
        words = shlex.split(line)[1:]
        done = birkhoff(*words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
