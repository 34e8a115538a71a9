"""What is in a checkpoint: format, method, sites, settings and where they come from, dtypes.

Nothing is run and no optimizer state is read.
"""

from typing import Any

from analyses.core.result import Result, at_once
from analyses.core.table import column
from birkhoff_cli.checkpoints import Checkpoint

EXAMPLES = ("birkhoff inspect out/ckpt.pt", "birkhoff inspect out/ckpt.pt --set iters=10 --json")

SCHEMA = (
    column("site", "int32", "site in order of depth"),
    column("layer", "int32", "layer number in the checkpoint"),
    column("branch", "string", "attn or mlp"),
    column("name", "string", "name of the site in the checkpoint"),
)


def run(checkpoint: Checkpoint) -> Result:
    """One row for every site; the summary describes the whole file."""
    sites = checkpoint.sites
    columns = {
        "site": list(range(len(sites))),
        "layer": [s.layer for s in sites],
        "branch": [s.branch for s in sites],
        "name": [s.name for s in sites],
    }
    summary: dict[str, Any] = {
        "format": checkpoint.format,
        "method": checkpoint.method,
        "d": checkpoint.d,
        "sites": len(sites),
        "layers": checkpoint.layers,
        "width": checkpoint.width,
        "convention": checkpoint.convention,
        "settings": [
            {"setting": s.name, "value": s.value, "source": s.source} for s in checkpoint.settings
        ],
        "dtypes": [{"tensor": k, "dtype": v} for k, v in checkpoint.dtypes.items()],
        "assumptions": list(checkpoint.assumptions),
    }
    return at_once(
        SCHEMA,
        columns,
        summary,
        assumptions=list(checkpoint.assumptions),
        inputs=list(checkpoint.inputs),
    )
