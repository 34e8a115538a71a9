"""docs/checkpoint-formats.md says what is read: its tables and the program, in both directions."""

import importlib
import pkgutil
import re

import pytest

from birkhoff_cli import checkpoints as formats
from birkhoff_cli import containers, steps
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.checkpoints import architectures
from birkhoff_cli.checkpoints.sites import config as configured
from birkhoff_cli.checkpoints.sites.names import WRAPPERS, bare
from birkhoff_cli.containers import folders, kinds, plain, ranks
from birkhoff_cli.containers.store import Store
from birkhoff_cli.testing import formats as contract
from conftest import ROOT
from models import MODELS

TEXT = (ROOT / "docs/checkpoint-formats.md").read_text()
CODE = re.compile(r"`([^`]+)`")


def section(title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    return found[1]


def table(title):
    """Cells of the rows of a section's table, without its head."""
    rows = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def codes(text):
    return CODE.findall(text)


NAMED = {codes(row[0])[0]: codes(row[2]) for row in table("Formats")}


def test_every_format_is_a_row_and_every_row_a_format():
    assert set(NAMED) == set(discover.members(formats.__name__))


def test_every_format_has_a_row_of_gates_that_says_whether_it_has_any():
    rows = {codes(row[0])[0]: row[1] for row in table("Gates")}
    assert set(rows) == set(NAMED)
    for model in MODELS.values():
        found = formats.interpret(model.store(), model.settings)
        name = found.format.replace("_", "-")
        assert ("exit 4" in rows[name]) >= bool(found.ungated), name
        assert rows[name].startswith("none") <= bool(found.ungated), name


def of_models():
    """Format, and a name with N for numbers of every small model."""
    for model in MODELS.values():
        found = formats.interpret(model.store(), model.settings)
        first = next(iter(model.arrays))
        yield found.format.replace("_", "-"), re.sub(r"(?<![A-Za-z])[0-9]+", "N", first)


def test_names_of_every_model_that_is_tested_are_in_its_formats_row():
    missing = {(name, first) for name, first in of_models() if first not in NAMED[name]}
    assert not missing


@pytest.mark.parametrize("name", NAMED)
def test_names_in_a_row_are_those_of_its_format(name):
    tested = {first for format, first in of_models() if format == name}
    module = discover.member(formats.__name__, name)
    for documented in NAMED[name]:
        known = getattr(module, "SITE", None)
        own = known is not None and known.fullmatch(re.sub(r"\bN\b", "3", documented))
        assert documented in tested or own, documented


def test_every_container_is_a_row():
    names = [m.name for m in pkgutil.iter_modules(containers.__path__)]
    modules = {n: importlib.import_module(f"{containers.__name__}.{n}") for n in names}
    stores = {
        name.replace("_", "-")
        for name, module in modules.items()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Store) and value is not Store
        if value.__module__ == module.__name__
    }
    assert {codes(row[0])[0] for row in table("Containers")} == stores


def test_every_architecture_is_a_row():
    package = architectures.__name__
    members = [discover.member(package, name) for name in discover.members(package)]
    truth = {word: member.FORMAT for member in members for word in member.ARCHITECTURES}
    rows = table("GGUF architectures")
    assert {codes(a)[0]: codes(b)[0] for a, b in rows} == truth


SETTINGS = {
    "iterations": configured.ITERS,
    "streams": configured.STREAMS,
    "eps": configured.EPS,
    "eps of the norm": configured.NORM,
    "size of H_post": configured.POST,
    "layers": configured.LAYERS,
    "width": configured.WIDTH,
    "multi-token prediction": configured.DRAFTS,
    "training step": steps.STEPS,
}


def test_every_key_of_a_setting_is_in_its_row():
    assert {row[0]: tuple(codes(row[1])) for row in table("Settings")} == SETTINGS


def test_every_wrapper_is_named_and_every_name_is_taken_out():
    said = codes(section("Names").partition("`inspect`")[0])
    assert {bare(f"{word}.x") for word in said} == {"x"}
    assert set(said) == {w for w in contract.WRAPPERS if WRAPPERS.fullmatch(f"{w}.")}
    assert set(plain.STATE_DICTS) <= set(codes(section("Names")))


def test_every_kind_of_folder_is_a_row():
    said = [codes(row[0])[0] for row in table("Folders")]
    assert [name for name in said if name in folders.MODELS] == [*folders.MODELS]
    for pattern in ranks.RANKS:
        assert any(pattern.fullmatch(name) for name in said)
    assert any(ranks.RANK_FOLDER.fullmatch(n.partition("/")[0]) for n in said if "/" in n)
    aside = [name for row in table("Folders")[-1:] for name in codes(" ".join(row))]
    assert all(kinds.BESIDE.fullmatch(name) for name in aside)
    for note in ("latest", "latest_universal", "latest_checkpointed_iteration.txt"):
        assert note in codes(section("Folders"))


def test_what_is_not_read_is_named():
    rows = "; ".join(row[0] for row in table("What gets a sentence instead"))
    known = {*kinds.ELSEWHERE.values(), *folders.FOREIGN.values()}
    known |= {what.partition(",")[0] for what, _ in kinds.FOREIGN.values()}
    assert not [what for what in known if what not in rows]
    listed = re.findall(r"\ban? [A-Za-z0-9][A-Za-z0-9_ .-]*", rows)
    assert not [what for what in listed if what.strip() not in known]
