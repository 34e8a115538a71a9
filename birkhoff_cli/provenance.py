"""How a table was made, in its metadata: written and read here and nowhere else."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli import members
from birkhoff_cli.analyses.core import metadata
from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import DAMAGED, refusing
from birkhoff_cli.deferred import DeferredDigest
from birkhoff_cli.text import finite, plain

if TYPE_CHECKING:
    import pyarrow as pa

ORIENTATION = "x_out[i] = sum_j H[i, j] x_in[j]; composite H[L-1] ... H[1] H[0]"
SCHEMA_VERSION = 1
"""Of the tables that this version writes."""

PART = "part"
"""Of a stamp, in the file of a part of a command's work."""

CELL = "cell"
"""Of a stamp, in the file of a cell of a sweep: its name there."""

SUMMARY = "birkhoff.summary"
"""Key of the headline numbers, which are known after the last row."""


def program_version() -> str:
    """Version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("birkhoff-cli")
    except PackageNotFoundError:
        return "source"


@cache
def code_digest() -> str:
    """Of every source file of this installation."""
    total = hashlib.sha256()
    for path in _own_sources():
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _own_sources() -> list[Path]:
    """Every source file of the package, sorted; a checkout has part of it behind a link."""
    folders = os.walk(Path(__file__).parent, followlinks=True)
    every = (Path(folder, name) for folder, _, names in folders for name in names)
    return sorted(path for path in every if path.suffix == ".py")


def digest_of(facts: Any) -> str:
    """The sha256 of what can be written as JSON."""
    text = json.dumps(finite(facts), sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint_of(facts: Any) -> str:
    """As `digest_of`, where files whose digests are put off are told by their state."""

    def known_by(value: Any) -> Any:
        return list(value.state) if isinstance(value, DeferredDigest) else plain(value)

    text = json.dumps(finite(facts), sort_keys=True, default=known_by)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(schema: str, meta: Mapping[str, Any], **facts: Any) -> dict[bytes, bytes]:
    """How to make a table again, and how to read it.

    Args:
        schema: name of the command whose table it is.
        meta: facts about the run that no column holds.
        facts: whatever else is known, such as the command line and its options.
    """
    return metadata.dump(
        {
            "schema": schema,
            "schema_version": SCHEMA_VERSION,
            "version": program_version(),
            "orientation": ORIENTATION,
            "meta": meta,
            **facts,
        }
    )


def stamp_of(schema: "pa.Schema") -> dict[bytes, bytes]:
    """What `stamp` wrote into a schema, and nothing that a file format added."""
    return {metadata.KEY: schema.metadata[metadata.KEY]}


def footer(summary: Mapping[str, Any]) -> dict[str, str]:
    """The headline numbers, for the end of a file."""
    return {SUMMARY: json.dumps(finite(dict(summary)), default=plain)}


def facts(table: "pa.Table", path: Path) -> dict[str, Any]:
    """What a table says about itself.

    Raises:
        BadInput: nothing, so that birkhoff did not write it.
    """
    stamp = metadata.load(table.schema.metadata)
    if not isinstance(stamp.get("meta"), dict):
        raise BadInput(f"{where(path)}: was not written by birkhoff, or is changed; {DAMAGED}")
    if PART in stamp:
        raise BadInput(
            f"{where(path)}: is a part of a command's work; birkhoff merge puts all parts together"
        )
    return stamp


def summary(table: "pa.Table", path: Path) -> dict[str, Any]:
    """The headline numbers that a file of ours ends with; none if there are none."""
    with refusing(path):
        notes = table.schema.metadata or {}
        numbers: dict[str, Any] = json.loads(notes.get(SUMMARY.encode(), b"{}"))
        return numbers


def author(table: "pa.Table", path: Path) -> ModuleType:
    """The command that wrote a table.

    Raises:
        BadInput: it says nothing about itself.
        Unsupported: no command of this version, or one that wrote other columns then.
    """
    stamp = facts(table, path)
    name = str(stamp.get("schema"))
    if members.package_of(name) is None or stamp.get("schema_version") != SCHEMA_VERSION:
        raise Unsupported(
            f"{where(path)}: was written by 'birkhoff {escape(name, 40)}' of version "
            f"{escape(stamp.get('version'), 20)}, which this version cannot draw; run it again"
        )
    return members.module_of(name)


def recorded(
    trace: MixingTrace, notes: Mapping[bytes, bytes] | None, of: int | None = None
) -> MixingTrace:
    """A trace with the training step and the assumptions that its table's metadata name.

    Args:
        trace: of one model.
        notes: the metadata.
        of: the training step, where they are of a series.
    """
    recorded = metadata.load(notes).get("meta")
    series = recorded.get("series") if isinstance(recorded, dict) else None
    if of is not None and isinstance(series, dict):
        recorded = series.get(str(of))
    if not isinstance(recorded, dict) or not recorded:
        return trace
    step, assumed = recorded.get("step"), recorded.get("assumptions")
    meta = trace.meta | {"recorded": recorded}
    if isinstance(assumed, list):
        meta["assumptions"] = [escape(text, 300) for text in assumed]
    return replace(trace, step=step if type(step) is int else None, meta=meta)
