"""Folders as programs leave them: which files of one are the model, by its writer's conventions."""

import re
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.containers.kinds import (
    BESIDE,
    ELSEWHERE,
    HEAD,
    MAX_ENTRIES,
    WEIGHTS,
    first_entries,
    is_checkpoint,
    not_read,
    with_husks,
)
from birkhoff_cli.containers.notes import latest_of, snapshot_of
from birkhoff_cli.containers.parts import open_index
from birkhoff_cli.containers.ranks import open_ranks, rank_files
from birkhoff_cli.containers.single import (
    DISTRIBUTED,
    INDEX,
    INDEX_NAME,
    PART,
    open_alone,
    open_file,
)
from birkhoff_cli.containers.store import Store, escape, unreadable, where
from birkhoff_cli.containers.universal import open_universal, root_of
from birkhoff_cli.steps import step_in_name

MODELS = ("model.safetensors", "pytorch_model.bin", "consolidated.safetensors")
"""One model under several names: the first that is there is read, alone or behind an index."""

FOREIGN = {
    "_METADATA": "an Orbax checkpoint",
    "manifest.ocdbt": "an Orbax checkpoint",
    "ocdbt.process_0": "an Orbax checkpoint",
    "saved_model.pb": "a TensorFlow model",
}
"""Entries that other programs' folders have."""

INDEX_LIKE = re.compile(r"(?:.*[._-])?index(?:[._-].*)?\.json(?:\..*)?", re.DOTALL | re.IGNORECASE)
"""What may be an index of shards, by its name."""

MAX_DEPTH = 4
"""Folders with nothing but one folder in them that are gone through."""

MAX_NAMES = 3


def open_folder(folder: Path, depth: int = MAX_DEPTH) -> Store:
    """Open the model in a folder.

    Raises:
        BadInput: none, or several; the message names them.
        Unsupported: one that another program wrote in a way that is not read here.
    """
    snapshot = snapshot_of(folder)
    # what a trainer keeps to go on from lies beside the model that it wrote
    noted = snapshot if _has_model(snapshot) else latest_of(snapshot)
    if noted != folder:
        return _noting(open_folder(noted, depth), _later_than(noted))
    if places.is_there(folder / DISTRIBUTED):
        from birkhoff_cli.containers.distributed import open_distributed

        return open_distributed(folder)
    for name in MODELS:
        if places.is_there(index := folder / f"{name}{INDEX}"):
            return _whole(folder, name, open_index(index))
    entries = _entries(folder)
    if foreign := next((FOREIGN[e.name] for e in entries if e.name in FOREIGN), ""):
        raise Unsupported(f"{where(folder)}: {not_read(foreign)}")
    if parameters := root_of(folder):
        return open_universal(folder, parameters)
    return _of_entries(folder, entries, depth)


def _later_than(noted: Path) -> list[Path]:
    """Folders beside the one that a note names, of later steps: the note may be an old one."""
    step = step_in_name(noted.name)
    if step is None or places.is_remote(noted):  # a list of what is there is one more request
        return []
    steps = {entry: step_in_name(entry.name) for entry in first_entries(noted.parent, MAX_ENTRIES)}
    return [entry for entry, other in steps.items() if other is not None and other > step]


def _has_model(folder: Path) -> bool:
    """Whether a model lies there under one of the names of `MODELS`."""
    names = (name + end for name in MODELS for end in ("", INDEX))
    return any(places.is_there(folder / name) for name in names)


def _of_entries(folder: Path, entries: list[Path], depth: int) -> Store:
    """Ranks, an index, the one file or the one of several by convention, or the one folder."""
    places.fetch_heads(entries, HEAD)
    if ranks := rank_files(entries):
        return open_ranks(folder, ranks)
    indices = [entry for entry in entries if INDEX_NAME.fullmatch(entry.name)]
    asides = [entry for entry in entries if INDEX_LIKE.fullmatch(entry.name)]
    files = first_parts(with_husks(entries, filter(is_checkpoint, entries)))
    if len(indices) > 1 or (indices and not files):
        return open_index(_only(folder, indices, "indices of shards"))
    by_convention = [e for name in MODELS for e in files if e.name == name]
    if by_convention and len(by_convention) == len(files):
        steps = [e for e in entries if step_in_name(e.name) is not None and e.is_dir()]
        others = by_convention[1:] + asides + steps
        return _noting(open_alone(by_convention[0]), others)
    if len(files) == 1:
        return _noting(open_file(files[0]), asides)
    if not files and depth and (folders := _folders(entries)):
        return open_folder(_only(folder, folders, "folders and no file of weights"), depth - 1)
    if not files and (elsewhere := [e for e in entries if e.suffix.lower() in ELSEWHERE]):
        what = ELSEWHERE[elsewhere[0].suffix.lower()]
        raise Unsupported(f"{where(elsewhere[0])}: {not_read(what)}")
    raise BadInput(_none_or_several(folder, entries, files))


def _whole(folder: Path, name: str, store: Store) -> Store:
    """An index and the whole model beside it are two models, unless one lists the other."""
    if places.is_there(folder / name) and not any(
        name in homes for homes in getattr(store, "homes", {}).values()
    ):
        store.close()
        raise BadInput(
            f"{where(folder)}: holds {name} and an index that does not list it; name the file, "
            f"or move one of them away"
        )
    listed = {home for homes in getattr(store, "homes", {}).values() for home in homes}
    return _noting(store, _beside_index(folder, {*listed, f"{name}{INDEX}"}))


def _beside_index(folder: Path, listed: Collection[str]) -> list[Path]:
    """Other indices of a folder, and files of weights by their names, that no index has listed."""
    try:
        entries = sorted(islice(folder.iterdir(), MAX_ENTRIES))
    except OSError as error:
        raise unreadable(folder, error) from error
    others = (entry for entry in entries if entry.name not in listed)
    return [entry for entry in others if INDEX_LIKE.fullmatch(entry.name) or _is_weights(entry)]


def _is_weights(entry: Path) -> bool:
    """Whether a file is called as one of weights; others with .bin are tokens, as a rule."""
    is_bin = entry.suffix == ".bin" and entry.name.startswith("pytorch_model")
    return (is_bin or entry.suffix.lower() in WEIGHTS) and not BESIDE.fullmatch(entry.name)


def _noting(store: Store, others: Iterable[Path]) -> Store:
    names = [escape(other.name, 60) for other in others]
    if names:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        shown = ", ".join(names[:MAX_NAMES]) + more
        store.notes.append(f"{shown} beside it is not read; name it to read it")
    return store


def first_parts(files: Iterable[Path]) -> list[Path]:
    """Files that stand for a model each: of parts with numbers, the first one."""
    models: dict[tuple[str, ...], Path] = {}
    for file in files:
        match = PART.fullmatch(file.name)
        key = (match["stem"], match["parts"], match["suffix"]) if match else (file.name,)
        models.setdefault(key, file)
    return list(models.values())


def _folders(entries: list[Path]) -> list[Path]:
    """Folders with something in them, which may hold the model."""
    return [
        entry
        for entry in entries
        if entry.is_dir()
        and not entry.name.startswith(".")
        and not BESIDE.fullmatch(entry.name)
        and first_entries(entry, 1)
    ]


def _only(folder: Path, candidates: list[Path], what: str) -> Path:
    if len(candidates) != 1:
        names = ", ".join(escape(entry.name, 40) for entry in candidates[:MAX_NAMES])
        raise BadInput(
            f"{where(folder)}: holds {len(candidates)} {what} ({names}); name one of them"
        )
    return candidates[0]


def _none_or_several(folder: Path, entries: list[Path], files: list[Path]) -> str:
    if not entries:
        return f"{where(folder)}: is an empty folder; name one that holds a checkpoint"
    names = ", ".join(escape(e.name, 40) for e in (files or entries)[:MAX_NAMES])
    count = f"{len(entries)} entries" if len(entries) > 1 else "one entry"
    content = f"{len(files)} checkpoints" if files else f"{count}, none a checkpoint"
    return f"{where(folder)}: holds {content} ({names}); name one file"


def _entries(folder: Path) -> list[Path]:
    """Entries of a folder, sorted.

    Raises:
        BadInput: it cannot be read, or holds more of them than any one model.
    """
    entries = first_entries(folder, MAX_ENTRIES + 1)
    if len(entries) > MAX_ENTRIES:
        raise BadInput(
            f"{where(folder)}: holds more than {MAX_ENTRIES} entries; name the checkpoint"
        )
    return entries
