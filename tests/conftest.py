"""What several tests need: the command as typed, and real checkpoints if they are there."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from birkhoff_cli.analyses.core.threads import one_thread

hypothesis.settings.register_profile("birkhoff", deadline=None)
hypothesis.settings.load_profile("birkhoff")
# no deadline: how fast a shared machine is today says nothing of the code

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "checkpoints"


@pytest.fixture
def birkhoff(tmp_path):
    """Run ``birkhoff`` in an empty directory."""

    def run(*words, text=True, env=None, **more):
        command = [sys.executable, "-m", "birkhoff_cli", *map(str, words)]
        environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT), **(env or {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path, **more}
        return subprocess.run(command, text=text, env=environment, timeout=600, **options)

    return run


@pytest.fixture
def checkpoints():
    if not SHARED.is_dir():
        pytest.skip("the recorded checkpoints (../shared/checkpoints) are not on this machine")
    return SHARED


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def single_thread():
    """Torch on one thread, here too: tests share the processors."""
    with one_thread():
        yield
