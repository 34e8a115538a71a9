"""One page about a model, to hand on: answers, how it was made, sites, every figure and number.

It opens with what people ask of a model, each answer with its verdict and threshold. The page is
one HTML file that needs no network and nothing beside it: its figures, its numbers as JSON and its
small tables are in it. In report_files/, for report.html, lie all tables as Parquet, to draw again
or to go on with, and the figures as SVG. What an analysis cannot say about this model stands there
in one line. Page and files appear together.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from birkhoff_cli import files, matrices, members, progress, provenance, rooms
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.core.array_trace import AXES
from birkhoff_cli.analyses.core.errors import CannotWrite, Unreadable, UsageError
from birkhoff_cli.analyses.core.quantities import AT_LEAST_0, quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.analyses.core.trace import MixingTrace
from birkhoff_cli.binding import bind
from birkhoff_cli.converters import converters_of
from birkhoff_cli.pages import sections
from birkhoff_cli.pages.sections import FIGURE, TABLE, Section
from birkhoff_cli.reading import inputs_of, read_series
from birkhoff_cli.request import Request
from birkhoff_cli.text import escape, finite

if TYPE_CHECKING:
    from birkhoff_cli.pages.render import Page

EXAMPLES = (
    "birkhoff report ckpt.pt -o report.html",
    "birkhoff report ckpt.pt --inputs tokens=val.bin -o report.html",
    "birkhoff report out/ckpt_*.pt -o training.html",
)

SCHEMA = ()
SUMMARY = (
    quantity("report", "the page that was written"),
    quantity("bytes", "size of the page", unit="byte", range=AT_LEAST_0, good="small"),
    quantity(
        "questions",
        "what the page opens with",
        rows=(
            quantity("question", "as people ask it"),
            quantity("answer", "a sentence from the numbers"),
            quantity("verdict", "the answer in a word or two; null if not known"),
            quantity("good", "whether it is what is wanted; null if nothing is", detail=True),
            quantity("threshold", "what the verdict was found by; empty if by none", detail=True),
        ),
    ),
    quantity("analyses", "analyses with a figure on it"),
    quantity(
        "refused",
        "analyses that have nothing to say about this model",
        rows=(quantity("analysis", "its name"), quantity("why", "the sentence that it refuses in")),
    ),
    quantity(
        "verdicts",
        "what analyses conclude in one word",
        rows=(quantity("analysis", "its name"), quantity("verdict", "the word")),
    ),
)
FIRST = ("degeneration", "depth-drift", "similarity", "heatmap", "sinkhorn", "spectrum")
"""What people ask first; everything else follows in order of names."""

FILES = "_files"
"""What the name of the directory ends in, as browsers name the files of a page they save."""


def run(
    request: Request,
    *,
    output: Annotated[Path, "The page; files go to a directory beside it."] = Path("report.html"),
) -> Result:
    """Run every analysis that can say something about a model, and write the page.

    Raises:
        UsageError: the page's name does not end in .html.
        CannotWrite: the page or its directory cannot be written, or that holds other files.
        BadInput: the model cannot be read.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: a report ends in .html")
    files.check(output, tuple(request["path"]))
    _check_folder(_folder(output), request["path"])
    rooms.require("pyarrow", "matplotlib")
    traces = read_series(request["path"], request)  # a bad option or file is no analysis's fault
    request = _one_reading(request, traces)
    analyses = dict(_analyses(request))
    done: dict[str, Any] = {}
    return Result(
        schema=SCHEMA,
        steps=_steps(analyses, request, output, traces, done),
        summarise=lambda: _summary(output, done["page"], done["bytes"]),
        total=len(analyses) + 1,
    )


def _one_reading(request: Request, traces: Sequence[MixingTrace]) -> Request:
    """With what an array (n, d, d) is, the same to every analysis of the page."""
    axes = next((trace.meta[AXES] for trace in traces if AXES in trace.meta), None)
    return request if axes is None else request.typing(set=(f"{AXES}={axes}",))


def _analyses(request: Request) -> Iterator[tuple[str, ModuleType]]:
    modules = dict(discover.usable("birkhoff_cli.analyses", members.module_of))
    tokens = inputs_of(request).inputs.kind == "tokens"
    for name in sorted(modules, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n)):
        module = modules[name]
        if _speaks(module) and _fits(module, tokens):
            yield name, module


def _speaks(module: ModuleType) -> bool:
    """Whether an analysis has a figure, or an answer to a question of the page."""
    return hasattr(module, "draw") or hasattr(module, "questions")


def _fits(module: ModuleType, tokens: bool) -> bool:
    """Whether an analysis looks at a model or a series, and needs nothing else."""
    first, *others = converters_of(module.run)
    if first.page == "tokens":
        return tokens
    return first.page == "model" and not any(converter.is_another for converter in others)


def _steps(
    analyses: Mapping[str, ModuleType],
    request: Request,
    output: Path,
    traces: Sequence[MixingTrace],
    done: dict[str, Any],
) -> Iterator[Columns]:
    from birkhoff_cli.pages import render  # a command that only refuses starts sooner

    model = _model(request)
    yield {}
    with files.together() as every, every.file(output) as file:
        folder = every.folder(_folder(output))
        page_sections: list[Section] = []
        for name, module in analyses.items():
            progress.stage(name, part=True)
            page_sections.append(sections.run(name, module, request, folder))
            yield {}
        if all(section.refused is not None for section in page_sections):
            raise page_sections[0].error(str(page_sections[0].refused))
        _check_same(request, traces, page_sections)
        done["page"] = render.Page(
            title=_title(traces),
            facts=list(_facts(request)),
            sections=page_sections,
            model=model,
            file=f"{os.fsencode(output.stem).decode(errors='replace')}.json",
            folder=quote(os.fsencode(_folder(output).name)),
            steps=[t.step for t in traces if t.step is not None] if traces[1:] else [],
        )
        content = render.render(done["page"])
        done["bytes"] = len(content)
        file.write(content)


def _check_same(
    request: Request, traces: Sequence[MixingTrace], page_sections: Sequence[Section]
) -> None:
    """Hold that every analysis read the same files, each of which opens them anew.

    Raises:
        Unreadable: one was replaced meanwhile.
        BadInput: one that an analysis refused cannot be read any more.
    """
    first = {_fact(file) for trace in traces for file in trace.meta.get("inputs", ())}
    names = {name for name, _ in first}
    later = {_fact(file) for section in page_sections for file in section.inputs}
    if any(section.refused is not None for section in page_sections):
        again = read_series(request["path"], request)
        later |= {_fact(file) for trace in again for file in trace.meta.get("inputs", ())}
    for name, _ in sorted(later - first):
        if name in names:
            raise Unreadable(
                f"{name}: was changed while the report was made; "
                f"wait until it is complete and run again"
            )


def _fact(file: Mapping[str, Any]) -> tuple[str, str]:
    """Name and digest of an input."""
    return str(file["name"]), str(file["sha256"])


def _title(traces: Sequence[MixingTrace]) -> str:
    """The model's name; of a series the first and the last."""
    names = [escape(trace.name) for trace in traces]
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"


MAX_NAMES = 3
"""Names of files in the command that a page shows; the inputs have all of them."""


def _facts(request: Request) -> Iterator[tuple[str, str]]:
    """How the page was made."""
    arguments, paths = [*map(escape, request.arguments())], len(request["path"])
    if paths > MAX_NAMES:  # they are the first words
        arguments[MAX_NAMES:paths] = ["..."]
    yield "command", shlex.join(["birkhoff", "report", *arguments]).replace("'...'", "...")
    yield "version", f"birkhoff {provenance.program_version()}"
    yield "seed", str(request["seed"])
    yield "orientation", provenance.ORIENTATION


def _folder(output: Path) -> Path:
    """Where the files of a page are."""
    return output.with_name(f"{output.stem}{FILES}")


def _check_folder(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace what no report has written, or what is read.

    Raises:
        CannotWrite: it is no directory, holds anything else, or an input.
    """
    with files.writing(str(folder)):
        if not folder.exists():
            return
        # not resolve, which refuses a loop of links: an input that is one is no fault of the folder
        if any(folder.resolve() in Path(os.path.realpath(path)).parents for path in inputs):
            raise CannotWrite(f"{folder}: holds the input as well; give the page another name")
        entries = [*folder.iterdir()] if folder.is_dir() else [folder]
        plain = {path.name for path in entries if path.is_file() and not path.is_symlink()}
    ours = {f"{name}{end}" for name in members.names() for end in (TABLE, FIGURE, OLD_FIGURE)}
    if foreign := sorted({path.name for path in entries} - (plain & ours)):
        raise CannotWrite(
            f"{folder}: holds {escape(foreign[0])}, which no report wrote; "
            f"give the page another name, or move that away"
        )


OLD_FIGURE = ".png"
"""What figures of reports by versions up to 0.2 end in."""


def _model(request: Request) -> tuple[Mapping[str, Any], ModuleType] | None:
    """What ``inspect`` says of it; matrices alone say nothing."""
    if any(matrices.recognises(path) for path in request["path"]):
        return None
    module = discover.member("birkhoff_cli.commands", "inspect")
    binding, own = bind(module, request.texts)
    return finite(dict(binding.prepare(own)().summary)), module


def _summary(output: Path, page: "Page", size: int) -> dict[str, Any]:
    sections = page.sections
    return {
        "report": str(output),
        "bytes": size,
        "questions": [vars(question) for _, question in page.questions],
        "analyses": [s.name for s in sections if s.figure is not None],
        "refused": [
            {"analysis": s.name, "why": s.refused} for s in sections if s.refused is not None
        ],
        "verdicts": [{"analysis": name, "verdict": mark.word} for name, mark in page.verdicts],
    }


def answer(summary: Summary) -> str:
    """What stands on the page."""
    shown, refused = len(summary["analyses"]), len(summary["refused"])
    extent = f"{shown} of {count(shown + refused, 'analysis')}".replace("analysiss", "analyses")
    return f"{summary['report']} shows {extent}, in {round(summary['bytes'] / 1000):,} kB."
