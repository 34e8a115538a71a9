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
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import open_store
from conftest import ROOT, SHARED
from models import MODELS, Model

PACKAGE = formats.__name__
RECORDED = sorted(p for f in SHARED.glob("*") for p in (sorted(f.glob("*.pt")) or [f]))
SAID = ("how many", "no site at", "fewer sites at")
"""What the sentence about layers that may be missing has in it."""


@cache
def recorded(path):
    """A trained checkpoint, of which only what formats explain is kept."""
    with open_store(path) as store:
        named = NamedStore(store)
        names = sorted(set().union(*formats.claiming(named).values()))
        arrays = {named.stored[name]: named.read(name) for name in names}
        settings = {"s": "1"} if "gomhc" in str(path) else {}
        return Model(arrays, store.config, store.container, settings)


@pytest.fixture(
    params=[*MODELS, *(str(p.relative_to(SHARED)) for p in RECORDED)],
    ids=str,
)
def model(request):
    """Every small model, and the trained ones where they are."""
    return MODELS.get(request.param) or recorded(SHARED / request.param)


def read(model, change=lambda arrays: arrays, config=None):
    return formats.interpret(model.store(change, config), model.settings)


def sites_of(model):
    """Bare names of the mixing tensors by what stands before the tensor's own name, in order."""
    found = read(model)
    sites: dict[str, list[str]] = {}
    for tensor, names in found.dtypes.items():
        for name in names:
            sites.setdefault(name.removesuffix(tensor), []).append(name)
    return sites


def without(names):
    return lambda arrays: {k: v for k, v in arrays.items() if k not in names}


def some(items):
    """The first, the middle and the last."""
    items = list(items)
    return [items[k] for k in sorted({0, len(items) // 2, len(items) - 1})]


def refused_or_said(model, change, config=None):
    """No smaller model in silence: refused, said, or all the same matrices."""
    whole = read(model, config=config)
    try:
        found = read(model, change, config)
    except BirkhoffError as error:
        assert "\n" not in str(error)
        return
    if len(found.sites) == len(whole.sites):
        np.testing.assert_array_equal(found.trace().matrices, whole.trace().matrices)
    else:
        assert any(word in a for a in found.assumptions for word in SAID), found.assumptions


def configs(model):
    """All that the file says; and nothing, where the format can do without."""
    yield model.config
    try:
        read(model, config={})
    except BirkhoffError:
        return
    yield {}


def test_every_tensor_of_a_site_is_needed_or_has_no_effect(model):
    sites = sites_of(model)
    for config in configs(model):
        for site in some(sites):
            for name in sites[site]:
                refused_or_said(model, without({name}), config)


def test_a_layer_that_is_missing_is_refused_or_said(model):
    layers: dict[str, list[str]] = {}
    for site, names in sites_of(model).items():
        number = next((w for w in site.split(".") if w.isdecimal()), site)
        layers.setdefault(number, []).extend(names)
    for config in configs(model):
        for layer in some(layers):
            refused_or_said(model, without(layers[layer]), config)


def test_half_of_the_tensors_are_refused_or_said(model):
    names = [name for site in sites_of(model).values() for name in site]
    rng = np.random.default_rng(0)
    halves = [names[: len(names) // 2], names[len(names) // 2 :], names[::2]]
    halves += [list(rng.choice(names, len(names) // 2, replace=False)) for _ in range(3)]
    for config in configs(model):
        for half in halves:
            refused_or_said(model, without(half), config)


WRAPPERS = (
    *("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "model"),
    *("base_model.model", "module._orig_mod", "model.model", "modules_to_save.default"),
    "original_module",
)


def renamed(change):
    return lambda arrays: {change(name): array for name, array in arrays.items()}


def same(found, whole):
    assert (found.format, found.d, found.layers) == (whole.format, whole.d, whole.layers)
    assert [s[:2] for s in found.sites] == [s[:2] for s in whole.sites]
    np.testing.assert_array_equal(found.trace().matrices, whole.trace().matrices)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_anywhere_in_the_names_changes_no_matrix(model, wrapper):
    whole = read(model)
    first = lambda name: f"{wrapper}.{name}"  # noqa: E731
    last = lambda name: ".".join((*name.split(".")[:-1], wrapper, name.split(".")[-1]))  # noqa: E731
    for change in (first, last, lambda name: first(last(name))):
        found = read(model, renamed(change))
        same(found, whole)
        assert found.wrappers and set(".".join(found.wrappers).split(".")) >= {*wrapper.split(".")}


def test_a_prefix_before_the_layers_changes_no_matrix(model):
    whole = read(model)
    if model.container in formats.CONTAINERS:  # converters write no name but their own
        same(read(model, renamed(lambda name: f"policy.student.{name}")), whole)


def test_what_peft_trained_counts_and_its_frozen_copy_does_not(model):
    whole = read(model)

    def both(arrays):
        mixed = {}
        for name, array in arrays.items():
            *path, last = name.split(".")
            mixed[".".join((*path, "original_module", last))] = np.zeros_like(array)
            mixed[".".join((*path, "modules_to_save.default", last))] = array
        return mixed

    same(read(model, both), whole)


def test_two_names_of_one_tensor_are_refused(model):
    copies = lambda arrays: arrays | {f"_orig_mod.{k}": v + 1 for k, v in arrays.items()}  # noqa: E731
    with pytest.raises(BadInput, match="are the same tensor; keep one of them"):
        read(model, copies)


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


THROWAWAY = '''"""Rotations of two streams, one angle a layer."""

import numpy as np

from birkhoff_cli.analyses.parameterizations.mhc import MHC
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints.sites.depth import anchored, by_depth, matches
from birkhoff_cli.checkpoints.sites.values import dtypes, values

MARKS = (".throwaway_",)
SITE = anchored(r"cells\\.(?P<layer>[0-9]+)\\.throwaway_(?P<tensor>logits)")


def claims(store):
    return {name for name, _ in matches(store, SITE)}


def read(store, settings):
    places = by_depth(store, SITE, ("cell",))
    theta = values(store, places, "logits")
    return Checkpoint(
        path=store.path,
        format="throwaway",
        method="mhc",
        map=MHC(2),
        theta=theta.reshape(len(theta), 4),
        sites=tuple(places),
        d=2,
        layers=len(places),
        width=0,
        settings=(),
        convention="as stored",
        dtypes=dtypes(store, places, ("logits",)),
        inputs=(store.digest(),),
    )
'''


def test_a_new_format_is_one_file_and_every_command_follows(tmp_path):
    shutil.copytree(ROOT / "birkhoff_cli", tmp_path / "birkhoff_cli")
    (tmp_path / "birkhoff_cli" / "checkpoints" / "throwaway.py").write_text(THROWAWAY)
    logits = {f"net.cells.{k}.throwaway_logits": np.zeros((2, 2), np.float32) for k in range(3)}
    save_file(logits, tmp_path / "new.safetensors")
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
