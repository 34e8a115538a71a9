"""What is in a checkpoint: format, method, sites, settings and where they come from, dtypes.

Nothing is run and no optimizer state is read. For use in CI, --strict refuses a checkpoint with a
tensor that looks like one of a hyper-connection and that no site has; that every site has all of
its tensors is held anyway. With --fail-on dtype the exit code is 1 if a mixing tensor is stored in
less than float32, or if not all are stored in one dtype.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Literal

from birkhoff_cli.analyses.core.errors import BadInput
from birkhoff_cli.analyses.core.quantities import (
    AT_LEAST_0,
    LAYERS,
    SITES,
    STEP,
    D,
    judged,
    quantity,
)
from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import capitalise, count, short
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.trace import site_schema
from birkhoff_cli.checkpoints import Checkpoint
from birkhoff_cli.checkpoints._one import load
from birkhoff_cli.checkpoints.sites.scaled import rounding_cost
from birkhoff_cli.containers import escape, where
from birkhoff_cli.containers.store import BITS
from birkhoff_cli.provenance import ORIENTATION

EXAMPLES = (
    "birkhoff inspect out/ckpt.pt",
    "birkhoff inspect out/ckpt.pt --set iters=10 --json",
    "birkhoff inspect DeepSeek-V4-Flash --strict --fail-on dtype",
)

SCHEMA = (
    *site_schema(),
    column("name", "string", "name of the site in the checkpoint"),
)
SUMMARY = (
    *judged(
        "sound, narrow if a mixing tensor is stored in fewer bits, or mixed if dtypes differ",
        "sound",
        "bits that a mixing tensor has at least",
        unit="bit",
    ),
    quantity("format", "the file of birkhoff_cli/checkpoints that read it"),
    quantity("method", "the parameterization that its matrices are of"),
    D,
    SITES,
    LAYERS,
    quantity("width", "channels of a stream", range=AT_LEAST_0),
    STEP,
    quantity("convention", "how the file stores the matrix, and what was turned"),
    quantity("orientation", "the orientation of every matrix that birkhoff gives"),
    quantity("inputs", "words of --inputs that this format can do"),
    quantity(
        "settings",
        "what the matrices depend on",
        rows=(
            quantity("setting", "name, for --set"),
            quantity("value", "its value"),
            quantity("source", "stored, config, default (assumed) or set"),
        ),
    ),
    quantity(
        "dtypes",
        "number formats of the mixing tensors",
        rows=(
            quantity("tensor", "kind of tensor"),
            quantity("dtype", "in which it is stored", good="float32"),
            quantity("count", "tensors of that kind in it", range=AT_LEAST_0),
            quantity("first", "name of the first of them"),
        ),
    ),
    quantity(
        "rounding_cost",
        "largest change of an entry of H if tensors below 16 bits are off by half a step of their "
        "format, at the first sites on random streams; null if there are none",
        range=AT_LEAST_0,
        good="near 0",
    ),
    quantity("wrappers", "segments of names that compilers and trainers added"),
    quantity("assumptions", "what the file does not say, and what was taken instead", good="none"),
)

MAX_NAMES = 3
"""Names of unread tensors in a message."""


def run(
    checkpoint: Checkpoint,
    *,
    strict: Annotated[bool, "refuse tensors like a hyper-connection's that no site has"] = False,
    fail_on: Annotated[
        Literal["dtype"] | None,
        "exit with code 1 if a mixing tensor is in less than float32, or dtypes are mixed",
    ] = None,
) -> Result:
    """One row for every site; the summary describes the whole file."""
    if strict:
        _refuse_unread(checkpoint)
    sites = checkpoint.sites
    columns = {
        "site": list(range(len(sites))),
        "layer": [s.layer for s in sites],
        "branch": [s.branch for s in sites],
        "name": [s.name for s in sites],
    }
    result = at_once(
        SCHEMA,
        columns,
        _summary(checkpoint),
        assumptions=list(checkpoint.assumptions),
        inputs=list(checkpoint.inputs),
    )
    if fail_on == "dtype":
        result.failed = lambda: _dtype_fault(checkpoint)
    return result


def _summary(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "verdict": _verdict(checkpoint),
        "threshold": BITS["float32"],
        "format": checkpoint.format,
        "method": checkpoint.method,
        "d": checkpoint.d,
        "sites": len(checkpoint.sites),
        "layers": checkpoint.layers,
        "width": checkpoint.width,
        "step": checkpoint.step,
        "convention": checkpoint.convention,
        "orientation": ORIENTATION,
        "inputs": _inputs(checkpoint),
        "settings": [
            {"setting": s.name, "value": s.value, "source": s.source} for s in checkpoint.settings
        ],
        "dtypes": _dtypes(checkpoint),
        "rounding_cost": rounding_cost(checkpoint),
        "wrappers": list(checkpoint.wrappers),
        "assumptions": list(checkpoint.assumptions),
    }


def _verdict(checkpoint: Checkpoint) -> str:
    dtypes = {dtype for names in checkpoint.dtypes.values() for dtype in names.values()}
    if any(BITS[dtype] < BITS["float32"] for dtype in dtypes):
        return "narrow"
    return "mixed" if len(dtypes) > 1 else "sound"


def answer(summary: Summary) -> str:
    """What the checkpoint is, in which precision, and how much had to be assumed."""
    dtypes = ", ".join(dict.fromkeys(row["dtype"] for row in summary["dtypes"])) or "no tensors"
    return (
        f"{summary['format']}, {summary['method']} of d = {summary['d']}: "
        f"{count(summary['sites'], 'site')} in {count(summary['layers'], 'layer')}, mixing tensors "
        f"in {dtypes}{_cost(summary)}; {_assumed(len(summary['assumptions']))}."
    )


def _assumed(number: int) -> str:
    return f"{count(number, 'setting')} assumed" if number else "nothing was assumed"


def questions(summary: Summary) -> Iterator[Question]:
    """The convention."""
    yield Question(
        "Which convention does the file follow?",
        f"{capitalise(summary['convention'])}; read as {summary['format']}.",
        str(summary["method"]),
    )


def _cost(summary: Summary) -> str:
    cost = summary["rounding_cost"]
    return "" if cost is None else f", of which less than 16 bits cost {short(cost)} in H"


def _inputs(checkpoint: Checkpoint) -> list[str]:
    """Words of ``--inputs`` that this format can do."""
    known = {"static": True, "gaussian": checkpoint.connect, "tokens": checkpoint.model}
    return [word for word, can in known.items() if can]


def _dtypes(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """One row for every kind of tensor and dtype, with the first tensor in that dtype."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for tensor, names in checkpoint.dtypes.items():
        for name, dtype in names.items():
            new = {"tensor": tensor, "dtype": dtype, "count": 0, "first": escape(name, 200)}
            rows.setdefault((tensor, dtype), new)["count"] += 1
    return list(rows.values())


def _dtype_fault(checkpoint: Checkpoint) -> str | None:
    """What ``--fail-on dtype`` finds wrong."""
    stored = {n: dtype for names in checkpoint.dtypes.values() for n, dtype in names.items()}
    dtypes = sorted(set(stored.values()))
    low = [name for name, dtype in stored.items() if BITS[dtype] < BITS["float32"]]
    begin = f"{where(checkpoint.path)}: {len(low) or len(stored)} of {len(stored)} mixing tensors"
    if low:
        return (
            f"{begin} are stored in less than float32 ({escape(low[0])}: {stored[low[0]]}); "
            f"keep them in float32 when the model is saved"
        )
    if len(dtypes) > 1:
        return f"{begin} are stored in mixed dtypes ({', '.join(dtypes)}); save them in one"
    return None


def _refuse_unread(checkpoint: Checkpoint) -> None:
    """Hold that every tensor that looks like a hyper-connection's was expected.

    Raises:
        BadInput: naming those that were not, and what they may have been meant to be.
    """
    from birkhoff_cli.checkpoints.sites.unread import unread

    names = ((n, tensor) for tensor, names in checkpoint.dtypes.items() for n in names)
    with checkpoint.opened() as store:
        strange = list(unread(store.stored, names, _aside(checkpoint.format)))
    if strange:
        shown = (
            f"'{escape(name)}'" + (f" (near '{escape(near)}')" if near else "")
            for name, near in islice(strange, MAX_NAMES)
        )
        more = f" and {len(strange) - MAX_NAMES} more" if len(strange) > MAX_NAMES else ""
        raise BadInput(
            f"{where(checkpoint.path)}: no site has {', '.join(shown)}{more}, and the names look "
            f"like a hyper-connection's; check what they hold, or leave --strict out"
        )


def _aside(format: str) -> re.Pattern[str] | None:
    module = load(format.replace("_", "-"))
    pattern: re.Pattern[str] | None = getattr(module, "ASIDE", None)
    return pattern
