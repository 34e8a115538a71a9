"""Commands where torch is not installed, and libraries that cannot be loaded."""

import os
import subprocess
import sys

import numpy as np
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


BROKEN = {
    "ValueError('numpy.dtype size changed, may indicate binary incompatibility')": 4,
    "OSError('libany.so: cannot open shared object file: No such file or directory')": 4,
    "ValueError('could not convert string to float') from MemoryError()": 6,
    "SystemError('initialization failed without raising an exception')": 4,
    "ImportError('undefined symbol')": 4,
    "ImportError('libany.so: failed to map segment from shared object')": 6,
    "MemoryError": 6,
}
NEEDS = {
    "numpy": ("sample", "--method", "mhc"),
    "scipy": ("decompose", "h.npy", "--method", "mhc-lite", "--starts", "1"),
    "pyarrow": ("depth-drift", "t.parquet"),
    "matplotlib": ("spectrum", "--method", "go-mhc", "-n", "9", "--plot", "a.png"),
    "torch": ("train", "--method", "mhc", "-o", "out", "--updates", "1"),
    "huggingface_hub": ("inspect", "hf://org/model"),
    "distributed": ("sample", "--method", "mhc", "--engine", "dask=tcp://127.0.0.1:1"),
    "jinja2": ("report", "h.npy", "-o", "r.html"),
    "typer": ("--version",),
}


def library_that_says(name, fault, folder):
    """A folder with a library that cannot be imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(f"def load():\n    raise {fault}\nload()\n")
    return folder


def refused(name, fault, birkhoff, tmp_path):
    np.save(tmp_path / "h.npy", np.full((2, 3, 3), 1 / 3))
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    before = {path.name for path in tmp_path.iterdir()}
    library = library_that_says(name, fault, tmp_path / "libraries")
    where = os.pathsep.join(map(str, (library, ROOT)))
    done = birkhoff(*NEEDS[name], env={"PYTHONPATH": where, "TMPDIR": str(tmp_path)})
    assert {path.name for path in tmp_path.iterdir()} == before | {"libraries"}
    return done


def check_refused(name, fault, birkhoff, tmp_path):
    done = refused(name, fault, birkhoff, tmp_path)
    assert (done.returncode, done.stdout) == (BROKEN[fault], ""), done.stderr
    *before, said = done.stderr.splitlines()
    assert said.startswith("birkhoff: ") and all("at this size" in line for line in before)
    assert BROKEN[fault] == 6 or f"{name} is installed, and part of it cannot be" in done.stderr


TURNS = [*BROKEN, *BROKEN]


@pytest.mark.parametrize("name, fault", [*zip(NEEDS, TURNS, strict=False)])
def test_a_library_that_cannot_be_imported_is_not_the_fault_of_a_file(
    name, fault, birkhoff, tmp_path
):
    """A Parquet file was damaged where Arrow was built for another version of NumPy."""
    check_refused(name, fault, birkhoff, tmp_path)


@pytest.mark.release
@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("name", NEEDS)
def test_every_library_and_all_that_it_may_say(name, fault, birkhoff, tmp_path):
    check_refused(name, fault, birkhoff, tmp_path)
