"""What a small command imports: no library that it does not use, and little of ours that is idle.

A command is as fast as its imports are few. There is no clock here: a module of ours is idle in a
run if it defines functions and not one of them was called.
"""

import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT

GO = ("--method", "go-mhc", "--s", "2")

NUMERICAL = {"numpy"}
"""Packages of others, and large ones of Python, that a command may import beyond Typer's."""

MAX_IDLE = (
    (("--help",), set(), 0),
    (("methods",), NUMERICAL, 2250),
    (("inspect", "examples/go-mhc-s2.pt"), NUMERICAL, 1950),
    (("spectrum", *GO, "-n", "10"), NUMERICAL, 950),
)
"""Commands, packages, and lines of idle modules of ours at the most.

Nearly all of these define the types of values. Lower a bound whenever that is possible; where one
is passed, import what the message names first in the function that needs it.
"""

LARGE = {"asyncio", "concurrent", "email", "http", "multiprocessing", "ssl", "unittest", "xml"}
"""Packages of Python that take as long as a library."""

TYPER = {"typer", "shellingham", "annotated_doc"}

RUN = """
import ast, atexit, json, os, runpy, sys

before = {*sys.modules}  # what an installation loads at every start is none of a command's
called = set()

def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and not code.co_name.startswith("<"):
        called.add((code.co_filename, code.co_name))

def read(file):
    with open(file, encoding="utf-8") as source:
        return source.read()

def functions_of(text):
    nodes = ast.walk(ast.parse(text))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}

def report(answer=sys.argv[1]):
    sys.setprofile(None)
    ours = {n: m.__file__ for n, m in [*sys.modules.items()] if n.startswith("birkhoff_cli")}
    texts = {file: read(file) for file in ours.values()}
    names = {file: functions_of(text) for file, text in texts.items()}
    busy = {file for file, name in called if name in names.get(file, ())}
    idle = {
        name: len(texts[file].splitlines())
        for name, file in ours.items()
        if names[file] and file not in busy
    }
    others = {
        name.partition(".")[0] for name, module in [*sys.modules.items()]
        if name not in before and "site-packages" in (getattr(module, "__file__", None) or "")
    }
    with open(answer, "w") as sink:
        json.dump({"idle": idle, "others": [*others], "all": [*{*sys.modules} - before]}, sink)

atexit.register(report)
del sys.argv[1]
sys.setprofile(note)
runpy.run_module("birkhoff_cli", run_name="__main__")
"""


def imports(command, folder):
    """What a command has imported when it ends, and what of ours stayed idle."""
    answer = folder / "answer.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, answer, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(answer.read_text())


@pytest.mark.parametrize(
    "command, packages, most", MAX_IDLE, ids=[command[0] for command, *_ in MAX_IDLE]
)
def test_a_small_command_imports_what_it_uses(command, packages, most, tmp_path):
    loaded = imports(command, tmp_path)
    large = LARGE & {name.partition(".")[0] for name in loaded["all"]}
    assert {*loaded["others"]} | large <= TYPER | packages
    idle = sorted(loaded["idle"].items(), key=lambda pair: -pair[1])
    lines = sum(count for _, count in idle)
    listed = "\n".join(f"{count:5} {name}" for name, count in idle)
    assert lines <= most, f"{lines} lines of idle modules, where {most} are allowed:\n{listed}"
