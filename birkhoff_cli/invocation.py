"""One call of a command: its request, and where its results go."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli import files, rooms
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.files import STDOUT
from birkhoff_cli.request import Request
from birkhoff_cli.text import either

if TYPE_CHECKING:
    from birkhoff_cli.tables._format import TableFormat

STAMP = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""Figure formats, and the one entry of each that would differ between two equal runs."""


@dataclass(frozen=True)
class Invocation:
    """A command, what was asked of it, and where its results go.

    Attributes:
        name: of the command.
        module: its file.
        request: its options; of a sweep those that do not vary.
        output: file of the table, or standard output.
        format: of the table, if not as the file's name says.
        plot: file of the figure.
        table: the rows are shown.
        json: the summary is one JSON object.
        quiet: no summary, no progress.
        verbose: every number is explained.
        shorter: what makes the run shorter, for work that takes minutes.
        facts: what else the table says of itself.
    """

    name: str
    module: ModuleType
    request: Request
    output: Path | None = None
    format: str | None = None
    plot: Path | None = None
    table: bool = False
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    shorter: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_looked_at(self) -> bool:
        """Whether the summary is for a person at a terminal, and nothing else is asked for."""
        requested = self.output or self.plot or self.table or self.json or self.quiet
        return not requested and _terminal(1)

    @property
    def table_format(self) -> "TableFormat":
        """``--format``, else by the output's suffix, else the default of standard output.

        It may be one that holds arrays and no table.
        """
        from birkhoff_cli import tables  # a command that writes no table starts sooner without

        if self.format or self.output is None or self.output == STDOUT:
            return tables.load(self.format or tables.DEFAULT)
        try:
            return tables.by_suffix(self.output, arrays=True)
        except UsageError as error:
            figure = self.output.suffix.lower() in STAMP
            raise UsageError(
                f"{error}, or say --format" + ("; a figure is --plot" if figure else "")
            ) from None

    def check(self) -> None:
        """Refuse what cannot end well before the work begins."""
        inputs = tuple(self.request.paths())
        if self.output is not None:
            files.check(self.output, inputs)
            self._check_table(self.output)
        elif self.format is not None:
            raise UsageError("--format is of a table that is written; say -o too, or leave it out")
        if self.plot is not None:
            check_figure(self.plot)
            files.check(self.plot, inputs)
            if self.output is not None and files.are_one(self.output, self.plot):
                raise UsageError(f"{self.plot}: is the table of -o too; give the figure a name")
        elif self.output is not None:
            rooms.require("pyarrow")
        if self.json and self.output == STDOUT:
            raise UsageError("--json and -o - both want standard output; give -o a file name")
        if self.table and (self.json or self.output == STDOUT):
            other = "--json" if self.json else "-o -"
            raise UsageError(f"--table and {other} both want standard output; leave one out")

    def _check_table(self, output: Path) -> None:
        """Hold that the format is known, and that a terminal gets text."""
        if self.table_format.binary and output == STDOUT and _terminal(1):
            from birkhoff_cli import tables

            text = [f.name for f in tables.writable() if not f.binary]
            raise UsageError(
                f"a terminal cannot show binary data; pipe it, or --format {either(text)}"
            )


def check_figure(path: Path) -> None:
    """Refuse a name that is no figure's, and a figure that could not be drawn.

    Raises:
        UsageError: naming those that are.
        TooLarge: there is no room for what draws it, which is found out after the work otherwise.
    """
    if path.suffix.lower() not in STAMP:
        raise UsageError(f"{path}: a figure ends in {', '.join(STAMP)}")
    rooms.require("pyarrow", "matplotlib")


def _terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
