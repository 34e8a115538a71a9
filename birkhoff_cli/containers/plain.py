"""The parts of a loaded checkpoint: its tensors by name, and the rest as plain data."""

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

MAX_DEPTH, MAX_WIDTH, MAX_NODES, MAX_TEXT = 8, 1000, 10_000, 10_000
"""Bounds of the plain data: a pickle can describe a structure that unfolds without end."""

CUT = "..."


def split(path: Path, root: Any, kind: type[Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of the state dict, and everything that is neither tensors nor an optimizer.

    Raises:
        BadInput: ``root`` is not a dict.
    """
    if not isinstance(root, dict):
        raise BadInput(f"{where(path)}: holds no dictionary of tensors; save model.state_dict()")
    found = {key: _tensors(root.get(key), kind) for key in STATE_DICTS}
    chosen = next((key for key in STATE_DICTS if found[key]), "")
    rest = {k: v for k, v in root.items() if k != "optimizer" and not isinstance(v, kind)}
    rest.pop(chosen, None)
    return found[chosen] if chosen else _tensors(root, kind), plain(rest)


def plain(value: Any) -> Any:
    """``value`` as dicts, lists, text and numbers; what is too deep or too much is cut."""
    return _plain(value, MAX_DEPTH, iter(range(MAX_NODES)))


def _tensors(value: Any, kind: type[Tensor]) -> dict[str, Tensor]:
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, kind)}


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
