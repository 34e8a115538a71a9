"""Members of other packages: found like our own, run when they are used, and gone with them."""

import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from birkhoff_cli import app
from conftest import ROOT
from packages import ENTRY_POINTS, FILES, MAPS, TRACES, install

BROKEN = '"""It needs what is not there."""\n\nMARKS = (".mixer_",)\n\nimport no_such_module\n'
ABSTRACT = '"""It says nothing."""\nfrom birkhoff_cli.analyses.core.parameterization import *\n'
ABSTRACT += "class Mute(Parameterization):\n    pass\n"
SEEN = "throwaway is imported"
NAMES = ("throwaway", "mymaps", "evil")


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """The command in this process, in an empty directory, without packages of an earlier test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        forget()
        monkeypatch.setattr(sys, "argv", ["birkhoff", *map(str, words)])
        capfd.readouterr()
        code = app._run()
        done = capfd.readouterr()
        return code, done.out, done.err

    yield run
    forget()


def forget():
    for name in [n for n in sys.modules if n.split(".")[0] in NAMES]:
        del sys.modules[name]


@pytest.fixture
def installed(tmp_path_factory, run):  # noqa: ARG001 (whose path it changes)
    """Install into a folder of this process's path; uninstall by calling what it returns."""

    def installed(**more):
        folder = tmp_path_factory.mktemp("site")
        install(folder, **more)
        sys.path.append(str(folder))
        return lambda: sys.path.remove(str(folder))

    return installed


def logits(path):
    tensors = {"mixer_logits": np.eye(2, dtype="f4"), "mixer_scale": np.ones(1, "f4")}
    cells = {f"net.cells.{k}.{name}": value for k in range(3) for name, value in tensors.items()}
    save_file(cells, path)
    return path


def test_a_method_a_format_and_an_analysis_come_and_go(run, installed, tmp_path):
    path = logits(tmp_path / "their.safetensors")
    uninstall = installed()
    _, out, _ = run("methods", "--json")
    found = json.loads(out)
    assert "theirs" in [row["method"] for row in found["methods"]]
    assert {(row["member"], row["package"], row["state"]) for row in found["packages"]} == {
        (name, "throwaway 1.2", "ready") for name in ("theirs", "cells", "traces")
    }
    code, out, _ = run("spectrum", "--method", "Theirs", "--speed", "2", "-n", "20", "--json")
    assert code == 0 and json.loads(out)["method"] == "theirs"
    code, out, err = run("inspect", path, "--json")
    assert code == 0 and json.loads(out)["format"] == "cells", err
    code, out, _ = run("traces", "--help")
    assert code == 0 and "--power N" in out and "[throwaway 1.2]" in run("--help")[1]
    words = ("--method", "theirs", "-n", "5", "-o", "t.parquet", "--plot", "first.png")
    assert run("traces", *words)[0] == 0
    assert run("plot", "t.parquet")[0] == 0
    assert (tmp_path / "t.png").read_bytes() == (tmp_path / "first.png").read_bytes()
    uninstall()
    assert "traces" not in run("--help")[1] and "packages" not in json.loads(
        run("methods", "--json")[1]
    )
    for words, code in {
        ("traces", "--method", "mhc"): 2,
        ("spectrum", "--method", "theirs"): 2,
        ("inspect", path): 3,
        ("plot", "t.parquet"): 4,
    }.items():
        found, out, err = run(*words)
        assert (found, out, err.count("\n")) == (code, "", 1)


def test_as_it_is_typed(birkhoff, tmp_path):
    """In a process of its own, as a shell starts it."""
    environment = {"PYTHONPATH": f"{install(tmp_path / 'site')}:{ROOT}"}
    done = birkhoff("traces", "--method", "theirs", "-n", "4", "--json", env=environment)
    assert (done.returncode, json.loads(done.stdout)["samples"]) == (0, 4)


def test_nothing_is_imported_before_it_is_used(run, installed, tmp_path):
    installed()
    np.save(tmp_path / "h.npy", np.eye(3))
    uses = {
        ("--help",): False,
        ("spectrum", "--method", "mhc", "-n", "5"): False,
        ("depth-drift", "h.npy"): False,
        ("spectrum", "--method", "misspelt"): False,
        ("spectrum", "--method", "theirs", "-n", "5"): True,
        ("traces", "--method", "mhc", "-n", "5"): True,
    }
    for words, is_used in uses.items():
        assert (SEEN in run(*words)[2]) is is_used, words


def test_one_that_cannot_be_imported_is_a_line_and_breaks_no_tool(run, installed, tmp_path):
    path = logits(tmp_path / "their.safetensors")
    installed(
        entry_points={
            "birkhoff.methods": {"broken": "throwaway.broken", "absent": "nowhere.at.all"}
            | {"mute": "throwaway.mute", "other": "throwaway.traces"},
            "birkhoff.analyses": {"cracked": "throwaway.broken", "no-analysis": "throwaway.maps"},
            "birkhoff.checkpoints": {"torn": "throwaway.broken"},
        },
        files=FILES | {"broken": BROKEN, "mute": ABSTRACT},
    )
    code, out, _ = run("methods")
    lines = [line for line in out.splitlines() if "cannot be used" in line]
    assert code == 0 and len(lines) == 7
    assert "Mute does not define __call__, exact" in out and "no_such_module" in lines[0] + lines[1]
    assert "It needs what is not there. [throwaway 1.2]" in run("--help")[1]
    np.save(tmp_path / "h.npy", np.eye(3))
    for words in (
        ("spectrum", "--method", "mhc", "-n", "5"),
        ("inspect", ROOT / "examples" / "hc.pt"),
        ("report", "h.npy", "-o", "h.html"),
    ):
        assert run(*words)[0] == 0
    for words in (
        *(("spectrum", "--method", name) for name in ("broken", "absent", "mute", "other")),
        *(("cracked",), ("no-analysis", "--help"), ("inspect", path)),
    ):
        code, out, err = run(*words)
        said = [line for line in err.splitlines() if line != SEEN]
        assert (code, out, len(said)) == (4, "", 1), words
        assert "of throwaway 1.2 (" in said[0] and "mend or uninstall throwaway" in said[0]


def test_a_format_that_fails_leaves_the_files_of_others(run, installed, tmp_path):
    path = logits(tmp_path / "their.safetensors")
    claims = "def claims(store):\n    raise KeyError('theirs')\n"
    installed(
        entry_points={"birkhoff.checkpoints": {"a-torn": "throwaway.torn", **FORMAT}},
        files=FILES | {"torn": f'"""Torn."""\n\nMARKS = (".mixer_",)\n{claims}\nread = 1\n'},
    )
    code, out, err = run("inspect", path, "--json")
    assert code == 0 and json.loads(out)["format"] == "cells"
    assert "assumed: 'a-torn' of throwaway 1.2 (throwaway.torn) cannot be used: KeyError" in err


FORMAT = ENTRY_POINTS["birkhoff.checkpoints"]


def test_a_name_that_is_taken_stays_whose_it_was(run, installed):
    installed(
        entry_points={
            "birkhoff.methods": {"mhc": "throwaway.maps"},
            "birkhoff.analyses": {"spectrum": "throwaway.traces", "inspect": "throwaway.traces"},
        }
    )
    installed(entry_points={"birkhoff.methods": {"theirs": "b.maps"}}, name="b")
    installed(entry_points={"birkhoff.methods": {"theirs": "a.maps"}}, name="a")
    _, out, _ = run("--help")
    for name in ("spectrum", "inspect"):
        assert out.count(f"  {name}  ") == 1
        assert f"'{name}' of throwaway 1.2 is not used: birkhoff has that name." in out
    code, out, err = run("spectrum", "--method", "mhc", "--iters", "3", "-n", "5", "--json")
    assert code == 0 and json.loads(out)["method"] == "mhc" and not err
    rows = json.loads(run("methods", "--json")[1])["packages"]
    assert "not declared" not in run("methods", "-v")[1]
    states = {(row["member"], row["package"]): row["state"] for row in rows}
    assert states["mhc", "throwaway 1.2"] == "not used: birkhoff has that name"
    assert states["theirs", "b 1.2"] == "not used: a 1.2 has that name"


def test_a_class_of_any_module_is_a_method(run, tmp_path):
    (tmp_path / "mymaps.py").write_text(MAPS)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "plain.py").write_text("class Plain:\n    d = 4\n")
    one = run("spectrum", "--method", "mymaps:Theirs:speed=2,d=3", "-n", "20", "--json")
    other = run(
        "spectrum", "--method", "mymaps:Theirs", "--speed", "2", "--d", "3", "-n", "20", "--json"
    )
    assert one == other and json.loads(one[1])["method"] == "mymaps:Theirs"
    code, out, _ = run(
        "compare", "--method", "mymaps:Theirs:speed=2", "--method", "hc", "-n", "20", "--json"
    )
    assert code == 0 and '"name": "mymaps:Theirs:speed=2.0"' in out
    _, out, _ = run("methods", "mymaps:Theirs", "-o", "-", "--format", "csv")
    assert '"The segment from the identity to the barycenter."' in out
    for method, code, said in (
        ("mymaps:Their", 2, "'Their' is not among the methods there; did you mean 'Theirs'?"),
        ("mymaps:EXAMPLES", 2, "is of type tuple, and no class derived from Parameterization"),
        ("plain:Plain", 2, "the class Plain is not derived from Parameterization"),
        ("plain:Map", 2, "plain has no 'Map', and defines no method"),
        ("mymaps", 2, "a class of your own is named as package.module:Class, such as mymaps:MyM"),
        ("my.maps", 2, "a class of your own is named as package.module:Class, such as my.maps:M"),
        ("mymaps.py:Theirs", 2, "there is no module 'mymaps.py'"),
        ("./mymaps.py", 2, "such as mymaps:MyMethod"),
        ("mymaps.x:Theirs", 2, "there is no module 'mymaps.x' in this directory"),
        ("nowhere.at.all:Map", 2, "there is no module 'nowhere' in this directory"),
        ("broken:Map", 4, "broken cannot be imported: ZeroDivisionError: division by zero"),
        ("mymaps:Theirs:s=2", 2, "mymaps:Theirs has no --s; it has --speed"),
    ):
        found, out, err = run("sample", "--method", method)
        assert (found, out, err.count("\n")) == (code, "", 1) and said in err
    code, _, err = run("train", "--method", "mymaps:Theirs", "-o", "run")
    assert (
        code == 4 and "entry point of birkhoff.methods" in err and not (tmp_path / "run").exists()
    )


def test_a_fault_of_theirs_is_no_bug_of_ours(run, installed, tmp_path):
    (tmp_path / "mymaps.py").write_text(
        MAPS.replace("        w = (1", "        w = theta @ 1 + (1")
    )
    installed(files=FILES | {"traces": TRACES.replace("    h = np", "    h = {}['h']\n    h = np")})
    line = 1 + MAPS[: MAPS.index("        w = (1")].count("\n")
    for words, said in (
        (("sample", "--method", "mymaps:Theirs"), f"mymaps.py, line {line}: ValueError: "),
        (("traces", "--method", "mhc"), "KeyError: 'h'; it is code of another package"),
    ):
        code, out, err = run(*words)
        lines = [text for text in err.splitlines() if text != SEEN]
        assert (code, out, len(lines)) == (4, "", 1) and said in lines[0]


def test_what_a_module_here_is_called_hides_nothing(run, tmp_path, monkeypatch):
    """As with ``python -m`` for the module itself; what others import later is not found here."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    (tmp_path / "mymaps.py").write_text(MAPS)
    assert run("sample", "--method", "mymaps:Theirs", "-n", "2")[0] == 0
    assert sys.path[-1] == str(tmp_path) and sys.path[0] != str(tmp_path)


def test_cells_of_a_sweep_are_run_again_when_the_code_was_changed(run, tmp_path):
    (tmp_path / "mymaps.py").write_text(MAPS)
    words = (
        "sample",
        "--method",
        "mymaps:Theirs",
        "--sweep",
        "d=2",
        "-n",
        "3",
        "--engine",
        "1",
        "-o",
        "t.csv",
    )
    assert run(*words)[0] == 0
    first = (tmp_path / "t.csv").read_text()
    (tmp_path / "mymaps.py").write_text(MAPS.replace("self.speed * theta", "7 * theta"))
    assert run(*words)[0] == 0
    assert (tmp_path / "t.csv").read_text() != first


def test_no_file_names_code_that_is_run(run, tmp_path):
    """Neither the metadata of a table nor the settings of a checkpoint, whatever they name."""
    evil = "raise SystemExit('evil was imported')\n"
    (tmp_path / "evil.py").write_text(evil)
    install(tmp_path, {"birkhoff.methods": {"evil": "evil"}}, {}, name="mymaps")
    sys.path.insert(0, str(tmp_path))  # as python -m does
    assert run("sample", "--method", "mhc", "-n", "3", "-o", "h.parquet")[0] == 0
    table = pq.read_table("h.parquet")
    facts = json.loads(table.schema.metadata[b"birkhoff"])
    for name in ("evil:Map", "evil", "mymaps"):
        facts |= {"schema": name, "command": [name, "--method", "evil:Map"], "method": name}
        facts |= {
            "options": {"method": "evil:Map"},
            "meta": {"method": "evil:Map", "sweep": {"method": ["evil:Map"]}},
        }
        changed = table.replace_schema_metadata({"birkhoff": json.dumps(facts)})
        pq.write_table(changed, "t.parquet")
        args = {"hyper_conn_type": name, "hyper_conn_n": 2, "hyper_conn_options": {}, "n_embd": 4}
        state = {"transformer.h.0.hc_attn.static_alpha": torch.zeros(3)}
        torch.save({"model": state, "model_args": args}, "m.pt")
        for words in (
            *(("plot", "t.parquet"), ("merge", "t.parquet", "-o", "w.parquet")),
            *(("inspect", "m.pt"), ("spectrum", "m.pt"), ("spectrum", "t.parquet")),
            *(("trace", "t.parquet", "-o", "r.parquet"), ("report", "t.parquet", "-o", "r.html")),
        ):
            code, _, err = run(*words)
            assert "evil was imported" not in err and code in (0, 3, 4), (words, err)
            assert not {"evil", "mymaps"} & sys.modules.keys(), words
