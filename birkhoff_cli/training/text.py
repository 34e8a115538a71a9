"""A text as tokens: its characters, sorted, each a number; nine tenths to learn from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular

Tokens = NDArray[np.int64]

LEARNED = 0.9
MAX_CHARACTERS = 300_000
"""Characters that are taken of the text that comes with Python."""


@dataclass(frozen=True)
class Text:
    """Tokens to learn from and tokens to judge by; token k is the k-th of the characters."""

    characters: str
    learned: Tokens
    held_out: Tokens


def read(path: Path | None, length: int) -> Text:
    """The text of a UTF-8 file; without one, Python's own help topics, ASCII alone.

    Args:
        path: a file, or None.
        length: of a sequence; both parts must hold one and the token after it.

    Raises:
        BadInput: no text, or too short a one.
    """
    written = _topics() if path is None else _file(path)
    characters = "".join(sorted(set(written)))
    code = {character: k for k, character in enumerate(characters)}
    tokens = np.fromiter((code[c] for c in written), np.int64, len(written))
    cut = int(LEARNED * len(tokens))
    if len(tokens) - cut <= length:
        name = "the text" if path is None else where(path)
        raise BadInput(
            f"{name}: has {len(tokens):,} characters, of which a tenth is held out; sequences of "
            f"{length} need {10 * (length + 1):,} or more"
        )
    return Text(characters, tokens[:cut], tokens[cut:])


def _topics() -> str:
    from pydoc_data.topics import topics

    whole = "\n".join(topics[name] for name in sorted(topics))
    return whole.encode("ascii", "ignore").decode()[:MAX_CHARACTERS]


def _file(path: Path) -> str:
    check_regular(path)
    require_memory(16 * path.stat().st_size, where(path))
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{where(path)}: cannot be read ({error.strerror}); check it") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{where(path)}: is no UTF-8 text; convert it") from error


def batch(tokens: Tokens, count: int, length: int, *seed: int) -> tuple[Any, Any]:
    """Random sequences ``(count, length)`` and what follows each token, as torch tensors.

    They depend on the seeds alone: a run that is taken up again needs no other state.
    """
    import torch

    rng = np.random.default_rng(seed)
    at = rng.integers(len(tokens) - length, size=count)[:, None] + np.arange(length + 1)
    batch = torch.from_numpy(tokens[at])
    return batch[:, :-1], batch[:, 1:]
