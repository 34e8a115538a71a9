"""A table that birkhoff wrote, read back with what it says about itself."""

import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli import members
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.memory import require_memory
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import DAMAGED, refusing

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
"""Of the tables that this version writes."""


def read(path: Path) -> "pa.Table":
    """A Parquet or Arrow file, checked: pages against their checksums, buffers by validation.

    Raises:
        BadInput: no such file, damaged, or not written by birkhoff.
        TooLarge: more than fits in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_regular(path)
    require_memory(8 * path.stat().st_size, where(path))
    with refusing(path), path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"PAR1"):
            table = pq.ParquetFile(file, page_checksum_verification=True).read()
        elif head.startswith(b"ARROW1"):
            table = pa.ipc.open_file(file.read()).read_all()
        else:
            raise BadInput(
                f"{where(path)}: is no Parquet or Arrow file; give a table that 'birkhoff ... -o' "
                f"wrote, as .parquet or .arrow: only these say what they hold"
            )
        table.validate(full=True)
        return table


def facts(table: "pa.Table", path: Path) -> dict[str, Any]:
    """What a table says about itself.

    Raises:
        BadInput: nothing, so that birkhoff did not write it.
    """
    with refusing(path):
        found = json.loads((table.schema.metadata or {}).get(b"birkhoff", b"null"))
        if not isinstance(found, dict) or not isinstance(found.get("meta"), dict):
            raise BadInput(f"{where(path)}: was not written by birkhoff, or is changed; {DAMAGED}")
        return found


def summary(path: Path) -> dict[str, Any]:
    """The headline numbers that a Parquet file of ours ends with."""
    import pyarrow.parquet as pq

    with refusing(path), path.open("rb") as file:
        footer = pq.ParquetFile(file).metadata.metadata or {}
        found: dict[str, Any] = json.loads(footer.get(b"birkhoff.summary", b"{}"))
        return found


def author(table: "pa.Table", path: Path) -> ModuleType:
    """The command that wrote a table.

    Raises:
        Unsupported: no command of this version, or one that wrote other columns then.
    """
    found = facts(table, path)
    name = str(found.get("schema"))
    if members.package_of(name) is None or found.get("schema_version") != SCHEMA_VERSION:
        raise Unsupported(
            f"{where(path)}: was written by 'birkhoff {escape(name, 40)}' of version "
            f"{escape(found.get('version'), 20)}, which this version cannot draw; run it again"
        )
    return members.module_of(name)
