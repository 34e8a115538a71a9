"""Draw a table again: the figure of the command that wrote it, from the table alone.

The file has to say which command made it: Parquet and Arrow files do, text does not. A training
log, ours or one with columns of a step and a loss, is drawn as `birkhoff curves` does; the log of a
monitor as `birkhoff degeneration` does.
"""

from pathlib import Path
from typing import Annotated

from birkhoff_cli import files, logs, matrices, members, outputs, provenance, tables
from birkhoff_cli.analyses.core.errors import Unsupported
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Result, Summary, at_once
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.containers import where
from birkhoff_cli.containers.kinds import check_regular
from birkhoff_cli.containers.store import refusing
from birkhoff_cli.invocation import check_figure

EXAMPLES = (
    "birkhoff plot drift.parquet",
    "birkhoff plot drift.parquet --plot drift.svg",
    "birkhoff plot RUN/log.parquet --plot curves.png",
)

SCHEMA = ()


SUMMARY = (
    quantity("figure", "the file that was drawn"),
    quantity("rows", "rows of the table", range=AT_LEAST_0),
)


def run(
    table: Annotated[Path, "A table that birkhoff wrote, of a format that keeps metadata."],
    *,
    plot: Annotated[Path | None, "png, svg or pdf; the table's name with .png if not given"] = None,
) -> Result:
    """Draw it.

    Raises:
        BadInput: no table of birkhoff, or one that is damaged or changed.
        Unsupported: the command that wrote it draws nothing, or is not of this version.
    """
    if plot is not None:
        check_figure(plot)
    check_regular(table)
    target = plot or table.with_suffix(".png")
    files.check(target, (table,))
    if logs.holds_log(table):
        return _draw_log(table, target)
    if matrices.is_monitor_log(table):
        return _draw_monitored(table, target)
    rows, assumptions = tables.read(table)
    module = provenance.author(rows, table)
    if not hasattr(module, "draw"):
        name = provenance.facts(rows, table)["schema"]
        raise Unsupported(
            f"{where(table)}: '{name}' has no figure; give a table of another command"
        )
    with refusing(table):  # a painter trusts its table, and this one may come from anybody
        outputs.draw(rows, module, target, provenance.summary(rows, table))
    summary = {"figure": str(target), "rows": len(rows)}
    return at_once(SCHEMA, {}, summary, assumptions=assumptions)


def _draw_log(path: Path, target: Path) -> Result:
    """Draw a training log as `birkhoff curves` does."""
    curves = members.module_of("curves")
    result: Result = curves.run(logs.read_all([path]))
    outputs.draw(result.table, curves, target, result.summary)
    summary = {"figure": str(target), "rows": len(result.table)}
    return at_once(SCHEMA, {}, summary, assumptions=result.meta.get("assumptions", []))


def _draw_monitored(path: Path, target: Path) -> Result:
    """Draw the log of a monitor as `birkhoff degeneration` does."""
    degeneration = members.module_of("degeneration")
    result: Result = degeneration.run((matrices.read(path),))
    outputs.draw(result.table, degeneration, target, result.summary)
    summary = {"figure": str(target), "rows": len(result.table)}
    return at_once(SCHEMA, {}, summary, assumptions=result.meta["assumptions"])


def answer(summary: Summary) -> str:
    """What was drawn."""
    return f"{summary['figure']} shows {count(summary['rows'], 'row')}."
