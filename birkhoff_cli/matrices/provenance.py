"""What a table that `birkhoff` wrote says of the model its matrices come from."""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa

from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.containers import escape


def kept(trace: MixingTrace, schema: pa.Schema) -> MixingTrace:
    """The same trace with the training step, the assumptions and all facts that were noted."""
    facts = _noted(schema)
    if not facts:
        return trace
    step, assumed = facts.get("step"), facts.get("assumptions")
    meta = trace.meta | {"recorded": facts}
    if isinstance(assumed, list):
        meta["assumptions"] = [escape(text, 300) for text in assumed]
    return replace(trace, step=step if type(step) is int else None, meta=meta)


def _noted(schema: pa.Schema) -> dict[str, Any]:
    """The facts as plain data; none if there is nothing, or nothing that we could have written."""
    try:
        found = json.loads((schema.metadata or {})[b"birkhoff"])["meta"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
