"""Commands where torch is not installed, and libraries that cannot be loaded."""

import importlib
import importlib.util
import marshal
import os
import subprocess
import sys

import numpy as np
import pytest

import forked
from birkhoff_cli import app, extras, members
from birkhoff_cli.analyses.core.errors import NoRoom, Unsupported
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.files import writing
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
    part = extras.explain(ModuleNotFoundError("No module named '_lzma'", name="_lzma"))
    assert part.exit_code == 4 and "a part of Python's own library" in str(part)
    assert "pip" not in str(part)
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


def damaged(how, folder):
    """A library whose file was cut, or is of other bytes, as after a crash or on a full disk."""
    file = folder / "odd_library.py"
    file.write_bytes({"zeros": bytes(99), "cut": b"def f(:", "letters": b"'\xff'"}.get(how, b""))
    if how == "compiled":
        cached = folder / "__pycache__" / f"odd_library.{sys.implementation.cache_tag}.pyc"
        cached.parent.mkdir()
        code = marshal.dumps(compile("x = 1", "odd_library.py", "exec"))
        unchecked = (1).to_bytes(4, "little") + bytes(8)
        cached.write_bytes(importlib.util.MAGIC_NUMBER + unchecked + code[: len(code) // 2])


def by_statement():
    import odd_library  # noqa: F401


def by_name():
    importlib.import_module("odd_library")


DAMAGED = ("zeros", "cut", "letters", "compiled")


@pytest.mark.parametrize("load", [by_statement, by_name])
@pytest.mark.parametrize("how", DAMAGED)
def test_a_library_whose_file_is_damaged_is_named(how, load, tmp_path, monkeypatch):
    """A model's file was called damaged, and a command ended as by a bug of ours."""
    damaged(how, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unsupported, match="odd_library is installed"), refusing(tmp_path):
        load()


def test_the_end_of_a_file_that_is_imported_is_not_what_is_typed(tmp_path):
    """Typer made it an abort, and that was a bug of ours."""
    damaged("compiled", tmp_path)

    def hook():
        sys.path.insert(0, str(tmp_path))
        members.module_of = lambda _: by_statement()

    code, out, err = forked.call(["methods"], tmp_path, hook)
    assert (code, out) == (4, "") and err.startswith("birkhoff: odd_library is installed, and part")
    assert err.count("\n") == 1


def raised_while_imported(error, folder, monkeypatch):
    """An error as a library raises it while it is imported."""
    (folder / "odd_library.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(BaseException) as raised:
        by_statement()
    return raised.value


@pytest.mark.parametrize("error", ["SystemExit(3)", "GeneratorExit", "BaseException('panic')"])
def test_what_is_no_error_and_comes_while_a_library_is_imported(
    error, tmp_path, monkeypatch, capsys
):
    """It was an exit code of the library's own without a word, or a traceback."""
    assert app._left(raised_while_imported(error, tmp_path, monkeypatch)) == 4
    assert "odd_library is installed, and part of it" in capsys.readouterr().err


@pytest.mark.parametrize("number", [28, 32])
def test_a_library_that_meets_a_full_disk_is_no_output(number, tmp_path, monkeypatch):
    error = raised_while_imported(f"OSError({number}, 'odd')", tmp_path, monkeypatch)
    with pytest.raises(Unsupported, match="odd_library"), writing("out.csv"):
        raise error


def test_a_library_beyond_the_number_of_open_files(tmp_path, monkeypatch):
    error = raised_while_imported("OSError(24, 'Too many open files')", tmp_path, monkeypatch)
    lack = extras.of_import(error)
    assert isinstance(lack, NoRoom) and "odd_library cannot be opened (Too many" in str(lack)


def test_a_library_that_lacks_a_name_is_too_old_or_a_folder_that_was_left():
    """A folder without modules can be imported, and whatever is looked for in it is missing."""
    with pytest.raises(Unsupported, match="json is installed"), refusing(ROOT):
        import json

        json.no_such_function()
    with pytest.raises(AttributeError) as raised:
        app.no_such_function()
    assert extras.of_import(raised.value) is None


def test_a_bug_is_said_where_no_file_can_be_written(monkeypatch, capsys, tmp_path):
    """The report of a bug failed itself, in a traceback."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert app._bug(RuntimeError("odd")) == 70
    assert capsys.readouterr().err.endswith("please report it with what --debug prints\n")
