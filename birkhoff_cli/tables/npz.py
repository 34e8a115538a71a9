"""Several arrays as ``numpy.savez`` writes them: the one that holds mixing matrices is read."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from birkhoff_cli.analyses.core.arrays import Array
from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED
from birkhoff_cli.content import Content
from birkhoff_cli.tables import _arrays
from birkhoff_cli.tables._format import TableFormat

BEGINS = rb"PK\x03\x04.{26}[^\0]*\.npy"


class Npz(TableFormat):
    """A zip archive whose first record is a ``.npy`` file."""

    suffixes = (".npz",)

    def recognises(self, head: bytes) -> bool:
        """By the name of the first record."""
        return _arrays.is_archive(head)

    def trace(self, content: Content, facts: dict[str, Any]) -> MixingTrace:
        """The one array, or the one of several that has a name of matrices."""
        label = content.label
        with _arrays.opened_archive(content) as archive:
            entry, arrays = _entry(label, archive), len(archive.infolist())
            with archive.open(entry) as file:
                header = _arrays.read_header(label, file, entry.file_size)
                values = _arrays.read_values(content, file, header)
                file.read()  # to the end, where the checksum is compared
        name = entry.filename.removesuffix(".npy")
        return _arrays.array_trace(label, values, facts, name, arrays)

    def write_arrays(
        self, arrays: Iterable[tuple[str, Array]], notes: Mapping[str, str], sink: BinaryIO
    ) -> None:
        """As ``numpy.savez`` does, and each note as an array that holds one text."""
        texts = ((name, np.array(text)) for name, text in notes.items())
        with zipfile.ZipFile(sink, "w") as archive:
            for name, values in (*arrays, *texts):
                # an entry without a time would have that of the clock
                entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
                data = io.BytesIO()
                npy_format.write_array(data, np.asarray(values, order="C"), allow_pickle=False)
                archive.writestr(entry, data.getvalue())


EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip archive can hold."""


def _entry(label: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = {e.filename.removesuffix(".npy"): e for e in archive.infolist()}
    if len(entries) < len(archive.infolist()):
        raise BadInput(f"{where(label)}: holds an array twice; {DAMAGED}")
    name = _arrays.only_name(list(entries))
    if name is None:
        contents = ", ".join(escape(name, 30) for name in list(entries)[:5])
        raise BadInput(
            f"{where(label)}: holds {len(entries)} arrays ({contents}), not one named "
            f"{' or '.join(_arrays.NAMES)}; save one array with numpy.save"
        )
    return entries[name]
