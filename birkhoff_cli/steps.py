"""The training step of a model: one rule for every command.

What the file stores; else what a note beside it says; else the number in its name; else unknown.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birkhoff_cli import places
from birkhoff_cli.read_errors import require_sound
from birkhoff_cli.values import path_of

STEPS = ("iter_num", "iteration", "global_step", "global_steps", "step")
"""Keys under which training programs keep the number of the step; the first one counts."""

MAX_STEP = 1 << 62
MAX_NOTE_BYTES = 8 << 20
"""Of a trainer's state, which grows with its log; 20 times as many in memory. More is not read."""

STATE = "trainer_state.json"
"""What a trainer of Hugging Face notes beside a checkpoint."""

NAME = re.compile(
    r"(?:^|[^A-Za-z])(?:checkpoint-|ckpt[_-]|step[-_=]|iter_|global_step)([0-9]{1,15})"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
"""``checkpoint-N ckpt_N ckpt-N step-N step_N step=N iter_N global_stepN``, as part of a name.

Other numbers are not steps: ``v4-flash-43b`` is a size, ``j4`` a number of streams.
"""


def stored_step(config: Mapping[str, Any]) -> int | None:
    """Training step that a file stores."""
    return next(iter(_stored(config).values()), None)


def stored_doubts(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What is assumed where a file stores two steps: it may count batches, and steps beside them.

    Args:
        config: what it holds beside its tensors.
    """
    first, *others = [*_stored(config).items()] or [("", 0)]
    for key, step in others:
        if step != first[1]:
            return (f"the step is {first[1]:,}, as {first[0]} says, though {key} is {step:,}",)
    return ()


def _stored(config: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of steps by their keys, in the order in which they count."""
    steps = {key: config.get(key) for key in STEPS}
    return {k: n for k, n in steps.items() if type(n) is int and 0 <= n < MAX_STEP}


def training_step(path: Path, stored: int | None = None) -> int | None:
    """The step at which the model at ``path`` was saved; None if nothing says it.

    Args:
        path: a file, or the folder of one checkpoint.
        stored: what the file itself says.
    """
    if stored is not None:
        return stored
    folder = path if _is_folder(path) else path.parent
    # a note is about the folder's one checkpoint: a file of several names its own step
    own = None if folder == path else step_in_name(path.stem)
    for step in (own, _in_notes(folder), step_in_name(folder.name)):
        if step is not None:
            return step
    return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def step_in_name(name: str) -> int | None:
    """N of ``checkpoint-N``, ``ckpt_N`` and the like in a name; the last one if there are more."""
    numbers = NAME.findall(name)
    return int(numbers[-1]) if numbers else None


def _in_notes(folder: Path) -> int | None:
    """The step in a Hugging Face trainer's state, or in the note that DeepSpeed calls latest."""
    step = _in_state(folder / STATE)
    if step is not None:
        return step
    return step_in_name(_text(folder / "latest") or _text(folder / "latest_universal") or "")


def _in_state(path: Path) -> int | None:
    """The step in a trainer's state; None if it is not there, or says none."""
    if (text := _text(path)) is None:
        return None
    try:
        step = json.loads(text)["global_step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if type(step) is int and step >= 0 else None


def step_doubts(path: Path, stored: int | None) -> tuple[str, ...]:
    """What is assumed where a name says another step than is stored, or a note says none.

    Args:
        path: as `training_step`.
        stored: what the file itself says.
    """
    folder = path if _is_folder(path) else path.parent
    own = None if folder == path else step_in_name(path.stem)
    named = step_in_name(folder.name) if own is None else own
    step = training_step(path, stored)
    if named in (None, step):
        return _damaged_state(folder) if (stored, own) == (None, None) else ()
    source = "is stored in it" if stored is not None else "a note in its folder says"
    return (f"the step is {step:,}, as {source}, though it is called that of {named:,}",)


def _damaged_state(folder: Path) -> tuple[str, ...]:
    """The sentence that a trainer's state in a folder says no step; none if it does."""
    state = folder / STATE
    if not places.is_there(state) or _in_state(state) is not None:
        return ()
    step = step_in_name(folder.name)
    known = "not known" if step is None else f"{step}, as the folder is called"
    why = f"is damaged, or larger than {MAX_NOTE_BYTES >> 20} MB"
    return (f"{STATE} {why}, and its training step is not read; the step is {known}",)


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_NOTE_BYTES:
            return None
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        require_sound(error, path)
        return None
    except ValueError:
        return None


AT_STEP = re.compile(r"(?P<file>.+)#step=(?P<step>-?[0-9]{1,18})")
"""One of several training steps of a file."""


def split_step(path: Path) -> tuple[Path, int | None]:
    """The file and the training step behind ``#step=``; a file of exactly that name is one file."""
    match = AT_STEP.fullmatch(str(path))
    if match is None or places.is_there(path):
        return path, None
    return path_of(match["file"]), int(match["step"])
