"""Every picture in figures/ is what a command in the documents draws."""

import re
import shlex

import pytest

from conftest import ROOT

FIGURES = sorted(path.stem for path in (ROOT / "figures").glob("*.png"))
DOCUMENTS = ("README.md", "docs/papers.md", "figures/README.md")
COMMAND = re.compile(r"`birkhoff ([^`]* --plot (\w+)\.png)`")

NOT_HERE = ("weights_steps",)
"""Pictures of a run that is not in the repository."""


def commands():
    """Words of the command that draws each picture."""
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    return {match[2]: shlex.split(match[1]) for match in COMMAND.finditer(text)}


COMMANDS = commands()


def test_the_command_of_every_picture_is_written_down():
    assert {*FIGURES} == {*COMMANDS} & {*FIGURES}, {*FIGURES} - {*COMMANDS}


def pixels(path):
    from matplotlib.image import imread

    return imread(path)


@pytest.mark.release
@pytest.mark.parametrize("name", [name for name in FIGURES if name not in NOT_HERE])
def test_a_picture_is_what_its_command_draws(name, birkhoff, tmp_path):
    words = [ROOT / w if str(w).startswith("examples/") else w for w in COMMANDS[name]]
    words = [str(w).replace("tokens=examples", f"tokens={ROOT / 'examples'}") for w in words]
    done = birkhoff(*words)
    assert done.returncode == 0, done.stderr
    drawn, kept = pixels(tmp_path / f"{name}.png"), pixels(ROOT / "figures" / f"{name}.png")
    assert drawn.shape == kept.shape and (drawn == kept).all()


@pytest.mark.release
@pytest.mark.parametrize(
    "table", sorted((ROOT / "figures").glob("*.parquet")), ids=lambda t: t.stem
)
def test_a_picture_is_drawn_again_from_its_table(table, birkhoff, tmp_path):
    done = birkhoff("plot", table, "--plot", "again.png", "-q")
    assert done.returncode == 0, done.stderr
    kept = table.with_suffix(".png")
    assert (tmp_path / "again.png").read_bytes() == kept.read_bytes()
