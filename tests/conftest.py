"""What several tests need: the command as typed, and what was recorded of real code."""

import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import numpy as np
import pytest

from birkhoff_cli import process
from birkhoff_cli.analyses.core.threads import one_thread

hypothesis.settings.register_profile("birkhoff", deadline=None)
hypothesis.settings.load_profile("birkhoff")
# no deadline: how fast a shared machine is today says nothing of the code

for stop in {"SIGINT", "SIGTERM", "SIGHUP"} & {*dir(signal)}:
    if signal.getsignal(getattr(signal, stop)) == signal.SIG_IGN:
        # tests in the background, or by nohup: the commands that they stop would ignore it too
        signal.signal(getattr(signal, stop), signal.SIG_DFL)

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
DATA = ROOT / "tests" / "data"
WITHOUT_SHARED = "TESTS_WITHOUT_SHARED"
"""Environment variable: if it is set, the tests are those of a clone that stands alone."""


@pytest.fixture
def birkhoff(tmp_path):
    """Run ``birkhoff`` in an empty directory."""

    def run(*words, text=True, env=None, **more):
        command = [sys.executable, "-m", "birkhoff_cli", *map(str, words)]
        environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT), **(env or {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path, **more}
        return subprocess.run(command, text=text, env=environment, timeout=600, **options)

    return run


@pytest.fixture(scope="session")
def shared():
    """What was recorded of real code: ``../shared``, or else what ``data`` keeps of it."""
    if SHARED.is_dir() and WITHOUT_SHARED not in os.environ:
        yield SHARED
        return
    with TemporaryDirectory() as folder:
        for path in DATA.rglob("*.tar.xz"):
            with tarfile.open(path) as archive:
                for entry in archive:
                    target = Path(folder, entry.name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.extractfile(entry).read())
        yield Path(folder)


@pytest.fixture
def checkpoints(shared):
    """Trained models with the matrices that their own code applied, of the first sites at least."""
    return shared / "checkpoints"


@pytest.fixture
def cases(shared):
    """Files as people have them, and their static matrices."""
    return shared / "cases"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def single_thread():
    """Torch on one thread, here too: tests share the processors."""
    with one_thread():
        yield


def pytest_runtest_teardown():
    """A test that stops its own process leaves nothing of the signal to the next one."""
    process._first = 0
