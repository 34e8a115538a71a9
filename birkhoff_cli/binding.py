"""From a request to a run: options that have an effect, arguments, one run or one for each path."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from birkhoff_cli.analyses.core.analysis import of_prepared
from birkhoff_cli.analyses.core.errors import Unsupported, UsageError
from birkhoff_cli.analyses.core.result import Result
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.converters import Converter, converters_of
from birkhoff_cli.methods import Method, named
from birkhoff_cli.options import Option, Text
from birkhoff_cli.request import Request


@dataclass(frozen=True)
class Binding:
    """The parameters of a command's ``run`` and the options that they are read from.

    Attributes:
        module: the command.
        methods: those that the command line names, whose options it has.
        ready: arguments that a caller in Python hands over itself, by name.
    """

    module: ModuleType
    methods: Sequence[Method] = ()
    ready: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def converters(self) -> list[Converter]:
        """One for every parameter, in order."""
        return converters_of(self.module.run, self.methods, self.ready)

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """Every option. A plain parameter of ``run`` hides an option of the same name."""
        every: dict[str, Option] = {}
        for converter in self.converters:
            every |= converter.options()
        return every | self._own

    @property
    def _run(self) -> Callable[..., Result]:
        """What runs: its arguments are as it takes them once they have been read."""
        return of_prepared(self.module.run)

    @cached_property
    def _own(self) -> dict[str, Option]:
        """Options of plain parameters."""
        plain = (c.options() for c in self.converters if c.is_plain)
        return {name: option for options in plain for name, option in options.items()}

    def _owned(self, converter: Converter) -> dict[str, Option]:
        """The options that a converter reads."""
        options = converter.options()
        if converter.is_plain:
            return {**options}
        return {n: self.options[n] for n in options if n not in self._own}

    def narrow(self, request: Request) -> Request:
        """The request with every path of a series, without defaults that have no effect in it.

        Raises:
            UsageError: an option that was typed has no effect.
            BadInput: one place as two users.
        """
        texts = request.texts.values()
        values = [v for t in texts for v in (t if isinstance(t, tuple) else [t]) if type(v) is str]
        if any("://" in value for value in values):
            from birkhoff_cli import places  # where nothing is far a command starts sooner

            places.refuse_conflicts(values)
        paths = request.get("path")
        if paths and not any(c.names_models for c in self.converters):
            from birkhoff_cli import series  # where nothing is read a command starts sooner

            request = request.typing(path=tuple(map(str, series.expand(paths))))
        used = self.used(request)
        for name in self.options:
            if name in request.typed and name not in used:
                owner = next(c for c in self.converters if name in self._owned(c))
                raise UsageError(owner.refusal(name, request))
        return request.only(used)

    def used(self, request: Request) -> set[str]:
        """The options that have an effect in a request."""
        return {n for c in self.converters for n in c.used(request) if n in self._owned(c)}

    def arguments(self, request: Request) -> dict[str, Any]:
        """The arguments of ``run``, of a request that was narrowed."""
        built: dict[str, Any] = {}
        for converter in sorted(self.converters, key=lambda c: c.needs_d):
            traces = (a for a in built.values() if isinstance(a, MixingTrace))
            d = next((trace.d for trace in traces), None) if converter.needs_d else None
            view = request.on(self._owned(converter))
            built[converter.parameter.name] = converter.read(view, d)
        return built

    def prepare(self, request: Request) -> Callable[[], Result]:
        """Read what a narrowed request names; once for every path, if ``run`` takes only one.

        Raises:
            BirkhoffError: something that is named cannot be read.
        """
        paths = request.get("path") or ()
        if len(paths) < 2:
            return partial(self._run, **self.arguments(request))
        from birkhoff_cli import series

        try:
            return self._prepare_series(request, paths)
        except Unsupported:
            series.check_steps(paths)
            raise

    def _prepare_series(self, request: Request, paths: Sequence[Any]) -> Callable[[], Result]:
        if any(c.takes_series for c in self.converters):
            return partial(self._run, **self.arguments(request))
        from birkhoff_cli import series

        each = [self.arguments(request.typing(path=(str(path),))) for path in paths]
        name = next(n for n, value in each[0].items() if hasattr(value, "step"))
        models = self._join_parts(request, [arguments[name] for arguments in each], paths)
        arguments_at = dict(zip(map(Path, paths), each, strict=True))
        arguments_of = {id(m): arguments_at[path] | {name: m} for path, m in models}
        ordered = series.order_by_step([m for _, m in models], [path for path, _ in models])
        runs = [(step, arguments_of[id(model)]) for step, model in ordered]
        if len(models) == 1 < len(paths):  # one trace, and no series of one step
            return partial(self._run, **runs[0][1])
        notes = series.copies([m for _, m in models], [path for path, _ in models])
        sentences = [*notes.values()]
        return lambda: series.stack([(step, self._run(**own)) for step, own in runs], sentences)

    @staticmethod
    def _join_parts(
        request: Request, models: Sequence[Any], paths: Sequence[Any]
    ) -> list[tuple[Any, Any]]:
        """Models with their paths; recorded matrices of one step are parts of one trace."""
        from birkhoff_cli.reading import holds_matrices
        from birkhoff_cli.trace_parts import join_parts

        parts = [
            isinstance(m, MixingTrace) and "set" in request and holds_matrices(p, request)
            for m, p in zip(models, paths, strict=True)
        ]
        return join_parts(models, paths, parts)


def bind(module: ModuleType, texts: Mapping[str, Text]) -> tuple[Binding, Request]:
    """A command and its narrowed request, of the texts of its options alone.

    Texts of options that it does not have are left out; the environment has no say.

    Raises:
        UsageError: an option that has no effect.
    """
    text = texts.get("method", ())
    binding = Binding(module, named(text if isinstance(text, tuple) else [str(text)]))
    typed = {name: value for name, value in texts.items() if name in binding.options}
    return binding, binding.narrow(Request(binding.options, typed, {}))
