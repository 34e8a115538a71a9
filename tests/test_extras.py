"""Commands where torch is not installed, and libraries that cannot be loaded."""

import subprocess
import sys

import pytest

from birkhoff_cli import extras
from conftest import ROOT

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from birkhoff_cli.app import main
main()
"""
NOISY = "fit --method go-mhc --method mhc-lite --epochs 10"


def run(words, folder):
    line = [sys.executable, "-c", WITHOUT_TORCH, *words.split()]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "words",
    [
        "spectrum --method go-mhc --s 2 -n 1000 --plot reach.png",
        f"report {ROOT}/examples/go-mhc-s2.pt -o report.html",
        f"degeneration {ROOT}/examples/mhc",
        f"depth-drift {ROOT}/examples/mhc/ckpt_000600.pt --inputs gaussian -n 10",
        NOISY,
    ],
)
def test_what_needs_no_torch_works_without_it(words, tmp_path):
    done = run(words, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        "train --method mhc -o out --updates 1",
        f"similarity {ROOT}/examples/mhc/ckpt_000600.pt --inputs tokens={ROOT}/examples/val.bin",
        "sample --method mhc --device cuda",
        "fit --method shc --epochs 10 -o fit.parquet --plot fit.png",
    ],
)
def test_what_needs_torch_says_how_to_get_it(words, tmp_path):
    done = run(words, tmp_path)
    assert done.returncode == 4
    assert done.stderr == "birkhoff: this needs torch; pip install 'birkhoff-cli[torch]'\n"
    assert not list(tmp_path.iterdir())


def test_what_a_failed_import_means():
    torch = extras.explain(ModuleNotFoundError("No module named 'torch'", name="torch.nn"))
    assert torch.exit_code == 4 and "birkhoff-cli[torch]" in str(torch)
    other = extras.explain(ModuleNotFoundError("No module named 'polars'", name="polars"))
    assert other.exit_code == 4 and "pip install polars" in str(other)
    mapping = "libtorch.so: failed to map segment from shared object"
    assert extras.explain(ImportError(mapping, name="torch")).exit_code == 6
    ours = extras.explain(ModuleNotFoundError("x", name="birkhoff_cli.x"))
    assert ours.exit_code == 4 and "install it again" in str(ours)
    broken = extras.explain(ImportError("cannot import name 'x'", name="numpy"))
    assert broken.exit_code == 4 and "numpy is installed, and part of it" in str(broken)
