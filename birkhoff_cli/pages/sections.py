"""One analysis on a page: it runs, its table and figure are written, and what it says is kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from birkhoff_cli import files, outputs, places, summaries
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.errors import BirkhoffError, CannotWrite, NoRoom, Unreadable
from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.result import Summary
from birkhoff_cli.analyses.core.table import Column
from birkhoff_cli.binding import bind
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.request import Request
from birkhoff_cli.text import escape, finite

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, FIGURE = ".parquet", ".svg"
"""What an analysis's files beside the page end in."""


@dataclass(frozen=True)
class File:
    """A file beside the page."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Section:
    """What an analysis says, or why it says nothing.

    Attributes:
        name: of the analysis.
        headline: its question.
        module: the analysis.
        refused: why there is nothing else; None if there is.
        error: of which kind that is.
        summary: its headline numbers.
        answer: its sentence.
        caption: what its figure shows beside that.
        figure: the file of the figure; None if it draws none.
        table: the file of the table.
        rows: the table itself.
        columns: of the table.
        assumptions: what it took for granted.
        inputs: files that it read: name, size and sha256.
    """

    name: str
    headline: str
    module: ModuleType
    refused: str | None = None
    error: type[BirkhoffError] = BirkhoffError
    summary: Summary = field(default_factory=dict)
    answer: str = ""
    caption: str = ""
    figure: File | None = None
    table: File | None = None
    rows: "pa.Table | None" = None
    columns: Sequence[Column] = ()
    assumptions: Sequence[str] = ()
    inputs: Sequence[dict[str, Any]] = ()

    @property
    def questions(self) -> list[Question]:
        """Those that it answers."""
        ask = vars(self.module).get("questions")
        return list(ask(self.summary)) if ask and self.refused is None else []


def run(name: str, module: ModuleType, request: Request, folder: Path) -> Section:
    """Run one analysis and write its files.

    Raises:
        CannotWrite: a file, for which the model cannot answer.
        NoRoom: for a library, which says nothing of the model.
        Unreadable: a file that is read, which does not either.
    """
    headline = discover.headline("birkhoff_cli.analyses", name)
    try:
        return _run(name, module, request, folder, headline)
    except (CannotWrite, NoRoom, Unreadable):
        raise
    except BirkhoffError as error:
        sentence = _without_folders(str(error), request)
        return Section(name, headline, module, refused=sentence, error=type(error))


def _without_folders(sentence: str, request: Request) -> str:
    """A sentence that names inputs as metadata do: a page does not tell where it was made."""
    for path in request.paths():
        if path.name:
            sentence = sentence.replace(escape(path), escape(places.word(path)))
    return sentence


def _run(name: str, module: ModuleType, request: Request, folder: Path, headline: str) -> Section:
    binding, own = bind(module, request.texts)
    table, picture = folder / f"{name}{TABLE}", folder / f"{name}{FIGURE}"
    invocation = Invocation(name, module, own, output=table, plot=picture, quiet=True)
    invocation.check()
    result = binding.prepare(own)()
    rows = outputs.write(result, invocation)
    summary = finite(dict(result.finish()))
    metas = [result.meta, *result.meta.get("series", {}).values()]
    return Section(
        name,
        headline,
        module,
        summary=summary,
        answer=summaries.answer(summary, module),
        caption=_shown(module, series="series" in result.meta),
        figure=_draw(rows, module, picture, summary) if hasattr(module, "draw") else None,
        table=File(table.name, table.read_bytes()),
        rows=rows,
        columns=result.schema,
        assumptions=list(dict.fromkeys(a for m in metas for a in m.get("assumptions", ()))),
        inputs=[file for m in metas for file in m.get("inputs", ())],
    )


def _draw(rows: Any, module: ModuleType, path: Path, summary: Summary) -> File:
    """The figure, drawn once: the page takes the bytes of the file."""
    from birkhoff_cli.analyses.core.figure import figure_of
    from birkhoff_cli.pages import figures

    content = figures.save(figure_of(rows, module, summary))
    with files.opened(path) as file:
        file.write(content)
    return File(path.name, content)


def _shown(module: ModuleType, *, series: bool) -> str:
    """What a figure shows, as the function that draws it says."""
    first = (getattr(vars(module).get("draw"), "__doc__", None) or "").partition("\n")[0]
    if not first:
        return ""
    if series:
        return f"Above, what changes over the steps; below, the first and the last: {first}"
    return f"Shown: {first}"
