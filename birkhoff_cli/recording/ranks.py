"""A file for every process of a distributed run: no two of them write one."""

import os
import sys
from pathlib import Path


def of_this_rank(path: Path) -> Path:
    """The path itself in a run of one process, else ``NAME.rankR.SUFFIX`` beside it."""
    rank, size = _rank_and_size()
    return path if size < 2 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def _rank_and_size() -> tuple[int, int]:
    """From torch.distributed where it is set up, else from what torchrun says."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    try:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return 0, 1
