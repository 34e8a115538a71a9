"""The recipe for a package of members, by the letter."""

import os
import re
import subprocess
import sys
import tomllib

from conftest import ROOT
from packages import BLOCKS, RECIPE, install

COMMANDS = re.findall(r"```sh\n(.*?)```", RECIPE, re.S)[0].splitlines()


def test_the_recipe_is_a_package_whose_tests_and_commands_run(tmp_path):
    project = tomllib.loads(BLOCKS["pyproject.toml"])["project"]
    site = tmp_path / "site"
    files = {
        name.removeprefix("mymixers/").removesuffix(".py"): text for name, text in BLOCKS.items()
    }
    modules = {
        name: text for name, text in files.items() if "/" not in name and name != "pyproject.toml"
    }
    install(site, project["entry-points"], modules, name=project["name"])
    (site / "mymixers" / "__init__.py").write_text("")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_members.py").write_text(BLOCKS["tests/test_members.py"])
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    assert len(COMMANDS) == 7
    for line in COMMANDS:
        words = line.replace("birkhoff ", "python -m birkhoff_cli ").split()
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "traces.png").read_bytes()
    assert (
        "[mymixers 1.2]"
        in subprocess.run(
            [sys.executable, "-m", "birkhoff_cli", "--help"],
            env=environment,
            capture_output=True,
            text=True,
        ).stdout
    )
