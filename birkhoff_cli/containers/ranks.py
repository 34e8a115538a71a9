"""Files of the ranks of one training run, which are one model together."""

import re
from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.kinds import opener
from birkhoff_cli.containers.parts import open_parts
from birkhoff_cli.containers.store import INCOMPLETE, Store, where

RANKS = (
    re.compile(r"mp_rank_(?P<rank>[0-9]{2,4})_model_states\.pt"),
    re.compile(r"model-rank-(?P<rank>[0-9]{1,4})-part-(?P<part>[0-9]{1,4})\.safetensors"),
)
"""Files of ranks that are one model together: DeepSpeed's, and vLLM's."""

RANK_FOLDER = re.compile(r"mp_rank_(?P<rank>[0-9]{2,4})(?P<pipeline>_[0-9]{3})?")
RANK_FILE = ("model_optim_rng.pt", "model_rng.pt")
"""Megatron's old layout: one folder for every rank."""

ZERO3 = re.compile(r"zero_pp_rank_[0-9]+_mp_rank_[0-9]+_model_states\.pt")
PIPELINE = re.compile(r"layer_[0-9]+-model_[0-9]+-model_states\.pt")


def rank_files(entries: list[Path]) -> list[str]:
    """Files of all ranks, relative to their folder, in order; empty if there are none.

    Raises:
        BadInput: ranks that hold different layers.
        Unsupported: weights that are cut into pieces of no shape.
    """
    if any(PIPELINE.fullmatch(entry.name) for entry in entries):
        raise Unsupported(
            f"{where(entries[0].parent)}: DeepSpeed's pipeline has a file for every layer, which "
            f"does not say its number in the model; convert it with ds_to_universal.py, and give "
            f"what that writes"
        )
    for pattern in RANKS:
        if files := [entry.name for entry in entries if pattern.fullmatch(entry.name)]:
            return files
    folders = [entry for entry in entries if RANK_FOLDER.fullmatch(entry.name)]
    files = [
        f"{folder.name}/{name}"
        for folder in folders
        for name in RANK_FILE
        if places.is_there(folder / name)
    ]
    pipelines = {m["pipeline"] for m in map(RANK_FOLDER.fullmatch, (f.name for f in folders)) if m}
    if len(pipelines) > 1:
        raise BadInput(
            f"{where(folders[0].parent)}: its ranks hold different layers, each numbered from 0; "
            f"convert it with Megatron's tools first"
        )
    if not files and any(ZERO3.fullmatch(entry.name) for entry in entries):
        raise Unsupported(
            f"{where(entries[0].parent)}: ZeRO-3 has cut its tensors into pieces without shapes; "
            f"run zero_to_fp32.py, which lies beside it, and give what that writes"
        )
    return files


def are_ranks(entries: list[Path]) -> bool:
    """Whether files of ranks, which are one model together, are among a folder's entries."""
    names = [entry.name for entry in entries]
    return any(pattern.fullmatch(name) for pattern in RANKS for name in names)


def open_ranks(folder: Path, ranks: list[str]) -> Store:
    """Open the files of all ranks, as `rank_files` lists them, as one model.

    Raises:
        BadInput: a part of a rank is missing.
    """
    numbers = [tuple(map(int, re.findall("[0-9]+", name.partition("/")[0]))) for name in ranks]
    _check_parts(folder, ranks, numbers)
    if len(ranks) == 1:
        return opener(folder / ranks[0])(folder / ranks[0])
    store = open_parts(folder, ranks)
    store.notes += _missing(sorted({rank for rank, *_ in numbers}))
    store.notes.append(f"{len(ranks)} files of ranks; what is read is the same in all that hold it")
    return store


def _check_parts(folder: Path, files: list[str], numbers: list[tuple[int, ...]]) -> None:
    """Hold that a rank that has several parts, counted from 0, has all before its last."""
    for file, (rank, *part) in zip(files, numbers, strict=True):
        for before in range(part[0] if RANKS[1].fullmatch(file) else 0):
            if (rank, before) not in numbers:
                raise BadInput(
                    f"{where(folder)}: holds part {part[0]} of rank {rank}, and its part {before} "
                    f"is missing; {INCOMPLETE}"
                )


def _missing(ranks: list[int]) -> list[str]:
    """The sentence about ranks, counted from 0, of which one before the last is not there."""
    missing = [rank for rank in range(ranks[-1]) if rank not in ranks]
    if not missing:
        return []
    return [f"nothing of the model is in the files of rank {missing[0]} alone, which are missing"]
