"""What every checkpoint format keeps: names without wrappers, and no smaller model in silence."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import save_file

from birkhoff_cli import checkpoints as formats
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import open_store
from birkhoff_cli.testing.formats import CONTRACTS, Case, hold_same
from birkhoff_cli.testing.stores import Model
from conftest import ROOT
from models import MODELS
from packages import CELLS

PACKAGE = formats.__name__
RECORDED = (
    *("gomhc_toy_s1/model.pt", "hf_v4_origfmt", "kromhc_n4/ckpt.pt", "lucid_mhc/model.pt"),
    *("megatron_main", "mhclite_hc_n4/ckpt.pt", "mhclite_mhc_lite_n4/ckpt.pt"),
    *("mhclite_mhc_n4/ckpt.pt", "tb_mhc_ortho/ckpt.pt", "tb_mhc_tau1/ckpt.pt"),
    *(f"series_mhc_n4/ckpt_{step:06}.pt" for step in (1, 50, 100, 400)),
)


@cache
def trained(path):
    """A trained checkpoint, of which only what formats explain is kept."""
    with open_store(path) as store:
        named = NamedStore(store)
        names = sorted(set().union(*formats.claiming(named).values()))
        arrays = {named.stored[name]: named.read(name) for name in names}
        settings = {"s": "1"} if "gomhc" in str(path) else {}
        return Model(arrays, store.config, store.container, settings)


@pytest.fixture(params=[*MODELS, *RECORDED], ids=str)
def model(request, checkpoints):
    """Every small model, and the trained ones."""
    return MODELS.get(request.param) or trained(checkpoints / request.param)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_it_keeps(contract, model):
    contract(Case(model, formats.interpret, claims))


def claims(named):
    """Tensors that the format which explains most explains; none where somebody says which."""
    return max(formats.claiming(named).values(), key=len, default=())


def read(model, change=lambda arrays: arrays):
    return Case(model, formats.interpret, claims).read(change)


def same(found, whole):
    hold_same(found, whole, "the model that was chosen")


ANCHORED = [name for name in MODELS if name not in ("notebook", "gemma3n")]
"""All but a model of one tensor, and one whose own names have a prefix, which is then named too."""


@pytest.mark.parametrize("name", ANCHORED)
def test_two_models_in_one_file_are_both_named_and_can_be_chosen(name):
    model = MODELS[name]

    def two(arrays):
        return arrays | {f"ema.{k}": v + 1 for k, v in arrays.items()}

    def moved(arrays):
        return {k: v + 1 for k, v in arrays.items()}

    with pytest.raises(BadInput, match="holds 2 models.*--set prefix= or --set prefix=ema"):
        read(model, two)
    chosen = formats.interpret(model.store(two), {**model.settings, "prefix": ""})
    same(chosen, read(model))
    other = formats.interpret(model.store(two), {**model.settings, "prefix": "ema"})
    same(other, read(model, moved))


@pytest.mark.parametrize("name", discover.members(PACKAGE))
def test_what_is_read_of_a_format_before_it_is_imported_is_what_it_says(name):
    module = discover.member(PACKAGE, name)
    assert discover.constant(PACKAGE, name, "MARKS") == module.MARKS
    assert discover.constant(PACKAGE, name, "CONTAINERS") == getattr(module, "CONTAINERS", None)
    assert callable(module.claims) and callable(module.read)


def test_every_format_explains_one_of_the_models_most(model):
    if formats.TENSORS in model.settings:
        return  # it is read as somebody says, and explained by none
    store = NamedStore(model.store())
    claims = formats.claiming(store)
    most = max(map(len, claims.values()))
    assert [name for name, tensors in claims.items() if len(tensors) == most] == [
        read(model).format.replace("_", "-")
    ]


REFUSED = {"attention-residuals"}
"""Formats that only say what a file is."""


def test_all_formats_have_a_model_here():
    found = {read(model).format.replace("_", "-") for model in MODELS.values()}
    assert found | REFUSED == set(discover.members(PACKAGE))


def test_formats_that_cannot_claim_a_file_are_not_imported(tmp_path):
    save_file(dict(MODELS["v4 release"].arrays), tmp_path / "model.safetensors")
    code = (
        "import sys; from pathlib import Path; from birkhoff_cli import checkpoints\n"
        "checkpoints.read(Path('model.safetensors'))\n"
        "print(*sorted(m for m in sys.modules if m.startswith('birkhoff_cli.checkpoints.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    formats_ = {n.replace("-", "_") for n in discover.members(PACKAGE)}
    imported = {m.split(".")[2] for m in done.stdout.split() if m.count(".") == 2} & formats_
    assert imported == {"deepseek_v4"}


def test_a_new_format_is_one_file_and_every_command_follows(tmp_path):
    shutil.copytree(ROOT / "birkhoff_cli", tmp_path / "birkhoff_cli")
    (tmp_path / "birkhoff_cli" / "checkpoints" / "throwaway.py").write_text(CELLS)
    tensors = {"logits": np.zeros((2, 2), np.float32), "scale": np.ones(1, np.float32)}
    cells = {f"net.cells.{k}.mixer_{t}": v for k in range(3) for t, v in tensors.items()}
    save_file(cells, tmp_path / "new.safetensors")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "unknown.safetensors")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def birkhoff(*words):
        command = [sys.executable, "-m", "birkhoff_cli", *words]
        options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
        return subprocess.run(command, **options)

    for command in ("inspect", "depth-drift", "spectrum", "degeneration"):
        done = birkhoff(command, "new.safetensors", "--json")
        assert done.returncode == 0, done.stderr
    assert json.loads(birkhoff("inspect", "new.safetensors", "--json").stdout)["layers"] == 3
    assert birkhoff("inspect", "unknown.safetensors").returncode == 3
