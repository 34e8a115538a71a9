"""The n-th import, open or write of a command fails: an old or a new file, and a true code."""

import subprocess
import sys
from pathlib import Path

import pytest

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.parameterizations.go_mhc import GoMHC
from birkhoff_cli.containers.store import refusing
from conftest import ROOT

FAULTS = {"memory": "MemoryError()", "library": "ImportError('no such symbol', name=name)"}

IMPORTS = """
import builtins, sys
left, fault = int(sys.argv.pop(1)), sys.argv.pop(1)
real = builtins.__import__
def counted(name, globals=None, locals=None, fromlist=(), level=0):
    global left
    # without its accelerators, which begin with _, Python itself is not whole
    new = level == 0 and name[0] != '_' and name.partition('.')[0] not in sys.modules
    if new or 'birkhoff_cli' in name:
        left -= 1
        if left < 0:
            left = 1 << 40
            raise eval(fault)
    return real(name, globals, locals, fromlist, level)
from birkhoff_cli.__main__ import main
builtins.__import__ = counted
sys.argv[0] = 'birkhoff'
try:
    main()
finally:
    print(left > 1 << 39, file=sys.stderr)
"""

OPENS = """
import errno, io, os, sys
left, fault = int(sys.argv.pop(1)), sys.argv.pop(1)
from birkhoff_cli.__main__ import main
folder, real, real_write = os.getcwd(), io.open, os.write
class Failing:
    def __init__(self, file): self.file = file
    def __getattr__(self, name): return getattr(self.file, name)
    def __enter__(self): return self
    def __exit__(self, *rest): return self.file.__exit__(*rest)
    def write(self, data):
        count()
        return self.file.write(data)
def count():
    global left
    left -= 1
    if left < 0:
        left = 1 << 40
        raise OSError(errno.ENOSPC, 'No space left on device')
def counted(path, mode='r', *rest, **more):
    ours = isinstance(path, (str, os.PathLike)) and str(path).startswith(folder)
    if not ours or mode[0] == 'r':
        return real(path, mode, *rest, **more)
    count()
    return Failing(real(path, mode, *rest, **more))
io.open = counted
sys.argv[0] = 'birkhoff'
try:
    main()
finally:
    print(left > 1 << 39, file=sys.stderr)
"""

COMMANDS = (
    "sample --method mhc -n 5 -o {}/out.parquet",
    "spectrum --method go-mhc -n 5 -o {}/out.csv",
)


def outcome(code, number, fault, words, folder):
    """Exit code, what was printed, and whether the fault happened at all."""
    command = [sys.executable, "-c", code, str(number), fault, *words.format(folder).split()]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "TMPDIR": str(folder / "tmp")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    *lines, happened = done.stderr.splitlines()
    return done.returncode, lines, happened == "True"


def check(folder, old, code, lines, codes):
    """A true exit code and one line, the old file or a whole new one, and nothing left over."""
    assert code in codes, (code, lines)
    assert code == 0 or (len(lines) == 1 and lines[0].startswith("birkhoff: ")), lines
    (output,) = [path for path in folder.iterdir() if path.name.startswith("out.")]
    assert (output.read_bytes() == old) == (code != 0)
    assert {path.name for path in folder.iterdir()} == {output.name, "tmp"}
    assert not list((folder / "tmp").iterdir())


def walk(code, fault, words, folder, codes, numbers):
    """Fail at every number in turn, until a command ends without having met its fault."""
    (folder / "tmp").mkdir()
    output = folder / words.rpartition("/")[2]
    failed = 0
    for number in numbers:
        output.write_bytes(b"old")
        status, lines, happened = outcome(code, number, fault, words, folder)
        check(folder, b"old", status, lines, codes if happened else (0,))
        failed += status != 0
        if not happened:
            break
    assert failed


def test_a_file_is_not_damaged_where_a_library_makes_another_error_of_a_lack_of_memory():
    """`cannot be understood (ValueError)` was exit code 3."""
    with pytest.raises(MemoryError), refusing(Path("h.npy")):
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("no array") from None  # hides it from the traceback, not from us


@pytest.mark.parametrize("said", [MemoryError(), ValueError("no colours")])
def test_a_method_that_is_short_of_memory_is_not_said_to_be_broken(said, monkeypatch):
    """`GoMHC() fails` was exit code 4."""

    def short(_self):
        raise said from MemoryError()

    monkeypatch.setattr(GoMHC, "__post_init__", short)
    with pytest.raises(MemoryError):
        parameterizations.lacks(GoMHC)


SPREAD = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_import_that_fails(fault, tmp_path):
    """A library may do without what it wanted to import, and the command be none the worse."""
    codes = (0, 6) if fault == "memory" else (0, 4)
    walk(IMPORTS, FAULTS[fault], COMMANDS[0], tmp_path, codes, SPREAD)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_write_that_fails(words, tmp_path):
    walk(OPENS, "-", words, tmp_path, (5,), range(100))


@pytest.mark.release
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("words", COMMANDS)
def test_every_import_that_fails(fault, words, tmp_path):
    codes = (0, 6) if fault == "memory" else (0, 4)
    walk(IMPORTS, FAULTS[fault], words, tmp_path, codes, range(10_000))
