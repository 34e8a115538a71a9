"""Fresh installations: without torch, of the lowest and of the newest versions, by several tools.

They need a package index, and a few minutes.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from fake_hub import FakeHub, Repository
from test_docs import commands, small

pytestmark = pytest.mark.release

MAX_DOWNLOAD = 150e6
"""Bytes of everything that an installation without torch fetches."""

INTERPRETERS = ("3.11", "3.12", "3.13", "3.14")
EXAMPLE = "examples/mhc/ckpt_000600.pt"
MAIN = (
    "methods",
    "spectrum --method go-mhc --s 2 -n 1000 -o reach.parquet --plot reach.png",
    "plot reach.parquet --plot again.svg",
    "sample --method mhc-lite -n 10 -o drawn.csv",
    "depth-drift --method mhc --layers 8 -n 20 --json",
    f"check {EXAMPLE}",
    f"depth-drift {EXAMPLE} --inputs gaussian -n 10 --plot drift.pdf",
    "degeneration examples/mhc",
    "report examples/go-mhc-s2.pt -o report.html",
    "sample --sweep scale=1,2 --method mhc -n 3 -o grid.parquet",
    "region --kind karpelevic --d 4",
    "fit --method go-mhc --targets 2 --epochs 3",
)
"""What an installation has to be able to do."""


def run(words, folder, **more):
    """A command that must end well."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=900, **more)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


class Installed:
    """A virtual environment, and a folder beside the examples in which its command runs."""

    def __init__(self, folder, python=sys.executable):
        self.folder = folder
        (folder / "examples").symlink_to(ROOT / "examples")
        run([python, "-m", "venv", "venv"], folder)
        self.bin = folder / "venv" / "bin"

    def pip(self, *words):
        """Run its pip, on nothing but what is told."""
        run([self.bin / "python", "-m", "pip", "-q", *words], self.folder, env=bare())

    def birkhoff(self, line):
        """The code, output and standard error of a command."""
        words = [self.bin / "birkhoff", *shlex.split(line)]
        done = subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=600, env=bare()
        )
        return done.returncode, done.stdout, done.stderr

    def check(self, lines):
        """All commands end well, and say nothing on standard error."""
        for line in lines:
            code, _, err = self.birkhoff(line)
            assert (code, err) == (0, ""), line


def bare():
    """The environment without paths to this checkout."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COLUMNS")}


def interpreters():
    """Interpreters of this machine that ours can run on, by version."""
    found = {}
    for version in INTERPRETERS:
        known = Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")
        for python in (shutil.which(f"python{version}"), *map(str, known)):
            words = [python, "-c", "import ssl, venv, sys; print(sys.version)"]
            done = python and subprocess.run(words, capture_output=True, text=True)
            if done and done.returncode == 0 and done.stdout.startswith(version):
                found.setdefault(version, python)
    return found


def python_of(version):
    """The interpreter of that version; the test is skipped where there is none."""
    found = interpreters()
    if version not in found:
        pytest.skip(f"no python{version} on this machine")
    return found[version]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Everything that an installation by the constraints fetches, and our own wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    words = ["-m", "pip", "-q", "wheel", "-w", folder, "-c", ROOT / "constraints.txt", ROOT]
    run([sys.executable, *words], ROOT, env=bare())
    return folder


@pytest.fixture(scope="module")
def own_wheel(wheels):
    """Our own wheel."""
    (wheel,) = wheels.glob("birkhoff_cli-*.whl")
    return wheel


@pytest.fixture(scope="module")
def plain(wheels, tmp_path_factory):
    """An installation without torch."""
    installed = Installed(tmp_path_factory.mktemp("plain"))
    installed.pip("install", "--no-index", "--find-links", wheels, "birkhoff-cli")
    return installed


def test_the_download_is_small(wheels):
    sizes = {path.name: path.stat().st_size for path in wheels.iterdir()}
    assert not [name for name in sizes if name.startswith(("torch", "nvidia", "triton"))]
    assert 50e6 < sum(sizes.values()) < MAX_DOWNLOAD, sizes


FRONT_PAGE = ROOT / "README.md"
LINES = re.findall(r"^birkhoff .+$", FRONT_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
README = [*dict.fromkeys([*LINES, *commands([FRONT_PAGE])])]
"""Commands in blocks, and those in sentences that can be run as they stand."""


def test_commands_of_the_front_page_are_found():
    assert len(README) > 12


@pytest.mark.parametrize("line", [line for line in README if "|" not in line])
def test_a_command_of_the_front_page_needs_no_torch(line, plain):
    plain.check([small(line).removeprefix("birkhoff ")])


@pytest.mark.parametrize("line", [line for line in README if "|" in line])
def test_a_pipe_of_the_front_page_needs_no_torch(line, plain):
    """Polars and DuckDB are the reader's own: they are those of the tests."""
    programs = plain.folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, path in (("birkhoff", plain.bin / "birkhoff"), ("python", sys.executable)):
        (programs / name).unlink(missing_ok=True)
        (programs / name).write_text(f'#!/bin/sh\nexec "{path}" "$@"\n')
        (programs / name).chmod(0o755)
    first, bar, rest = line.partition(" | ")
    path = f"{programs}:{os.environ['PATH']}"
    script = f"set -o pipefail; {small(first)}{bar}{rest}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=plain.folder, env={**bare(), "PATH": path}, timeout=600
    )
    assert done.returncode in ((0, 141) if rest == "head" else (0,))


@pytest.mark.parametrize(
    "line",
    [
        "train --method mhc -o out --updates 1",
        f"similarity {EXAMPLE} --inputs tokens=examples/val.bin",
        f"trace {EXAMPLE} --inputs tokens=examples/val.bin -o t.parquet",
        "sample --method mhc --device cuda",
        "inspect legacy.pt",
    ],
)
def test_what_needs_torch_says_how_to_get_it(line, plain):
    legacy = {"a": torch.zeros(3)}
    torch.save(legacy, plain.folder / "legacy.pt", _use_new_zipfile_serialization=False)
    code, out, err = plain.birkhoff(line)
    assert (code, out) == (4, "")
    assert err == "birkhoff: this needs torch; pip install 'birkhoff-cli[torch]'\n"


def lowest(names):
    """Lower bounds of the requirements of the core and of extras, as constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for name in names for line in project["optional-dependencies"][name]]
    for requirement in (*project["dependencies"], *extras):
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), f"{requirement} has no lower bound"
        yield requirement.replace(">=", "==")


def test_the_lowest_versions(own_wheel, tmp_path):
    installed = Installed(tmp_path, python_of("3.11"))
    (tmp_path / "lowest.txt").write_text("\n".join(lowest(())))
    installed.pip("install", "-c", "lowest.txt", own_wheel)
    installed.check(MAIN)


ON_DASK = """
import subprocess, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as running:
        words = ["spectrum", "--method", "mhc", "-n", "50000", "--json", "--engine"]
        for engine in ("1", f"dask={running.scheduler_address}"):
            print(subprocess.check_output([sys.argv[1], *words, engine], text=True).strip())
"""


def with_extra(extra, own_wheel, folder):
    """An installation of the lowest versions of the core and of an extra."""
    installed = Installed(folder, python_of("3.11"))
    (folder / "lowest.txt").write_text("\n".join(lowest((extra,))))
    installed.pip("install", "-c", "lowest.txt", f"birkhoff-cli[{extra}] @ {own_wheel.as_uri()}")
    return installed


def test_the_lowest_versions_for_a_hub(own_wheel, tmp_path, monkeypatch):
    installed = with_extra("hub", own_wheel, tmp_path)
    (tmp_path / "model").mkdir()
    shutil.copy(ROOT / EXAMPLE, tmp_path / "model")
    with FakeHub({"org/model": Repository(tmp_path / "model")}) as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        installed.check(["check hf://org/model"])
        assert any("resolve" in asked.path for asked in hub.asked)


def test_the_lowest_versions_on_dask(own_wheel, tmp_path):
    installed = with_extra("dask", own_wheel, tmp_path)
    (tmp_path / "on_dask.py").write_text(ON_DASK)
    words = [installed.bin / "python", "on_dask.py", installed.bin / "birkhoff"]
    here, there = run(words, tmp_path, env=bare()).splitlines()
    assert here == there and here.startswith("{")


@pytest.mark.parametrize("version", INTERPRETERS)
def test_the_newest_versions_on_every_interpreter(version, own_wheel, tmp_path):
    installed = Installed(tmp_path, python_of(version))
    installed.pip("install", own_wheel)
    installed.check(MAIN)


@pytest.mark.parametrize(
    "line",
    ["uv tool install {wheel}", "pipx run --spec {wheel} birkhoff methods", "pipx install {wheel}"],
)
def test_tools_that_install_programs(line, own_wheel, tmp_path):
    name, *words = shlex.split(line.format(wheel=own_wheel))
    tool = shutil.which(name)
    if tool is None:
        pytest.skip(f"no {name} on the path")
    places = ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_CACHE_DIR", "PIPX_HOME", "PIPX_BIN_DIR")
    environment = bare() | {place: str(tmp_path / place) for place in places}
    out = run([tool, *words], tmp_path, env=environment)
    for program in tmp_path.glob("*/birkhoff"):
        out = run([program, "methods"], tmp_path, env=environment)
    assert "go-mhc" in out
