"""The commands of docs/kernels.md, in order in one folder, print what is shown there."""

import re
import runpy

from conftest import ROOT

TEXT = (ROOT / "docs/kernels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
MORE = "..."
"""Stands for lines that are left out."""


def words(text):
    """The lines with single spaces: how wide a column is depends on all of them."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_commands_print_what_is_shown(birkhoff, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, block in BLOCKS:
        if kind == "python":
            (tmp_path / "port.py").write_text(block)
            runpy.run_path(str(tmp_path / "port.py"))
            continue
        command, *shown = block.splitlines()
        done = birkhoff(*command.removeprefix("$ birkhoff ").split())
        assert done.returncode == 0, done.stderr
        printed = iter(words(done.stdout))
        for line in words("\n".join(shown)):
            assert line == MORE or line in printed, f"{command}: {line}\n{done.stdout}"


def test_there_are_commands_of_every_kind():
    commands = " ".join(block for kind, block in BLOCKS if kind == "console")
    for word in ("golden", "--logits", "--against", "--gradient", "birkhoff diff"):
        assert word in commands
