"""What few bits cost: matrices, the drift of their product, and a model's loss.

theta: the parameters of H, a tensor for each site; with --inputs tokens=FILE every tensor of the
hyper-connections, dynamic weights and gates too. matrices: every H that is applied. model: the
weights of attention, mlp and embeddings as well as theta; norms and biases stay. Each is
rounded alone; both: theta and matrices.

bf16, fp16, fp8-e4m3, fp8-e5m2: nearest numbers, ties to even, no scale; what is too large is held
at the largest. int8, int6, int4: 255, 63 and 15 equal steps from minus to plus the largest modulus
of every tensor (--scales row: row).

distance: Frobenius, of a matrix to the unrounded one; entry_change: the largest of an entry;
composite: of the product of all sites. With tokens also loss, the cross entropy in nats, and right,
whose mean is the accuracy; a site then has the changes of all before it, too.

Source: BE-HC, table 3 and appendix C.4.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from birkhoff_cli.analyses.core.analysis import analysis
from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import BadInput, UsageError
from birkhoff_cli.analyses.core.fold import run_fold
from birkhoff_cli.analyses.core.quantities import (
    METHOD,
    SAMPLES,
    SHARE,
    SITES,
    D,
    quantity,
)
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import short
from birkhoff_cli.analyses.core.table import column
from birkhoff_cli.analyses.core.titles import title
from birkhoff_cli.analyses.core.trace import MixingTrace, site_schema
from birkhoff_cli.analyses.drawing import captions, rounding_panels
from birkhoff_cli.analyses.geometry.rounding import FLOATS, INTEGERS
from birkhoff_cli.analyses.networks.rounded import Rounding, Scales
from birkhoff_cli.analyses.networks.rounded_source import RoundedMatrices, RoundedRuns
from birkhoff_cli.analyses.networks.rounding_costs import ROW, RoundingCosts
from birkhoff_cli.analyses.statistics.distributions import COLUMNS, QUANTILE_ERROR
from birkhoff_cli.analyses.statistics.extremes import SUM_ERRORS

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

EXAMPLES = (
    "birkhoff quantise out/ckpt.pt --plot quantised.png",
    "birkhoff quantise out/ckpt.pt --inputs tokens=data/val.bin --what model --scales row --json",
    "birkhoff quantise matrices.npy --formats int8,int4 -o quantised.parquet",
)

What = Literal["theta", "matrices", "both", "model"]
FORMATS = (*FLOATS, *INTEGERS)
SCHEMA = (
    column("what", "string", "what is rounded: theta, matrices, model, or none"),
    column("format", "string", "how it is held; none: as it is"),
    *site_schema("; null for the composite and for losses", nullable=True),
    column("metric", "string", "what the numbers of the row are; see the command's help"),
    *COLUMNS,
)

SUMMARY = (
    METHOD,
    D,
    SITES,
    SAMPLES,
    quantity("scales", "numbers that share a step of int8, int6 and int4: of a tensor or of a row"),
    *SUM_ERRORS,
    quantity("loss", "mean cross entropy of the next token, unrounded", unit="nat"),
    quantity("accuracy", "share of next tokens that were likeliest, unrounded", range=SHARE),
    quantity("roundings", "what every rounding changes", rows=ROW),
    QUANTILE_ERROR,
)

SIZE = (8.3, 4.4)


@analysis
def run(
    trace: MixingTrace,
    *,
    what: Annotated[What | None, "what is rounded [both, if known]"] = None,
    formats: Annotated[str, "formats"] = ",".join(FORMATS),
    scales: Annotated[Scales, "what shares a step of int8, int6 or int4"] = "tensor",
) -> Result:
    """Compare every rounding with what is not rounded.

    Args:
        trace: the matrices, with the model that applied them if losses are asked for.
        what: to round.
        formats: of `geometry.rounding`.
        scales: see `networks.rounded.Rounding`.

    Returns:
        A row for every rounding, metric and site, and for the composite; ``none`` first. In the
        summary ``row_error_max`` and ``column_error_max`` of the unrounded matrices, and
        ``roundings``: the largest changes of each. With tokens also losses and accuracies.

    Raises:
        UsageError: a format that is none, or parameters or a model that are not known.
        BadInput: no matrices, or rounding that makes some that are not finite.
    """
    if not trace.samples or not trace.sites:
        raise BadInput(f"{trace.source}: holds no matrices; record or draw at least one")
    if trace.run is not None and trace.run.tokens.shape[1] < 2:
        raise UsageError("--length 1 leaves no token with a next one; say 2 or more")
    roundings = [
        Rounding(part, format, scales) for part in _parts(trace, what) for format in _names(formats)
    ]
    source = (
        RoundedMatrices(trace, roundings)
        if trace.run is None
        else RoundedRuns(trace.run, roundings)
    )
    meta = {**trace.meta, "d": trace.d, "title": title(trace)}
    return run_fold(RoundingCosts(trace, scales), source, SCHEMA, meta)


def _names(formats: str) -> list[str]:
    names = list(dict.fromkeys(word.strip().lower() for word in formats.split(",")))
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--formats {unknown(name, FORMATS, 'formats')}")
    return names


def _parts(trace: MixingTrace, what: What | None) -> tuple[str, ...]:
    """What is rounded, each alone.

    Raises:
        UsageError: it is not known here.
    """
    has_theta = trace.run is not None or (trace.map is not None and trace.theta is not None)
    if what == "model" and trace.run is None:
        raise UsageError("--what model runs the model; say --inputs tokens=FILE too")
    if what in ("theta", "both") and not has_theta:
        raise UsageError(
            f"--what {what}: the parameters of {trace.source} are not known, or are followed by "
            f"random streams; say --what matrices, or --inputs static or tokens=FILE"
        )
    if what is None or what == "both":
        return ("theta", "matrices") if has_theta else ("matrices",)
    return (what,)


USUAL = "int8"
"""The format that the answer names, if it was asked for."""


def answer(summary: Summary) -> str:
    """What int8 of each costs, or the first format."""
    rows = summary["roundings"]
    names = [row["format"] for row in rows]
    format = USUAL if USUAL in names else names[0]
    parts = []
    for row in (row for row in rows if row["format"] == format):
        drift = max(row["composite_row_error_max"], row["composite_column_error_max"])
        clause = (
            f"{row['what']} in {format} moves a matrix by at most {short(row['distance_max'])}, "
            f"and sums of the composite are then within {short(drift)} of 1"
        )
        if "loss" in row:
            clause += f"; the loss goes from {short(summary['loss'])} to {short(row['loss'])}"
        parts.append(clause)
    text = ". ".join(part[:1].upper() + part[1:] for part in parts)
    return f"{text}."


def draw(result: "pa.Table", figure: "Figure") -> None:
    """Distances over depth; what rounding does to the composite; and to the loss."""
    captions.title(result, figure)
    rows = rounding_panels.read(result)
    losses = rounding_panels.has_losses(rows)
    panels = figure.subplots(1, 3 if losses else 2)
    rounding_panels.draw_distances(panels[0], rows)
    rounding_panels.draw_composite(panels[1], rows)
    if losses:
        rounding_panels.draw_losses(panels[2], rows)
