"""The examples of an analysis, run small in a directory of stand-ins."""

import contextlib
import glob
import io
import json
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, get_args, get_type_hints

from birkhoff_cli import outputs, values
from birkhoff_cli.analyses.core import figure
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.stack import Stack
from birkhoff_cli.analyses.core.training_log import TrainingLog
from birkhoff_cli.binding import Binding
from birkhoff_cli.command import Subcommand
from birkhoff_cli.invocation import STAMP, Invocation
from birkhoff_cli.options import Text
from birkhoff_cli.request import Request
from birkhoff_cli.testing import stand_ins
from birkhoff_cli.testing.stand_ins import Sizes
from birkhoff_cli.text import finite, plain

if TYPE_CHECKING:
    import pyarrow as pa

SMALL: Mapping[str, str] = {
    **{"samples": "12", "layers": "3", "epochs": "4", "targets": "2", "examples": "6"},
    **{"directions": "8", "starts": "1", "max_steps": "4", "points": "4", "resolution": "20"},
    **{"sequences": "2", "length": "8"},
}
"""Options that make a run long, wherever they are, and small values of theirs."""


USUAL = Sizes()


@dataclass(frozen=True)
class Run:
    """What one call of an analysis gave.

    Attributes:
        arguments: what was typed after its name.
        table: every row, with the metadata of a file.
        summary: the headline numbers.
    """

    arguments: tuple[str, ...]
    table: "pa.Table"
    summary: Summary

    @property
    def line(self) -> str:
        """The call, as a message names it."""
        return shlex.join(self.arguments)

    @property
    def is_timed(self) -> bool:
        """Whether a column holds what a clock measured: its unit is one of time."""
        return bool(_timed(self.table))


@dataclass
class Analysis:
    """An analysis and its examples.

    Attributes:
        module: it has ``run``, SCHEMA, SUMMARY and EXAMPLES.
        name: its command.
        small: values of options of its own that make a run long.
    """

    module: ModuleType
    name: str
    small: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def examples(self) -> list[tuple[str, ...]]:
        """What stands after the name in every example, up to a pipe, with files for patterns."""
        return [tuple(_arguments(line)) for line in self.module.EXAMPLES]

    @cached_property
    def runs(self) -> list[Run]:
        """Every example, once."""
        return [self.run(arguments) for arguments in self.examples]

    @cached_property
    def _holding(self) -> stand_ins.Holding:
        """What files of its arguments hold, by their types."""
        hints = get_type_hints(self.module.run)
        classes = {part for hint in hints.values() for part in (hint, *get_args(hint))}
        if Stack in classes:
            return "arrays"
        return "logs" if TrainingLog in classes else "models"

    def run(
        self, arguments: Sequence[str], sizes: Sizes = USUAL, more: Mapping[str, Text] | None = None
    ) -> Run:
        """Run a call in a directory of its own.

        Args:
            arguments: after the name of the command.
            sizes: of the files that it names, which are written.
            more: texts of options in place of those that are typed.

        Raises:
            BirkhoffError: what the analysis refuses.
        """
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            binding, request = self._request(arguments, sizes, more or {})
            result = binding.prepare(request)()
            invocation = Invocation(
                self.name, self.module, request, output=Path("t.parquet"), plot=Path("t.png")
            )
            table = outputs.write(result, invocation)
            assert table is not None  # as a figure is wanted
            summary = json.loads(json.dumps(finite(dict(result.finish())), default=plain))
            return Run(tuple(arguments), table, summary)

    def options_of(self, arguments: Sequence[str]) -> set[str]:
        """Options that have an effect in a call."""
        command = Subcommand(self.name, self.module, arguments)
        context = command.make_context(self.name, [*arguments])
        return command.binding.used(command.request(context).on(command.binding.options))

    def _request(
        self, arguments: Sequence[str], sizes: Sizes, more: Mapping[str, Text]
    ) -> tuple[Binding, Request]:
        """The narrowed request of a small run, whose files are there."""
        command = Subcommand(self.name, self.module, arguments)
        context = command.make_context(self.name, [*arguments])
        own = command.request(context).on(command.binding.options)
        for path in own.paths():
            stand_ins.write(path, sizes, self._holding)
        used = command.binding.used(own)
        changes: dict[str, Text] = {
            name: text
            for name, text in {**SMALL, **self.small, **more}.items()
            if name in used and not values.many(own.options[name].annotation)
        }
        return command.binding, command.binding.narrow(own.typing(**changes))

    def draw(self, table: "pa.Table") -> bytes:
        """The figure of a table, as svg; nothing is moved to where it fits."""
        drawn, sink = figure.figure_of(table, self.module), io.BytesIO()
        drawn.set_layout_engine("none")  # it takes longer than all the rest
        figure.save(drawn, sink, "svg", STAMP[".svg"])
        return sink.getvalue()


def _arguments(line: str) -> Iterator[str]:
    """Words of an example after the command's name; a pattern as two names, ``-`` as its file."""
    arguments = shlex.split(line.partition("|")[0])
    source = arguments[arguments.index("<") + 1] if "<" in arguments else "matrices.npy"
    typed = arguments[2 : arguments.index("<")] if "<" in arguments else arguments[2:]
    for before, word in zip(["", *typed], typed, strict=False):
        if glob.has_magic(word):
            yield from (word.replace("*", f"{step:06}") for step in (1, 2))
        else:
            yield source if word == "-" and before != "-o" else word


def read_again(table: "pa.Table") -> "pa.Table":
    """The table as a file of it gives it back."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_file(sink.getvalue()).read_all()


def content(table: "pa.Table") -> bytes:
    """All bytes of a table and of its metadata."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _timed(table: "pa.Table") -> list[str]:
    units = {f.name: (f.metadata or {}).get(b"unit") for f in table.schema}
    return [name for name, unit in units.items() if unit in (b"s", b"1/s")]
