"""Notes in a folder that name the checkpoint to read: of Megatron, DeepSpeed and Hugging Face."""

import re
from pathlib import Path

from birkhoff_cli import places
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.containers.kinds import HEAD, check_regular, first_entries, is_folder
from birkhoff_cli.containers.store import unreadable, where


def latest_of(folder: Path) -> Path:
    """The folder that the note of Megatron or of DeepSpeed names; ``folder`` if there is no note.

    Raises:
        BadInput: the note cannot be read, or is none.
    """
    note = folder / "latest_checkpointed_iteration.txt"
    if places.is_there(note):
        word = _word(note)
        if word != "release" and not re.fullmatch("[0-9]{1,12}", word, re.ASCII):
            raise BadInput(f"{where(note)}: is not the number of an iteration; name its directory")
        return folder / ("release" if word == "release" else f"iter_{int(word):07}")
    notes = [folder / name for name in ("latest", "latest_universal")]
    written = [note for note in notes if places.is_there(note) and not is_folder(note)]
    if not written:
        return folder
    note = written[0]
    word = _word(note)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", word, re.ASCII):
        raise BadInput(f"{where(note)}: is not the name of a folder beside it; name the folder")
    return folder / word


def snapshot_of(folder: Path) -> Path:
    """The revision that ``refs/main`` names in a model's directory of Hugging Face's cache.

    Any other directory is returned as it is. Without ``refs/main`` there must be one revision.

    Raises:
        BadInput: the note is none, or what it names is not there.
    """
    home, note = folder / "snapshots", folder / "refs" / "main"
    if not home.is_dir() or not places.is_there(folder / "refs"):
        return folder
    if places.is_there(note):
        word = _word(note)
        name = word if re.fullmatch("[0-9a-f]{6,64}", word) else ""
    else:
        revisions = [entry.name for entry in first_entries(home, 2)]
        name = revisions[0] if len(revisions) == 1 else ""
    if not name:
        raise BadInput(f"{where(note)}: does not name a revision; name a directory of snapshots/")
    if not (home / name).is_dir() or (home / name).resolve().parent != home.resolve():
        raise BadInput(
            f"{where(home / name)}: is no directory there, though refs/main names it; download "
            f"the model again"
        )
    return home / name


def _word(note: Path) -> str:
    """What a note says, as far as it is ASCII."""
    check_regular(note)
    try:
        with note.open("rb") as file:
            return file.read(HEAD).strip().decode("ascii", "replace")
    except OSError as error:
        raise unreadable(note, error) from error
