"""Every picture in figures/ is what a command in the documents draws."""

import json
import re
import shlex

import pytest

from conftest import ROOT

FIGURES = sorted(path.stem for path in (ROOT / "figures").glob("*.png"))
DOCUMENTS = ("README.md", "docs/papers.md", "figures/README.md")
COMMAND = re.compile(r"`birkhoff ([^`]* --plot (\w+)\.png)`")

TRAINING = re.compile(r"`birkhoff (train [^`]* -o RUN)`")
"""What makes the run that a picture in the same row is of."""


def commands():
    """Words of the command that draws each picture."""
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    return {match[2]: shlex.split(match[1]) for match in COMMAND.finditer(text)}


def runs():
    """Words of the command that makes the run, for every picture of one."""
    lines = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS).splitlines()
    rows = ((COMMAND.findall(line), TRAINING.search(line)) for line in lines)
    return {
        picture: shlex.split(made[1])
        for found, made in rows
        for command, picture in found
        if "RUN" in command.split()
    }


COMMANDS, RUNS = commands(), runs()


def test_the_command_of_every_picture_is_written_down():
    assert {*FIGURES} == {*COMMANDS} & {*FIGURES}, {*FIGURES} - {*COMMANDS}


def pixels(path):
    from matplotlib.image import imread

    return imread(path)


@pytest.mark.release
@pytest.mark.parametrize("name", FIGURES)
def test_a_picture_is_what_its_command_draws(name, birkhoff, tmp_path):
    if name in RUNS:
        assert birkhoff(*RUNS[name]).returncode == 0
    words = [ROOT / w if str(w).startswith("examples/") else w for w in COMMANDS[name]]
    words = [str(w).replace("tokens=examples", f"tokens={ROOT / 'examples'}") for w in words]
    done = birkhoff(*words)
    assert done.returncode == 0, done.stderr
    drawn, kept = pixels(tmp_path / f"{name}.png"), pixels(ROOT / "figures" / f"{name}.png")
    assert drawn.shape == kept.shape and (drawn == kept).all()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_and_the_picture_of_it_take_two_commands(name, birkhoff, tmp_path):
    small = {"--updates": "2", "--every": "1", "--layers": "2", "--width": "8"}
    words = RUNS[name]
    words = [small.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    assert birkhoff(*words).returncode == 0
    done = birkhoff(*COMMANDS[name], "--json")
    assert done.returncode == 0, done.stderr
    assert [one["step"] for one in json.loads(done.stdout)["steps"]] == [0, 1, 2]
    assert (tmp_path / f"{name}.png").exists()


@pytest.mark.release
@pytest.mark.parametrize(
    "table", sorted((ROOT / "figures").glob("*.parquet")), ids=lambda t: t.stem
)
def test_a_picture_is_drawn_again_from_its_table(table, birkhoff, tmp_path):
    done = birkhoff("plot", table, "--plot", "again.png", "-q")
    assert done.returncode == 0, done.stderr
    kept = table.with_suffix(".png")
    assert (tmp_path / "again.png").read_bytes() == kept.read_bytes()
