"""One module with ``run`` becomes one subcommand: options, output, and a grid of runs."""

import inspect
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo

from birkhoff_cli import outputs, sweeps, tables
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.files import STDOUT
from birkhoff_cli.order import Order
from birkhoff_cli.signature import prepared, result, signed


def _one_of(words: Iterable[str]) -> Any:
    """The type of an option that is one of these, or not given."""
    return Literal[tuple(words)] | None


COMMON: dict[str, Any] = {
    "output": Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the table here; - is standard output."),
    ],
    "format": Annotated[
        _one_of(f.name for f in tables.writable()),
        typer.Option(help="Format of the table; the suffix decides if not given."),
    ],
    "plot": Annotated[Path | None, typer.Option(help="Draw here: png, svg or pdf.")],
    "json": Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")],
    "quiet": Annotated[bool, typer.Option("-q", "--quiet", help="No summary, no progress.")],
    "verbose": Annotated[
        bool, typer.Option("-v", "--verbose", help="Print what each number means.")
    ],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}

GRID: dict[str, Any] = {
    "sweep": Annotated[
        list[str] | None,
        typer.Option(
            help="Run for every value of an option, d=2,4,8; several make a grid.",
            show_default=False,
            rich_help_panel="Sweep",
        ),
    ],
    "shard": Annotated[
        str | None,
        typer.Option(
            help="Part i of N of the grid, 2/8, for a job array; then birkhoff merge.",
            rich_help_panel="Sweep",
        ),
    ],
    "engine": Annotated[
        str | None,
        typer.Option(
            help="Processes for the cells, or dask=ADDRESS; one per processor if not given.",
            rich_help_panel="Sweep",
        ),
    ],
}


def command(name: str, module: ModuleType) -> Any:
    """The Typer command of a module that has ``run``."""
    options, readers = signed(module)
    useless = {"plot"} if not hasattr(module, "draw") else set()
    useless |= {"output", "format"} if not module.SCHEMA else set()
    useless |= set(GRID) if not module.SCHEMA else set()
    common = {k: v for k, v in (COMMON | GRID).items() if k not in useless | set(options)}

    def call(**words: Any) -> None:
        given = {k: v for k, v in words.items() if k not in common}
        grid = {k: words.get(k) for k in GRID}
        _check(grid)
        run = None if grid["sweep"] else prepared(module, readers, given)
        said = {k: v for k, v in (given | {"sweep": grid["sweep"]}).items() if v is not None}
        order = Order(name, module, said, **{k: words[k] for k in common if k not in GRID})
        outputs.fulfil(order, run or _swept(order, given, grid, options))

    call.__signature__ = _signature(options | common)  # type: ignore[attr-defined]
    call.__doc__ = _help(module)
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    single.command(name, epilog=_epilog(module))(call)
    built = typer.main.get_command(single)
    built.context_settings["help_option_names"] = ["-h", "--help"]
    return built


def _check(grid: dict[str, Any]) -> None:
    idle = [k for k in ("shard", "engine") if grid[k] and not grid["sweep"]]
    if idle:
        raise UsageError(f"--{idle[0]} is for a sweep; say --sweep option=value,value too")


def _swept(
    order: Order, words: dict[str, Any], grid: dict[str, Any], options: dict[str, Any]
) -> Callable[[], Result]:
    """The run of every cell of a grid."""
    if order.output is None or order.output == STDOUT:
        raise UsageError("a sweep keeps its cells beside its table; give -o and a file name")
    kinds = {name: _base(option) for name, option in options.items() if name != "path"}
    sweep = sweeps.Sweep(
        order.name,
        words,
        sweeps.axes(grid["sweep"], kinds),
        sweeps.shard(grid["shard"]),
        order.output.resolve().with_name(f"{order.output.name}.cells"),
    )
    engine = grid["engine"]
    return lambda: sweeps.run(sweep, lambda cell: result(order.module, words | cell), engine)


def _base(option: Any) -> Any:
    """The type of an option's values: int, float, list, or str for all else."""
    kind = get_args(option.annotation if isinstance(option, inspect.Parameter) else option)[0]
    kinds = [k for k in (kind, *get_args(kind)) if k in (int, float)]
    if any(get_origin(k) is list for k in (kind, *get_args(kind))):
        return list
    return kinds[0] if kinds else str


def _signature(options: dict[str, Any]) -> inspect.Signature:
    """Arguments and options as a signature Typer can read."""
    parameters = []
    for name, option in options.items():
        if isinstance(option, inspect.Parameter):
            parameters.append(option)
            continue
        kind = get_args(option)[0]
        default = False if kind is bool else None
        argument = isinstance(get_args(option)[1], ArgumentInfo)
        required = argument and types.NoneType not in get_args(kind)
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=option,
                default=inspect.Parameter.empty if required else default,
            )
        )
    return inspect.Signature(parameters)


def _help(module: ModuleType) -> str:
    """The module's docstring, one line to a paragraph: the terminal's width breaks them."""
    paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs).replace("[", "\\[")


def _epilog(module: ModuleType) -> str | None:
    examples = getattr(module, "EXAMPLES", ())
    return (
        "\n\n".join(["Examples:", *(e.replace("[", "\\[") for e in examples)]) if examples else None
    )
