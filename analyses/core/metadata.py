"""What a table says about itself: one JSON object under the key ``birkhoff`` of its schema."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"birkhoff"


def dump(facts: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Facts as metadata of a schema: the same facts are the same bytes."""
    return {KEY: json.dumps(facts, default=str, sort_keys=True).encode()}


def load(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The facts as plain data; none if there are none, or none that we could have written."""
    try:
        facts = json.loads((metadata or {})[KEY])
    except (KeyError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def meta_of(table: "pa.Table") -> dict[str, Any]:
    """Facts about the run that a picture needs and no column holds."""
    facts: dict[str, Any] = load(table.schema.metadata)["meta"]
    return facts
