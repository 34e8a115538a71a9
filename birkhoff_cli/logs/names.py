"""What the columns of a training log are called, and which of them are taken."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.training_log import (
    GRADIENT_NORM,
    HELD_OUT_LOSS,
    LAYERS,
    LEARNING_RATE,
    LOSS,
)
from birkhoff_cli.containers import escape, where

STEP = "step"

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    STEP: ("step", "iter", "iter_num", "iteration", "global_step", "_step", "train/global_step"),
    LOSS: ("loss", "train/loss", "train_loss", "training_loss", "loss/train"),
    HELD_OUT_LOSS: (
        *("held_out_loss", "val/loss", "val_loss", "eval/loss", "eval_loss"),
        *("validation_loss", "valid_loss", "loss/val"),
    ),
    GRADIENT_NORM: ("gradient_norm", "grad_norm", "train/grad_norm", "grad/norm", "gradnorm"),
    LEARNING_RATE: ("learning_rate", "lr", "train/lr", "train/learning_rate"),
    LAYERS: (LAYERS,),
}
"""Names that are read, the one that is preferred first; case and spaces around do not count."""

LAYER = re.compile(rf"{LAYERS}_(\d+)")
"""A layer's column, where a list is written as several columns."""

MAX_NAMES = 8
"""Names in a message."""


def choose(names: Iterable[str]) -> dict[str, str]:
    """The column that is taken for each of `SYNONYMS`, as far as there is one."""
    own = {name.strip().casefold(): name for name in names}
    columns = {}
    for meaning, known in SYNONYMS.items():
        if name := next((own[word] for word in known if word in own), None):
            columns[meaning] = name
    return columns


def refuse_twins(path: Path, chosen: Mapping[str, str], names: Iterable[str]) -> None:
    """Hold that no other column is called as one that is taken, but for case and spaces.

    Raises:
        BadInput: naming both: one of them would be left out.
    """
    own = {name.strip().casefold(): name for name in chosen.values()}
    for name in names:
        other = own.get(name.strip().casefold(), name)
        if other != name:
            raise BadInput(
                f"{where(path)}: has a column '{escape(name, 30)}' and one '{escape(other, 30)}'; "
                f"leave one of them out"
            )


def is_log(chosen: Mapping[str, str]) -> bool:
    """Whether these columns are those of a training log."""
    return STEP in chosen and bool({LOSS, HELD_OUT_LOSS, GRADIENT_NORM} & chosen.keys())


def sentence(chosen: Mapping[str, str], names: Iterable[str]) -> str | None:
    """What was taken for what, where a name alone does not say it, and what is not drawn."""
    taken = [f"{name} is '{escape(own, 30)}'" for name, own in chosen.items() if own != name]
    rest = [n for n in names if n not in chosen.values() and not LAYER.fullmatch(n)]
    if not taken:
        return None
    shown = ", ".join(escape(name, 30) for name in rest[:MAX_NAMES])
    more = f" and {len(rest) - MAX_NAMES} more" if len(rest) > MAX_NAMES else ""
    return ", ".join(taken) + (f"; not read: {shown}{more}" if rest else "")
