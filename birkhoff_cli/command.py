"""One module with ``run`` becomes one subcommand: its options, its help, and what a call does."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.core import TyperCommand, TyperOption
from typer.exceptions import TyperException

from birkhoff_cli import deferred, files, methods, outputs, process, progress, read_errors
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.binding import Binding
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.options import Option, Text, dashes
from birkhoff_cli.parameters import PlainFlags
from birkhoff_cli.request import Request
from birkhoff_cli.variables import say_unknown


def table_formats() -> list[str]:
    """What ``--format`` takes."""
    from birkhoff_cli import tables  # of use to a few commands only, and a tenth of their start

    return [format.name for format in tables.writable()]


_output = partial(Option, group="Output", environment=False)
_sweep = partial(Option, group="Sweep", environment=False)

TABLE = (
    _output("output", Path | None, "the table; - is standard output"),
    _output("format", str | None, "else as -o ends", choices=table_formats),
)
ROWS = (_output("table", bool, "show the rows themselves", default=False),)
FIGURE = (_output("plot", Path | None, "the figure: png, svg or pdf"),)
COMMON = (
    _output("json", bool, "the summary as one JSON object", default=False),
    _output("quiet", bool, "no summary, no progress", default=False),
    _output("verbose", bool, "what each number means", default=False),
    _output("debug", bool, "where an error comes from", default=False),
)
SWEEP = (
    _sweep(
        "sweep",
        list[str] | None,
        "a run for each value, d=2,4,8; several: a grid",
        stands_for="OPTION=VALUES",
    ),
    _sweep("part", str | None, "part I of N of the work; then birkhoff merge", stands_for="I/N"),
    Option(
        "engine",
        str | None,
        "processes [every core for long work], or dask=ADDRESS",
        group="Sweep",
    ),
)


class Subcommand(PlainFlags, TyperCommand):
    """The command of a module that has ``run``."""

    def __init__(self, name: str, module: ModuleType, args: Sequence[str]) -> None:
        """Declare the options of ``run``, of the methods that are named, and of the output.

        Args:
            name: of the command.
            module: it has ``run``.
            args: what was typed after the name.
        """
        self.args = args
        self.binding = Binding(module, methods.named(methods.texts_in(args)))
        self.options = {**_output_options(module), **self.binding.options}
        if "sweep" in self.options:
            self.options["sweep"] = replace(self.options["sweep"], offers=self._axes)
        super().__init__(
            name,
            params=[option.parameter() for option in self._in_order()],
            context_settings={"help_option_names": ["-h", "--help"]},
            rich_markup_mode=None,
        )

    def get_help(self, ctx: Any) -> str:
        """The options that the words so far leave open."""
        from birkhoff_cli import help

        unused = self.binding.options.keys() - self._used(ctx)
        shown = [option for option in self._in_order() if option.name not in unused]
        return help.page(self.name or "", self.binding.module, shown, bool(unused))

    def _used(self, ctx: Any) -> set[str]:
        """Options that have an effect beside the words that are there; all, if these are wrong."""
        arguments = [word for word in self.args if word not in ctx.help_option_names]
        try:
            typed, _, _ = self.make_parser(ctx).parse_args(args=arguments)
            texts = {n: tuple(t) if isinstance(t, list) else t for n, t in typed.items() if t}
            return self.binding.used(Request(self.binding.options, texts, {}))
        except (UsageError, TyperException):
            return {*self.binding.options}

    def _axes(self) -> list[str]:
        """What ``--sweep`` can vary."""
        own = (o for o in self.binding.options.values() if not (o.positional or o.is_flag))
        return [f"{dashes(option.name).removeprefix('--')}=" for option in own]

    def _in_order(self) -> list[Option]:
        """The options of ``run`` first."""
        own = [self.options[name] for name in self.binding.options]
        return [*own, *(o for n, o in self.options.items() if n not in self.binding.options)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that is there twice, and options of methods that are not named.

        Raises:
            UsageError: as above.
        """
        try:
            typed, left, order = self.make_parser(ctx).parse_args(args=[*args])
        except TyperException as error:
            self._explain(str(getattr(error, "option_name", "")), args)
            raise
        if not (ctx.resilient_parsing or {*args} & {*ctx.help_option_names}):
            self._check_words(typed, left)
        for option in {} if ctx.resilient_parsing else {id(o): o for o in order}.values():
            single = isinstance(option, TyperOption) and not (option.multiple or option.is_flag)
            if single and sum(o is option for o in order) > 1:
                raise UsageError(
                    f"{option.opts[-1]} is there twice and takes one value; say it once"
                )
        return super().parse_args(ctx, args)

    def _check_words(self, typed: Mapping[str, Any], left: Sequence[str]) -> None:
        """Refuse words that nothing takes, and arguments that are not there.

        Raises:
            UsageError: as above, with the way out.
        """
        name = self.name or ""
        required = (option for option in self.options.values() if option.required)
        absent = [o for o in required if typed.get(o.name) in (None, (), [])]
        absent = [option for option in absent if option.variable not in os.environ]
        if not left and not absent:
            return
        from birkhoff_cli import mistakes  # what is right needs no sentence

        if left:
            raise UsageError(mistakes.stray_word(name, str(left[0]), self.options))
        raise UsageError(mistakes.missing_argument(name, absent[0]))

    def _explain(self, label: str, args: Sequence[str]) -> None:
        """The sentence for an option that only other methods have."""
        from birkhoff_cli import mistakes

        name = label.removeprefix("--").replace("-", "_")
        if not label or name in self.options:
            return
        for text in methods.texts_in(args) if "method" in self.options else ():
            methods.parse(text)
        owners = methods.owners(name) if "method" in self.options else []
        if owners:
            sentence = f"{dashes(name)} is an option of {', '.join(owners)}; say --method too"
            if self.binding.methods:
                sentence = methods.has_no(self.binding.methods[0], name)
            close = mistakes.nearest(name, self.binding.options)
            raise UsageError(f"{sentence}; did you mean {close}?" if close else sentence)
        raise UsageError(mistakes.unknown_option(self.name or "", label, self.options, args))

    def invoke(self, ctx: Any) -> None:
        """Run, and write what was asked for."""
        process.keep_freed_memory()
        request = self.request(ctx)
        own = request.on(self.binding.options)
        with read_errors.reading(own.paths):
            self._dispatch(request, own)
        if not request.get("quiet"):  # a refusal is one line
            say_unknown(self.options)

    def _dispatch(self, request: Request, own: Request) -> None:
        """Run a sweep, a part or the whole command."""
        grid = request.on({option.name: option for option in SWEEP if option.name in self.options})
        rest = self.options.keys() - self.binding.options.keys() - grid.options.keys() - {"debug"}
        outcome = {name: request[name] for name in rest}
        if "output" in outcome:
            outcome["output"] = files.named(outcome["output"])
        outcome.setdefault("table", self._shows_rows(own, outcome))
        if grid.get("sweep"):
            from birkhoff_cli import sweeps

            progress.stage("reading")
            sweep = sweeps.plan(self.name or "", own, grid, outcome.get("output"))
            fixed = sweep.fixed(self.binding, grid)
            invocation = Invocation(sweep.command, self.binding.module, fixed, **outcome)
            outputs.deliver(invocation, lambda: sweeps.run(sweep, self.binding, grid["engine"]))
            return
        if text := grid.get("part"):
            self._deliver_part(own, outcome, grid, text)
            return
        with deferred.deferring():
            self._deliver(own, outcome, grid)

    def _deliver(self, own: Request, outcome: Mapping[str, Any], grid: Request) -> None:
        """Run the whole command."""
        with self._started_early(own, grid):
            narrowed, run, invocation = self._prepared(own, outcome)
            outputs.deliver(invocation, lambda: self._spread(run(), narrowed, invocation, grid))

    def _started_early(self, own: Request, grid: Request) -> AbstractContextManager[None]:
        """Where the processes that were asked for start while the inputs are read."""
        if grid.get("engine") is None or "path" not in own.typed:
            return nullcontext()
        from birkhoff_cli import engines

        return engines.started_early(grid.get("engine"), self.name or "")

    def _deliver_part(
        self, own: Request, outcome: Mapping[str, Any], grid: Request, text: str
    ) -> None:
        """Run a part of the command."""
        from birkhoff_cli import grids, parts

        _, run, invocation = self._prepared(own, outcome)
        typed = grid["engine"] if "engine" in grid.typed else None
        parts.deliver(run, invocation, grids.read_part(text), typed)

    def _prepared(
        self, own: Request, outcome: Mapping[str, Any]
    ) -> tuple[Request, Callable[[], Result], Invocation]:
        """The narrowed request, what runs it, and the call as it is written and shown."""
        progress.stage("reading")
        narrowed = self.binding.narrow(own)
        run = self.binding.prepare(narrowed)
        shorter = progress.way_out(narrowed.get, self.binding.used(narrowed))
        invocation = Invocation(
            self.name or "", self.binding.module, narrowed, shorter=shorter, **outcome
        )
        return narrowed, run, invocation

    def _spread(
        self, result: Result, request: Request, invocation: Invocation, grid: Request
    ) -> Result:
        """The result, its blocks gone over by the engine that was asked for, or every core."""
        name, engine = self.name or "", grid.get("engine")
        if engine == "1":  # this process goes over all blocks anyway
            return result
        rows = bool(invocation.output or invocation.plot or invocation.table)
        if engine is not None:
            from birkhoff_cli import folding

            folding.spread(result, name, request, engine, rows, "engine" in grid.typed)
        elif result.fold is not None and result.total > 1:
            from birkhoff_cli import pilot

            def share(*left: Any) -> pilot.Walk:  # few commands take so long
                from birkhoff_cli import folding

                return folding.sharer(result, name, request, rows)(*left)

            def workers() -> int:
                from birkhoff_cli import folding

                return 1 if pace.is_writing else folding.processes(result, request)

            pace = pilot.Pace(result.total)
            result.workers = workers
            result.walk = lambda fold, source: pilot.walk(fold, source, share, pace)
        return result

    def _shows_rows(self, own: Request, outcome: Mapping[str, Any]) -> bool:
        """Whether a command's own ``--table`` asks for rows where nothing else wants the output."""
        is_typed = "table" in own.typed and not self.options["table"].positional
        return is_typed and not outcome.get("output") and not outcome.get("json")

    def request(self, ctx: Any) -> Request:
        """The options with the origin of each."""
        texts: dict[str, dict[str, Text]] = {"COMMANDLINE": {}, "ENVIRONMENT": {}}
        for name in self.options:
            value, source = ctx.params[name], ctx.get_parameter_source(name)
            if value not in (None, (), False) and source.name in texts:
                texts[source.name][name] = value
        return Request(self.options, texts["COMMANDLINE"], texts["ENVIRONMENT"])


def _output_options(module: ModuleType) -> dict[str, Option]:
    """Those that make sense: of a table where there is one, of a figure where one is drawn."""
    options = (
        *(TABLE if module.SCHEMA else ()),
        *(ROWS if module.SCHEMA else ()),
        *(FIGURE if hasattr(module, "draw") else ()),
        *COMMON,
        *(SWEEP if module.SCHEMA else ()),
    )
    return {option.name: option for option in options}
