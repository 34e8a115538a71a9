"""One page about a model: what it is, verdicts, every figure with its numbers.

The page is one HTML file that needs no network. Beside it, in report_files/ for report.html, lies
the table behind every figure as Parquet, to draw again or to go on with. What an analysis cannot
say about this model stands there in one line. Page and tables appear together.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any
from urllib.parse import quote

from birkhoff_cli import files, matrices, members, outputs, progress, provenance, summaries
from birkhoff_cli.analyses.core import discover, figure
from birkhoff_cli.analyses.core.errors import BadInput, BirkhoffError, CannotWrite, UsageError
from birkhoff_cli.analyses.core.quantities import quantity
from birkhoff_cli.analyses.core.result import Result, Summary
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.analyses.core.table import Columns
from birkhoff_cli.binding import bind
from birkhoff_cli.converters import converters_of
from birkhoff_cli.converters.drawn import Methods
from birkhoff_cli.converters.models import TokenRuns
from birkhoff_cli.converters.traces import NamedTrace, PathOrMethod, Series, Trace, inputs_of
from birkhoff_cli.invocation import Invocation
from birkhoff_cli.reading import read_series
from birkhoff_cli.request import Request
from birkhoff_cli.text import escape, finite, is_rows, word

EXAMPLES = (
    "birkhoff report ckpt.pt -o report.html",
    "birkhoff report ckpt.pt --inputs tokens=val.bin -o report.html",
    "birkhoff report out/ckpt_*.pt -o training.html",
)

SCHEMA = ()
SUMMARY = (
    quantity("report", "the page that was written"),
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

PIXELS = 96
"""Of an inch of a figure on the page."""


def run(
    request: Request,
    *,
    output: Annotated[Path, "The page; tables go to a directory beside it."] = Path("report.html"),
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
    read_series(request["path"], request)  # a bad option or file is no fault of any analysis
    wanted = dict(_analyses(request))
    page: dict[str, Any] = {"sections": []}
    return Result(
        schema=SCHEMA,
        steps=_steps(wanted, request, output, page),
        summarise=lambda: _summary(output, page),
        total=len(wanted) + 1,
    )


def _analyses(request: Request) -> Iterator[tuple[str, ModuleType]]:
    modules = dict(discover.usable("birkhoff_cli.analyses", members.module_of))
    tokens = inputs_of(request).inputs.kind == "tokens"
    for name in sorted(modules, key=lambda n: (FIRST.index(n) if n in FIRST else len(FIRST), n)):
        module = modules[name]
        if hasattr(module, "draw") and _fits(module, tokens):
            yield name, module


def _fits(module: ModuleType, tokens: bool) -> bool:
    """Whether an analysis looks at a model or a series, and needs nothing else."""
    first, *others = (type(converter) for converter in converters_of(module.run))
    if first is TokenRuns:
        return tokens
    return first in (Trace, Series, PathOrMethod) and not {NamedTrace, Methods} & {*others}


def _steps(
    wanted: Mapping[str, ModuleType], request: Request, output: Path, page: dict[str, Any]
) -> Iterator[Columns]:
    page["model"] = _model(request)
    yield {}
    with files.together() as every, every.file(output) as file:
        folder = every.folder(_folder(output))
        for name, module in wanted.items():
            progress.stage(name, part=True)
            page["sections"].append(_section(name, module, request, folder))
            yield {}
        if all("refused" in section for section in page["sections"]):
            raise BadInput(page["sections"][0]["refused"])
        page["title"] = ", ".join(escape(path.name) for path in request["path"][:3])
        page["version"] = provenance.program_version()
        page["orientation"] = provenance.ORIENTATION
        page["folder"] = quote(_folder(output).name)
        file.write(_html(page).encode())


def _folder(output: Path) -> Path:
    """Where the tables of a page are."""
    return output.with_name(f"{output.stem}{FILES}")


def _check_folder(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace what no report has written, or what is read.

    Raises:
        CannotWrite: it is no directory, holds anything else, or an input.
    """
    with files.writing(str(folder)):
        if not folder.exists():
            return
        if any(folder.resolve() in path.resolve().parents for path in inputs):
            raise CannotWrite(f"{folder}: holds the input as well; give the page another name")
        names = {p.name for p in folder.iterdir()} if folder.is_dir() else {folder.name}
    ours = {f"{name}{end}" for name in members.names() for end in (".parquet", ".png")}
    if foreign := sorted(names - ours):
        raise CannotWrite(
            f"{folder}: holds {escape(foreign[0])}, which no report wrote; "
            f"give the page another name, or move that away"
        )


def _model(request: Request) -> Mapping[str, Any]:
    """What ``inspect`` says of it; matrices alone say nothing."""
    if any(matrices.recognises(path) for path in request["path"]):
        return {}
    binding, own = bind(discover.member("birkhoff_cli.commands", "inspect"), request.texts)
    return binding.prepare(own)().summary


def _section(name: str, module: ModuleType, request: Request, folder: Path) -> dict[str, Any]:
    """One analysis: its figure, its numbers and its table, or why there is none."""
    section = {"name": name, "headline": discover.headline("birkhoff_cli.analyses", name)}
    try:
        binding, own = bind(module, request.texts)
        picture = folder / f"{name}.png"
        invocation = Invocation(
            name, module, own, output=folder / f"{name}.parquet", plot=picture, quiet=True
        )
        invocation.check()
        found = binding.prepare(own)()
        table = outputs.write(found, invocation)
        if table is not None:  # which it never is where a figure is wanted
            outputs.draw(table, module, picture, found.finish())
        return section | {
            "answer": summaries.answer(found.finish(), module),
            "summary": finite(dict(found.finish())),
            "figure": base64.b64encode(picture.read_bytes()).decode(),
            "width": round(PIXELS * getattr(module, "SIZE", figure.SIZE)[0]),
            "table": f"{name}.parquet",
            "rows": 0 if table is None else len(table),
            "columns": [(c.name, c.about, c.unit) for c in found.schema],
            "assumptions": found.meta.get("assumptions", ()),
        }
    except CannotWrite:  # nothing that the model could answer for
        raise
    except BirkhoffError as error:
        return section | {"refused": str(error)}


def _html(page: Mapping[str, Any]) -> str:
    from jinja2 import Environment

    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["word"] = word
    environment.tests["rows"] = is_rows
    return environment.from_string(template).render({**page, "verdicts": list(_verdicts(page))})


def _verdicts(page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What analyses conclude in one word."""
    for section in page["sections"]:
        if verdict := section.get("summary", {}).get("verdict"):
            yield section["name"], verdict


def _summary(output: Path, page: Mapping[str, Any]) -> dict[str, Any]:
    sections = page["sections"]
    return {
        "report": str(output),
        "analyses": [s["name"] for s in sections if "figure" in s],
        "refused": [
            {"analysis": s["name"], "why": s["refused"]} for s in sections if "refused" in s
        ],
        "verdicts": [{"analysis": name, "verdict": word} for name, word in _verdicts(page)],
    }


def answer(summary: Summary) -> str:
    """What stands on the page."""
    shown, refused = len(summary["analyses"]), len(summary["refused"])
    words = f"{shown} of {count(shown + refused, 'analysis')}".replace("analysiss", "analyses")
    return f"{summary['report']} shows {words}."
