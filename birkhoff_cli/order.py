"""What was asked for on the command line, besides the numbers themselves."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from birkhoff_cli import files, tables
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.files import STDOUT
from birkhoff_cli.text import either

STAMP = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""Figure formats, and the one entry of each that would differ between two equal runs."""


@dataclass(frozen=True)
class Order:
    """A command, its options, and where its results go."""

    name: str
    module: ModuleType
    options: dict[str, Any]
    json: bool
    quiet: bool
    verbose: bool
    debug: bool
    output: Path | None = None
    format: str | None = None
    plot: Path | None = None

    @property
    def table_format(self) -> tables.TableFormat:
        """``--format``, else by the output's suffix, else the default of standard output."""
        if self.format or self.output is None or self.output == STDOUT:
            return tables.load(self.format or tables.DEFAULT)
        try:
            return tables.by_suffix(self.output)
        except UsageError as error:
            figure = self.output.suffix.lower() in STAMP
            raise UsageError(
                f"{error}, or say --format" + ("; a figure is --plot" if figure else "")
            ) from None

    def _paths(self) -> Iterator[Path]:
        """Every file that was named to be read."""
        for given in self.options.values():
            for word in given if isinstance(given, list) else [given]:
                if isinstance(word, Path):
                    yield word
        _, _, tokens = str(self.options.get("inputs", "")).partition("=")
        if tokens:
            yield Path(tokens)

    @property
    def words(self) -> list[str]:
        """The command line; of a sweep without what differs between its shards."""
        if not self.options.get("sweep"):
            return sys.argv[1:]
        own = ("--shard", "--engine", "-o", "--output", "--plot", "--json", "-q", "--quiet")
        words = iter(sys.argv[1:])
        kept = []
        for word in words:
            if word.partition("=")[0] not in own:
                kept.append(word)
            elif "=" not in word and word not in ("--json", "-q", "--quiet"):
                next(words, None)
        return kept

    def check(self) -> None:
        """Refuse what cannot end well before the work begins."""
        inputs = tuple(self._paths())
        if self.output is not None:
            if self.output == STDOUT and self.table_format.binary and _terminal(1):
                text = [f.name for f in tables.writable() if not f.binary]
                raise UsageError(
                    f"a terminal cannot show binary data; pipe it, or --format {either(text)}"
                )
            files.check(self.output, inputs)
        if self.plot is not None:
            check_figure(self.plot)
            files.check(self.plot, inputs)
        if self.json and self.output == STDOUT:
            raise UsageError("--json and -o - both want standard output; give -o a file name")


def check_figure(path: Path) -> None:
    """Refuse a name that is no figure's.

    Raises:
        UsageError: naming those that are.
    """
    if path.suffix.lower() not in STAMP:
        raise UsageError(f"{path}: a figure ends in {', '.join(STAMP)}")


def _terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
