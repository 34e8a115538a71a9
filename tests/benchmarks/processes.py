"""What a process of a benchmark costs."""

import os
import subprocess
import sys
from pathlib import Path

BIRKHOFF = str(Path(sys.executable).with_name("birkhoff"))
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(*command):
    """CPU seconds (user and system) and peak MiB of a process."""
    process = subprocess.Popen([str(word) for word in command], env=ONE_THREAD, stdout=-3)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
