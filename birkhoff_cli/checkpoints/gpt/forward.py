"""nanoGPT around its hyper-connections: embeddings, branches and norms, in both code bases.

Every branch is in a file under several names that share one storage; a program that stores it
once keeps any of them. What has no place in the forward pass is refused: it would be left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported, UsageError
from birkhoff_cli.analyses.networks.connection import Connection
from birkhoff_cli.analyses.networks.language_model import Affine, Branch, LanguageModel
from birkhoff_cli.checkpoints import Checkpoint, Setting
from birkhoff_cli.checkpoints.gpt.layout import SITE
from birkhoff_cli.checkpoints.sites.depth import in_one_model
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.checkpoints.sites.values import NOT_ITS_CODE, Array, Shape, agree, finite
from birkhoff_cli.containers import escape, where

HEADS = "n_head"
NORMS = {
    "attn": (
        "hc_attn.branch.0",
        "branch_attn.0",
        "hc_attn.branch.norm",
        "attn_branch.norm",
        "ln_1",
    ),
    "mlp": ("hc_mlp.branch.0", "branch_mlp.0", "ln_2"),
}
MODULES = {
    "attn": (
        "hc_attn.branch.1",
        "branch_attn.1",
        "hc_attn.branch.attn",
        "attn_branch.attn",
        "attn",
    ),
    "mlp": ("hc_mlp.branch.1", "branch_mlp.1", "mlp"),
}
INNER = {"attn": "c_attn", "mlp": "c_fc"}
EMBEDDINGS = ("transformer.wte", "lm_head")
POSITIONS = ("transformer.wpe",)
LAST_NORM = ("transformer.ln_f",)


def _any(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


TRUNK = re.compile(
    rf"(?:{_any((*EMBEDDINGS, *POSITIONS))})\.weight|(?:{_any(LAST_NORM)})\.(?:weight|bias)"
    r"|transformer\.h\.(?P<layer>[0-9]{1,6})\.(?:hc_(?:attn|mlp)\.(?!branch\.).+"
    rf"|(?:{_any(NORMS['attn'] + NORMS['mlp'])})\.(?:weight|bias)"
    rf"|(?:{_any(MODULES['attn'])})\.(?:(?:c_attn|c_proj)\.(?:weight|bias)|bias)"
    rf"|(?:{_any(MODULES['mlp'])})\.(?:c_fc|c_proj)\.(?:weight|bias))"
)
"""Every name there is; a ``bias`` of attention itself is the causal mask, and holds no weights."""

Names: TypeAlias = Mapping[str, str]


def others(settings: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, str]:
    """Words of ``--set`` without ``heads``, which a format takes that does not store them."""
    return {key: word for key, word in settings.items() if key != "heads" or HEADS in config}


def runnable(
    checkpoint: Checkpoint, config: Mapping[str, Any], settings: Mapping[str, str]
) -> Checkpoint:
    """A checkpoint whose sites are known, with the whole model around them.

    Args:
        checkpoint: with sites in order of depth, attention before mlp.
        config: ``model_args``, or what the code base has in their place.
        settings: the words of ``--set NAME=VALUE``.
    """
    heads = settings.get("heads")
    typed = () if heads is None else (Setting("heads", _number(heads), "set"),)
    return replace(
        checkpoint,
        settings=(*checkpoint.settings, *typed),
        model=lambda store: _model(store, config, _sites(checkpoint, store), heads),
    )


def _sites(checkpoint: Checkpoint, store: NamedStore) -> tuple[Connection, ...]:
    return () if checkpoint.connect is None else tuple(checkpoint.connect(store))


def _model(
    store: NamedStore,
    config: Mapping[str, Any],
    connections: tuple[Connection, ...],
    heads: str | None,
) -> LanguageModel:
    """The whole model, in float32, of numpy arrays.

    Raises:
        BadInput: missing or contradictory tensors, NaN or infinity.
        Unsupported: more than nanoGPT has; no number of heads.
    """
    names = _names(store, len(connections) // len(INNER))
    embedding = _embedding(store, names)
    width = embedding.shape[1]
    if any(site.weight is not None and site.width != width for site in connections):
        raise BadInput(
            f"{where(store.path)}: tokens are embedded {width} wide, and hyper-connections take "
            f"streams {connections[0].width} wide; {NOT_ITS_CODE}"
        )
    positions = _read(store, _find(store, names, POSITIONS, "weight"), (-1, width))
    bias = any(f"{norm}.bias" in names for norm in LAST_NORM)
    sizes = {"vocab_size": len(embedding), "block_size": len(positions), "bias": bias}
    for key, value in (sizes | {"n_embd": width}).items():
        agree(store, config, key, value)
    return LanguageModel(
        embedding=embedding,
        positions=positions,
        branches=tuple(_branch(store, names, i, width, bias) for i in range(len(connections))),
        connections=connections,
        norm=_affine(store, names, LAST_NORM, (width,), bias),
        heads=_heads(store, config, heads, width),
    )


def _names(store: NamedStore, layers: int) -> Names:
    """Bare names by their names in the code, without a prefix; all of them are known."""
    prefix = next((m["prefix"] for m in in_one_model(store, SITE).values()), None)
    begin = f"{prefix}." if prefix else ""
    names = {name.removeprefix(begin): name for name in store.tensors if name.startswith(begin)}
    store.refuse_twice(names.values())
    for short, name in names.items():
        if not (match := TRUNK.fullmatch(short)) or int(match["layer"] or 0) >= layers:
            raise Unsupported(
                f"{where(store.path)}: '{escape(store.stored[name])}' has no place in nanoGPT, so "
                f"tokens cannot be run; use --inputs gaussian"
            )
    return names


def _embedding(store: NamedStore, names: Names) -> Array:
    """Of tokens; the last layer is the same tensor, which a file may hold once or twice."""
    tied = [name for module in EMBEDDINGS if (name := f"{module}.weight") in names]
    first = _read(store, _find(store, names, EMBEDDINGS, "weight"), (-1, -1))
    if len(tied) > 1 and not np.array_equal(first, _read(store, names[tied[1]], first.shape)):
        raise Unsupported(
            f"{where(store.path)}: lm_head differs from wte, which nanoGPT ties; "
            f"tokens cannot be run, use --inputs gaussian"
        )
    return first


def _branch(store: NamedStore, names: Names, index: int, width: int, bias: bool) -> Branch:
    """The branch of a site by its depth: every layer has attention, and then its mlp."""
    layer, branch = index // 2, "mlp" if index % 2 else "attn"
    norms, modules = (
        [f"transformer.h.{layer}.{module}" for module in names_of[branch]]
        for names_of in (NORMS, MODULES)
    )
    inner, outer = ([f"{m}.{name}" for m in modules] for name in (INNER[branch], "c_proj"))
    rows = 3 * width if branch == "attn" else -1
    into = _affine(store, names, inner, (rows, width), bias)
    hidden = width if branch == "attn" else len(into.weight)
    return Branch(
        "attn" if branch == "attn" else "mlp",
        _affine(store, names, norms, (width,), bias),
        into,
        _affine(store, names, outer, (width, hidden), bias),
    )


def _affine(
    store: NamedStore, names: Names, modules: Iterable[str], shape: Shape, bias: bool
) -> Affine:
    modules = tuple(modules)
    weight = _read(store, _find(store, names, modules, "weight"), shape)
    if not bias:
        return Affine(weight)
    return Affine(weight, _read(store, _find(store, names, modules, "bias"), weight.shape[:1]))


def _find(store: NamedStore, names: Names, modules: Iterable[str], tensor: str) -> str:
    """Name in the file of the first of several names for one tensor that is there."""
    modules = tuple(modules)
    for module in modules:
        if stored := names.get(f"{module}.{tensor}"):
            return stored
    raise BadInput(f"{where(store.path)}: has no {modules[0]}.{tensor}; {NOT_ITS_CODE}")


def _read(store: NamedStore, name: str, shape: Shape) -> Array:
    """One tensor of a shape in which -1 is any length, in float32, finite."""
    stored = store.tensors[name].shape
    here = f"{where(store.path)}: {escape(name)}"
    fits = len(stored) == len(shape) and all(
        n >= 1 and k in (-1, n) for k, n in zip(shape, stored, strict=True)
    )
    if not fits:
        expected = str(shape).replace("-1", "any")
        raise BadInput(
            f"{here} has shape {escape(stored, 40)}, expected {expected}; {NOT_ITS_CODE}"
        )
    return finite(store, name, here)


def _heads(store: NamedStore, config: Mapping[str, Any], typed: str | None, width: int) -> int:
    """Heads of attention, which no tensor's shape tells."""
    if HEADS not in config and typed is None:
        raise Unsupported(
            f"{where(store.path)}: the number of attention heads is not stored; say --set heads=N"
        )
    heads = config[HEADS] if typed is None else _number(typed)
    if type(heads) is int and heads >= 1 and width % heads == 0:
        return heads
    if typed is not None:
        raise UsageError(f"--set heads={heads}: expected a divisor of the width, {width}")
    raise BadInput(
        f"{where(store.path)}: its configuration says {HEADS} = {escape(repr(heads), 20)} and "
        f"streams are {width} wide; {NOT_ITS_CODE}"
    )


def _number(word: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", word):
        raise UsageError(f"--set heads={escape(word, 20)}: expected a number, 1 or more")
    return int(word)
