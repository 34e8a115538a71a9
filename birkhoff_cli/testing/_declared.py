"""What a checkpoint format says of itself: its marks, its name, and the method of its matrices."""

from pathlib import Path
from types import ModuleType

from birkhoff_cli.analyses import parameterizations
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.checkpoints import CONTAINERS, Checkpoint
from birkhoff_cli.checkpoints.sites.names import NamedStore
from birkhoff_cli.testing._holding import hold
from birkhoff_cli.testing.stores import Model
from birkhoff_cli.text import either

FORMATS = "birkhoff_cli.checkpoints"
"""The folder of the members."""


def hold_marks(module: ModuleType, model: Model) -> None:
    """Hold that a format is asked about its own checkpoint, before it is imported."""
    marks = module.MARKS
    sound = isinstance(marks, tuple) and all(isinstance(mark, str) and mark for mark in marks)
    hold(sound, f"{module.__name__}: MARKS is {marks!r}; expected a tuple of texts")
    for word in ("MARKS", "CONTAINERS"):
        _hold_readable(module, word)
    is_marked = any(mark in name for mark in marks for name in NamedStore(model.store()).tensors)
    hold(is_marked, f"{module.__name__}: no tensor's name holds one of MARKS {marks}")
    containers = vars(module).get("CONTAINERS", CONTAINERS)
    hold(
        model.container in containers,
        f"{module.__name__}: CONTAINERS {containers} are without {model.container}",
    )


def _hold_readable(module: ModuleType, word: str) -> None:
    """Hold that a constant is found in the source as it is, where there is a source."""
    file = getattr(module, "__file__", None)
    if file is None or word not in vars(module):
        return
    try:
        read = discover.literal(Path(file), word)
    except (SyntaxError, ValueError):
        read = None
    hold(
        read == vars(module)[word],
        f"{module.__name__}: {word} is read before the module is imported, and is not found; "
        f"write it as a literal on one line: {word} = {vars(module)[word]!r}",
    )


def hold_names(module: ModuleType, checkpoint: Checkpoint) -> None:
    """Hold that a checkpoint names the format that read it and the method of its matrices."""
    every = (name for name in discover.members(FORMATS) if _brings(name, module))
    names = {module.__name__.rpartition(".")[2], *every}
    same = checkpoint.format.replace("-", "_") in {name.replace("-", "_") for name in names}
    hold(
        same,
        f"{module.__name__}: format is '{checkpoint.format}'; expected {either(sorted(names))}",
    )
    made = checkpoint.map
    if made is None:
        return
    known = parameterizations.has(made.name)
    true = checkpoint.method == made.name if known else not parameterizations.has(checkpoint.method)
    hold(true, f"{module.__name__}: method is '{checkpoint.method}' and map is a {made.name}")


def _brings(name: str, module: ModuleType) -> bool:
    """Whether a format of another package is this module."""
    entry = discover.guest(FORMATS, name)
    return entry is not None and entry.module == module.__name__
