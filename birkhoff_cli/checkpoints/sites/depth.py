"""Sites of models whose layers are numbered: by depth, all of them, behind one prefix."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import inf
from typing import Any, TypeAlias

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import Site
from birkhoff_cli.checkpoints.sites.names import NamedStore, same_tensor
from birkhoff_cli.checkpoints.sites.values import NOT_ITS_CODE, agree
from birkhoff_cli.containers import escape, where

Sites: TypeAlias = dict[Site, dict[str, str]]
"""Per site, in order of depth, the tensors' bare names by their names in the code."""

DRAFT = re.compile(r"(?<![^.])(?:mtp|mtp_layers|nextn|draft)(?![^.])")
"""A prefix of multi-token prediction: its layers are not in the depth of the model."""


def anchored(pattern: str) -> re.Pattern[str]:
    """A pattern for whole names, which may begin with anything up to a dot, the ``prefix``."""
    return re.compile(rf"(?:(?P<prefix>.*?)\.)??{pattern}")


def matches(store: NamedStore, pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Bare names that an `anchored` pattern describes; those of multi-token prediction are none."""
    for name, match in store.matching(pattern).items():
        if not is_draft(match):
            yield name, match


def is_draft(match: re.Match[str]) -> bool:
    """Whether what stands before the layers says that they are of multi-token prediction."""
    return DRAFT.search(match["prefix"] or "") is not None


def in_one_model(store: NamedStore, pattern: re.Pattern[str]) -> dict[str, re.Match[str]]:
    """`matches` by name, all of which have one prefix; of models that are the same, one.

    Raises:
        BadInput: two models; it names a tensor of each and how to choose.
    """
    matched = dict(matches(store, pattern))
    if store.prefix == "":
        return {name: match for name, match in matched.items() if not match["prefix"]}
    models: dict[str, dict[str, str]] = {}
    for name, match in matched.items():
        prefix = match["prefix"] or ""
        models.setdefault(prefix, {})[name.removeprefix(prefix and f"{prefix}.")] = name
    if len(models) < 2:
        return matched
    if store.are_copies(models):
        return {name: matched[name] for name in next(iter(models.values())).values()}
    shown = [store.stored[next(iter(names.values()))] for names in list(models.values())[:2]]
    choices = [f"--set prefix={escape(prefix, 40)}" for prefix in list(models)[:2]]
    raise BadInput(
        f"{where(store.path)}: holds {len(models)} models, one with '{escape(shown[0])}' and "
        f"one with '{escape(shown[1])}'; give {' or '.join(choices)}"
    )


def by_depth(
    store: NamedStore,
    pattern: re.Pattern[str],
    branches: tuple[str, ...],
    called: Mapping[str, str] | None = None,
    below: float = inf,
) -> Sites:
    """Sites of all layers, ordered by number and then by branch; empty if there are none.

    Args:
        store: the checkpoint.
        pattern: `anchored`, with groups ``layer`` (ASCII digits), ``tensor``, and ``branch`` where
            there are several.
        branches: every layer has all of them, in this order.
        called: branches that the code names otherwise, by their names in the code.
        below: layers from this number on are left out.

    Raises:
        BadInput: a layer or branch is missing, one tensor is there under two names, or there are
            two models.
    """
    tensors: dict[tuple[int, str], dict[str, str]] = {}
    for name, match in in_one_model(store, pattern).items():
        if (layer := int(match["layer"])) >= below:
            continue
        word = match["branch"] if "branch" in pattern.groupindex else branches[0]
        names = tensors.setdefault((layer, (called or {}).get(word, word)), {})
        if names.setdefault(match["tensor"], name) != name:
            other = names[match["tensor"]]
            raise BadInput(same_tensor(store, store.stored[other], store.stored[name]))
    layers = 1 + max((layer for layer, _ in tensors), default=-1)
    for layer, branch in product(range(layers), branches):
        if (layer, branch) not in tensors:  # found soon, however large the largest number is
            raise BadInput(
                f"{where(store.path)}: layer {layer} has no {branch} site, but there is a "
                f"layer {layers - 1}; {NOT_ITS_CODE}"
            )
    order = product(range(layers), branches)
    return {Site(i, b, f"layers.{i}.{b}"): tensors[i, b] for i, b in order}


def depth_facts(
    store: NamedStore,
    pattern: re.Pattern[str],
    layers: int,
    config: Mapping[str, Any],
    keys: Iterable[str],
    end: float = inf,
) -> tuple[str, ...]:
    """What is assumed about the number of layers: nothing, where the file says it.

    Args:
        store: the checkpoint.
        pattern: that of `by_depth`.
        layers: those with sites.
        config: what the file says about its model.
        keys: those under which it may say how many layers there are.
        end: layers from this number on are not the model's own.

    Raises:
        BadInput: the file says another number, or has layers without a site behind the last one.
    """
    present = [key for key in keys if key in config]
    for key in present:
        agree(store, config, key, layers)
    if present:
        return ()
    deepest, name = _deepest(store, pattern, end)
    if deepest >= layers:
        raise BadInput(
            f"{where(store.path)}: layer {deepest} has '{escape(store.stored[name])}' and no "
            f"hyper-connection, which the layers before it have; {NOT_ITS_CODE}"
        )
    return (f"no more layers than names have, {layers}; nothing in the file says how many it has",)


def _deepest(store: NamedStore, pattern: re.Pattern[str], end: float) -> tuple[int, str]:
    """The largest number of a layer in any name, whatever the tensor; that of the sites' stem."""
    stems = {name[: match.start("layer")] for name, match in in_one_model(store, pattern).items()}
    layer = re.compile(rf"(?:{'|'.join(map(re.escape, stems))})([0-9]{{1,6}})\..*")
    numbers = ((int(m[1]), name) for name in store.tensors if (m := layer.fullmatch(name)))
    return max(((k, name) for k, name in numbers if k < end), default=(-1, ""))
