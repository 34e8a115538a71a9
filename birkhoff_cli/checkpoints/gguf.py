"""GGUF conversions of models with hyper-connections, by their architecture and never by names.

Several architectures keep other mathematics under the same names and shapes. Which it is, says the
key ``general.architecture``; one that is not known here is refused. What a file holds is given the
names that it has in the model that was converted, and is read as that model is. Blocks of
multi-token prediction behind the trunk are left out.

Source: ggml's GGUF specification; public converters, as measured on their files.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from birkhoff_cli import checkpoints
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.checkpoints import Checkpoint, Setting, architectures
from birkhoff_cli.checkpoints.sites.config import CONFIG, LAYERS
from birkhoff_cli.checkpoints.sites.depth import anchored
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.containers import escape, where

if TYPE_CHECKING:
    from birkhoff_cli.analyses.networks.connection import Connection

    Connect: TypeAlias = Callable[[NamedStore], Iterator[Connection]] | None

View: TypeAlias = Callable[[NamedStore], NamedStore]
"""From a file to its tensors under the names of another format."""

CONTAINERS = ("gguf",)
MARKS = ("hc_", "altup_", "mhc_")
ASIDE = re.compile(
    r"output_hc_(?:fn|base|scale)(?:\.weight)?|blk\.[0-9]+\.nextn\..*|altup_(?:un)?embd_proj\..*"
)
"""The sum of the streams at the end, what only multi-token prediction has, and AltUp's ends."""

LIKE = anchored(r"blk\.(?P<layer>[0-9]{1,6})\.(?:m?hc_|altup_).*")
"""Tensors of a residual connection of several streams, of whatever architecture."""

HYPER = ("hyper_connection.", "altup.")
"""How keys begin that say something of such a connection."""


def claims(store: NamedStore) -> set[str]:
    """Tensors of residual streams in the blocks, of known and unknown architectures."""
    return {name for name in store.tensors if LIKE.fullmatch(name)}


def read(store: NamedStore, settings: Mapping[str, str]) -> Checkpoint:
    """Read the file as the model that was converted."""
    keys = store.config.get("gguf", {})
    architecture = _architecture(store, keys)
    trunk, left_out = _trunk(store, keys)
    config = _config(keys, architecture, trunk)
    view = _view(architecture, trunk, config)
    format = discover.member(checkpoints.__name__, architecture.FORMAT)
    checkpoint: Checkpoint = format.read(view(store), settings)
    return replace(
        checkpoint,
        format="gguf",
        settings=(
            Setting("architecture", _architecture_name(keys), "config"),
            *checkpoint.settings,
        ),
        assumptions=(
            *checkpoint.assumptions,
            *left_out,
            *filter(None, [getattr(architecture, "ABOUT", "")]),
            *_unused(keys, architecture),
        ),
        connect=_connect(checkpoint.connect, view),
        ungated=checkpoint.ungated or getattr(architecture, "UNGATED", ""),
    )


def _connect(connect: "Connect", view: View) -> "Connect":
    """The same of the file as it is opened again."""
    return connect and (lambda store: connect(view(store)))


class Renamed(NamedStore):
    """A store whose tensors have the names of another format."""

    def __init__(
        self, named: NamedStore, rename: Callable[[str], str], config: Mapping[str, Any]
    ) -> None:
        """Keep the tensors that have a name there.

        Args:
            named: the file.
            rename: from a name in the file to that in the format; empty if it has none.
            config: what the format's ``config.json`` would say.
        """
        super().__init__(named.store, named.prefix)
        old = {name: rename(name) for name in named.tensors}
        self.stored, self.config = {}, {CONFIG: dict(config)}
        for name, new in old.items():
            if new and self.stored.setdefault(new, named.stored[name]) != named.stored[name]:
                self._twice.setdefault(new, named.stored[name])
        self.refuse_twice(self.stored)
        self.tensors = {new: named.store.tensors[name] for new, name in self.stored.items()}


def _view(architecture: ModuleType, trunk: float, config: Mapping[str, Any]) -> View:
    """From the file to its tensors of the trunk, under the names of the architecture's format.

    Raises:
        BadInput: none of them is there.
    """
    patterns = [(re.compile(pattern), new) for pattern, new in architecture.TENSORS.items()]

    def rename(name: str) -> str:
        block = LIKE.fullmatch(name)
        if block is None or int(block["layer"]) >= trunk:
            return ""
        begin = name[: block.start("layer") - len("blk.")]
        short = name.removeprefix(begin).removesuffix(".weight")
        matches = (m.expand(new) for pattern, new in patterns if (m := pattern.fullmatch(short)))
        return next((begin + new for new in matches), "")

    def view(store: NamedStore) -> NamedStore:
        renamed = Renamed(store, rename, config)
        if not renamed.tensors:
            contents = (
                "blocks of multi-token prediction alone" if trunk < inf else "none of its names"
            )
            raise BadInput(
                f"{where(store.path)}: holds {contents}, and no block of the model itself; give "
                f"the model's file"
            )
        return renamed

    return view


def _architecture_name(keys: Mapping[str, Any]) -> str:
    return str(keys.get("general.architecture"))


def _architecture(store: NamedStore, keys: Mapping[str, Any]) -> ModuleType:
    """The member that knows the architecture.

    Raises:
        Unsupported: none does.
    """
    package, name = architectures.__name__, _architecture_name(keys)
    known = {
        word: member
        for member in discover.members(package)
        for word in discover.constant(package, member, "ARCHITECTURES") or ()
    }
    if name in known:
        module: ModuleType = discover.member(package, known[name])
        return module
    unknown = f"its architecture '{escape(name, 40)}' is not known here"
    if "general.architecture" not in keys:
        unknown = "names no general.architecture"
    raise Unsupported(
        f"{where(store.path)}: {unknown}, and the same names hold other mathematics in others "
        f"(known: {', '.join(known)}); say what its tensors hold by "
        f"--set tensors='blk.{{layer}}.NAME' --set as=matrices"
    )


def _trunk(store: NamedStore, keys: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    """Blocks of the model itself, and what is said about those of multi-token prediction.

    The count of blocks includes them only if a tensor of such a block is there: converters do not
    agree about it.
    """
    blocks = _plain(_key(keys, "block_count"))
    if type(blocks) is not int:
        return inf, ()
    drafts = _plain(_key(keys, "nextn_predict_layers")) or 0
    trunk = blocks - drafts if type(drafts) is int else blocks
    names = {f"blk.{trunk}.nextn.eh_proj.weight", f"blk.{trunk}.nextn.eh_proj"}
    numbers = {int(m["layer"]) for m in map(LIKE.fullmatch, store.tensors) if m}
    if trunk == blocks or trunk < 0 or not names & set(store.tensors):
        beyond = {number for number in numbers if number >= blocks}
        known = f"the model has {blocks} blocks, as block_count says, though {len(beyond)} more"
        return blocks, (f"{known} have sites, which are left out",) if beyond else ()
    beyond = {number for number in numbers if number >= trunk}
    assumption = (
        f"{drafts} of {blocks} blocks ({len(beyond)} with sites) are multi-token prediction and "
        f"left out: the model's own depth does not pass through them"
    )
    return trunk, (assumption,)


def _config(keys: Mapping[str, Any], architecture: ModuleType, trunk: float) -> dict[str, Any]:
    """What the ``config.json`` of the model that was converted would say."""
    values = {name: _plain(_key(keys, key)) for key, name in architecture.KEYS.items()}
    stored = {name: value for name, value in values.items() if value is not None}
    return {**architecture.CONFIG, **stored, **({} if trunk == inf else {LAYERS[0]: trunk})}


def _unused(keys: Mapping[str, Any], architecture: ModuleType) -> Iterator[str]:
    """A sentence for every key of hyper-connections that nothing takes."""
    begin = f"{_architecture_name(keys)}."
    for key, value in keys.items():
        name = key.removeprefix(begin)
        if key.startswith(begin) and name.startswith(HYPER) and name not in architecture.KEYS:
            yield f"{escape(key, 60)} = {escape(value, 40)} has no part in H as it is read"


def _key(keys: Mapping[str, Any], name: str) -> Any:
    return keys.get(f"{_architecture_name(keys)}.{name}")


def _plain(value: Any) -> Any:
    """A number as it was written, of whatever type it is kept in: of 1e-6 the nearest float32."""
    if type(value) is not float:
        return value
    return int(value) if value.is_integer() else float(str(np.float32(value)))
