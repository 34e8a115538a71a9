"""What the documents say is so: links lead somewhere, and commands run (at small sizes)."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from birkhoff_cli import members, reference
from birkhoff_cli.analyses.networks import speed
from birkhoff_cli.app import app
from conftest import ROOT

DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "figures" / "README.md",
]
MAX_FRONT_PAGE = 200
"""Lines that a stranger reads."""

ELSEWHERE = ("reference", "kernels", "python", "checkpoint-formats", "CONTRIBUTING")
"""Documents whose commands name files that tests of their own write."""

COMMAND = re.compile(r"^birkhoff .+$|`birkhoff ([^`]+)`", re.MULTILINE)
PLACEHOLDER = re.compile(
    r"\b[A-Z]+\b|(?<!examples/mhc/)\bckpt|\bt\.parquet|\.\.\.|^birkhoff \S+$|--against|x\.npz"
    r"|--mix tokens$|sample --table|spectrum --probe"
)
"""A file of the reader's, a method of theirs, or the bare name of a command."""

SIZES = {
    "-n": "20",
    "--epochs": "3",
    "--targets": "2",
    "--sequences": "1",
    "--directions": "8",
    "--layers": "50",
}
"""Values that make a command short; where it has the option and says nothing, they are added."""

ADDED = {"fit": "--targets 2", "complexity": "", "region": "", "degeneration": "", "heatmap": ""}
"""What makes a command small beside ``-n``, for those that do not draw matrices."""


def commands(documents):
    """Every command that documents show and that can be run as it stands."""
    found = {}
    for document in documents:
        for match in COMMAND.finditer(document.read_text(encoding="utf-8")):
            line = match[0].strip("`").replace("\\|", "|")
            if not PLACEHOLDER.search(line):
                found.setdefault(line, document.relative_to(ROOT).as_posix())
    return found


COMMANDS = commands([d for d in DOCUMENTS if d.stem not in ELSEWHERE])


def small(line):
    """The same command on few matrices, targets and steps."""
    line = re.sub(r"(--sweep \S+?=[^,\s]+,[^,\s]+)\S*", r"\1", line)
    for option, value in SIZES.items():
        line = re.sub(rf"{option} \S+", f"{option} {value}", line)
    name = line.split()[1]
    if "examples/" in line or "--help" in line:
        return line
    if name in ADDED:
        given = ADDED[name].partition(" ")[0] in line.split()
        line = line if given else f"{line} {ADDED[name]}"
    elif " -n " not in line and name not in ("gradients", "methods", "train"):
        line = f"{line} -n 20"
    if "--probe frontier" in line:
        line = f"{line} --directions 8 --starts 1"
    return f"{line} --epochs 3" if name == "fit" and "--epochs" not in line else line


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_FRONT_PAGE


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document):
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in links):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = document.parent / path if path else document
        assert file.exists(), f"{target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{target}: no such heading"


def test_every_command_is_on_the_front_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## What it does") : text.index("## What pipes")]
    rows = re.findall(r"^\| (`birkhoff.*?) \|", table, re.MULTILINE)
    shown = {name for row in rows for name in re.findall(r"`(?:birkhoff )?([a-z][a-z-]*)", row)}
    assert shown == {*members.names()}


def test_commands_are_found():
    assert len(COMMANDS) > 50


SLOW = re.compile(r"birkhoff train (?!--mix)|--cover|birkhoff report|mhc-lite .*--measure")
"""Commands that take many seconds at any size."""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(c, marks=pytest.mark.release if SLOW.search(c) else ())
        for c in COMMANDS
        if "|" not in c
    ],
)
def test_a_command_of_a_document_runs(line, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "ROUNDS", 1)
    words = shlex.split(small(line))[1:]
    monkeypatch.setattr(sys, "argv", ["birkhoff", *words])
    assert not typer.main.get_command(app).main(words, standalone_mode=False)


@pytest.mark.parametrize("line", [c for c in COMMANDS if "|" in c])
def test_a_pipe_of_a_document_runs(line, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name, program in (("birkhoff", "-m birkhoff_cli"), ("python", "")):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {program} "$@"\n')
        (tmp_path / name).chmod(0o755)
    first, bar, rest = line.partition(" | ")
    script = f"set -o pipefail; {small(first)}{bar}{rest}"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode in ((0, 141) if rest == "head" else (0,)), done.stderr


def test_the_reference_is_what_the_declarations_say():
    """``python -m birkhoff_cli.reference > docs/reference.md`` writes it anew."""
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert text == reference.page()
