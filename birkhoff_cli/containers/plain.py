"""The parts of a loaded checkpoint: its tensors by name, and the rest as plain data."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers.names import Opaque
from birkhoff_cli.containers.store import where

Tensor = TypeVar("Tensor")

STATE_DICTS = ("model", "state_dict", "model_state_dict", "module")
"""Keys under which training programs keep the weights."""

NO_MODEL = re.compile(
    r"optim|sched|scaler|rng|grad|moment|exp_avg|callback|loops?$|sampler|fragment", re.IGNORECASE
)
"""What the keys of a trainer's own state have in them, though tensors may be there by name."""

MAX_VISITED = 200_000
"""Values of dictionaries in one another that are looked at."""

MAX_DEPTH, MAX_WIDTH, MAX_NODES, MAX_TEXT = 8, 1000, 10_000, 10_000
"""Bounds of the plain data: a pickle can describe a structure that unfolds without end."""

CUT = "..."
NUMBERED = re.compile(r"(?<![^.])[0-9]")


def split(
    path: Path, root: Any, tensor_type: type[Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of the state dict, and everything that is neither tensors nor an optimizer.

    Other dictionaries of tensors in the same layers are other models, such as an average of the
    weights: their names begin with their key.

    Raises:
        BadInput: ``root`` is not a dict.
    """
    if not isinstance(root, dict):
        raise BadInput(f"{where(path)}: holds no dictionary of tensors; save model.state_dict()")
    budget = iter(range(MAX_VISITED))
    parts = {
        key: named
        for key, value in root.items()
        if isinstance(key, str) and isinstance(value, dict) and not NO_MODEL.search(key)
        if (named := dict(_tensors(value, tensor_type, "", MAX_DEPTH, budget)))
    }
    rest = {k: v for k, v in root.items() if k not in parts and not isinstance(v, tensor_type)}
    chosen = next((key for key in STATE_DICTS if key in parts), "")
    tensors = parts.pop(chosen, None)
    if tensors is None:  # no key says which are the weights
        tensors = {
            k: v for k, v in root.items() if isinstance(k, str) and isinstance(v, tensor_type)
        }
    layers = {_in_layer(name) for name in tensors}
    for key, other in parts.items():
        if not chosen or not layers.isdisjoint(map(_in_layer, other)):  # another model
            for name, tensor in other.items():
                tensors.setdefault(f"{key}.{name}", tensor)
    return tensors, plain({k: v for k, v in rest.items() if k != "optimizer"})


def _in_layer(name: str) -> str:
    """A name from its first number on, without numbers.

    Before it copies of a model differ, and in numbers the layers of one that is kept in pieces.
    """
    match = NUMBERED.search(name)
    return re.sub("[0-9]+", "0", name[match.start() :]) if match else name


def plain(value: Any) -> Any:
    """``value`` as dicts, lists, text and numbers; what is too deep or too much is cut."""
    return _plain(value, MAX_DEPTH, iter(range(MAX_NODES)))


def _tensors(
    value: Any, tensor_type: type[Tensor], begin: str, depth: int, budget: Iterator[int]
) -> Iterator[tuple[str, Tensor]]:
    """Tensors of dictionaries in one another, by their keys joined with dots."""
    for (key, inner), _ in zip(value.items(), budget, strict=False):
        if not isinstance(key, str):
            continue
        if isinstance(inner, tensor_type):
            yield begin + key, inner
        elif depth and isinstance(inner, dict):
            yield from _tensors(inner, tensor_type, f"{begin}{key}.", depth - 1, budget)


def _plain(value: Any, depth: int, budget: Iterator[int]) -> Any:
    if depth < 0:
        return CUT
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else CUT
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if type(value) in (list, tuple):
        counted = zip(islice(value, MAX_WIDTH), budget, strict=False)
        return [_plain(v, depth - 1, budget) for v, _ in counted]
    if isinstance(value, dict):
        items = zip(islice(value.items(), MAX_WIDTH), budget, strict=False)
        return {str(k)[:MAX_TEXT]: _plain(v, depth - 1, budget) for (k, v), _ in items}
    return _opaque(value, depth, budget) if isinstance(value, Opaque) else CUT


def _opaque(value: Opaque, depth: int, budget: Iterator[int]) -> Any:
    if value.name == "argparse.Namespace":
        return _plain(value.state, depth, budget)
    if value.name.startswith("pathlib."):
        return "/".join(part for part in value.arguments if isinstance(part, str))[:MAX_TEXT]
    return f"<{value.name}>"
