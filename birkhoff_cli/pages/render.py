"""From what analyses say to one HTML file that stands alone."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from birkhoff_cli.analyses.core.lettering import label
from birkhoff_cli.analyses.core.quantities import by_name
from birkhoff_cli.analyses.core.questions import Question
from birkhoff_cli.analyses.core.sentences import count
from birkhoff_cli.pages import figures, numbers, sites
from birkhoff_cli.pages.glossary import Glossary
from birkhoff_cli.pages.sections import Section
from birkhoff_cli.summaries import declared
from birkhoff_cli.text import plain, word

MAX_TABLE_BYTES = 48_000
"""A larger table stands beside the page and not in it."""

PARQUET = "application/vnd.apache.parquet"
SIGNS = {
    True: ("good", "✓", "as wanted"),
    False: ("bad", "✗", "look at this"),
    None: ("note", "○", "for information"),
}
"""Of a verdict: the class of its element, a character, and what that says."""


@dataclass(frozen=True)
class Mark:
    """A verdict and how it is marked: by a sign and a word, and by colour only beside them."""

    word: str
    good: bool | None

    @property
    def sign(self) -> tuple[str, str, str]:
        """As in `SIGNS`."""
        return SIGNS[self.good]


@dataclass(frozen=True)
class Page:
    """All that stands on a page.

    Attributes:
        title: the model's name.
        facts: pairs of a heading and a text: how the page was made.
        sections: of every analysis.
        model: what ``inspect`` says, and its module; None of matrices alone.
        file: name of the page's numbers as a file.
        folder: of the files beside the page, as a link names it.
        steps: training steps of a series, first to last.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    model: tuple[Mapping[str, Any], ModuleType] | None
    file: str
    folder: str
    steps: Sequence[int]

    @cached_property
    def questions(self) -> list[tuple[str, Question]]:
        """Every question that is answered, with the section that has more of it."""
        of_model: list[tuple[str, Question]] = []
        if self.model is not None:
            summary, module = self.model
            of_model = [("model", q) for q in vars(module)["questions"](summary)]
        pairs = [(s.name, q) for s in self.sections for q in s.questions]
        # sections with a figure come first: what the model is stands before those without
        first = [pair for pair in pairs if self._drawn(pair[0])]
        return [*first, *of_model, *(pair for pair in pairs if not self._drawn(pair[0]))]

    def _drawn(self, name: str) -> bool:
        return any(s.name == name and s.figure is not None for s in self.sections)

    @property
    def assumptions(self) -> list[str]:
        """What any analysis took for granted."""
        return list(dict.fromkeys(a for s in self.sections for a in s.assumptions))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Every file that was read."""
        every = (file for s in self.sections for file in s.inputs)
        return list({(file.get("name"), file.get("sha256")): file for file in every}.values())

    @property
    def verdicts(self) -> Iterator[tuple[str, Mark]]:
        """What analyses conclude in one word."""
        for section in self.sections:
            if mark := verdict(section):
                yield section.name, mark


def verdict(section: Section) -> Mark | None:
    """The verdict of an analysis; None if it has none."""
    word = section.summary.get("verdict")
    if section.refused is not None or not word:
        return None
    good = by_name(declared(section.module))["verdict"].good
    return Mark(word, word == good if good else None)


def render(page: Page) -> bytes:
    """The page as HTML in UTF-8; it says its own size."""
    here = Path(__file__).parent
    style, script = (here.joinpath(f"report.{end}").read_text("utf-8") for end in ("css", "js"))
    glossary = Glossary()
    environment = _environment()
    shown = [_shown(section, k, glossary) for k, section in enumerate(page.sections)]
    data = _data(page)
    parts = {
        "figures": sum(len(s["figure"]) for s in shown if s["figure"]),
        "tables": sum(len(s["embedded"]) for s in shown if s["embedded"]),
        "numbers": len(data.encode()),
    }
    text = environment.from_string(here.joinpath("report.html").read_text("utf-8")).render(
        page=page,
        policy=_policy(style, script),
        style=style,
        script=script,
        sections=shown,
        sites=_sites(page, glossary),
        model=page.model and numbers.arrange(*page.model, glossary),
        data=data,
        parts={name: _size(size) for name, size in parts.items()},
        glossary=glossary,
        size=SIZE,
    )
    return _with_size(text)


def _environment() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"word": word, "size": _size, "label": label, "count": _rows}
    environment.globals |= {"mark": _mark}
    return environment


def _rows(number: int) -> str:
    return count(number, "row")


def _mark(question: Question) -> Mark:
    return Mark(question.verdict or "not known", question.good)


def _shown(section: Section, number: int, glossary: Glossary) -> dict[str, Any]:
    """A section as the template takes it."""
    if section.refused is not None:
        return {"section": section, "figure": "", "embedded": ""}
    facts = {"role": "img", "aria-labelledby": f"c{number}"}
    figure = section.figure and figures.inline(section.figure.content, f"f{number}-", facts)
    return {
        "section": section,
        "number": number,
        "verdict": verdict(section),
        "numbers": numbers.arrange(section.summary, section.module, glossary),
        "figure": figure or "",
        "embedded": _embedded(section),
    }


def _embedded(section: Section) -> str:
    """The table as a link that holds it, if it is small."""
    if section.table is None or len(section.table.content) > MAX_TABLE_BYTES:
        return ""
    return f"data:{PARQUET};base64,{base64.b64encode(section.table.content).decode()}"


def _sites(page: Page, glossary: Glossary) -> sites.Sites | None:
    parts = [
        (s.module, s.summary, s.rows)
        for s in sorted(page.sections, key=lambda s: s.figure is not None)
        if s.rows is not None and "SITE_COLUMNS" in vars(s.module)
    ]
    return sites.collect(parts, glossary)


def _data(page: Page) -> str:
    """Every headline number as JSON that no end of a script is found in."""
    facts = {
        "title": page.title,
        "made": dict(page.facts),
        "questions": [vars(q) for _, q in page.questions],
        "model": page.model[0] if page.model else None,
        "analyses": {s.name: s.summary for s in page.sections if s.refused is None},
        "tables": {
            s.name: {"file": s.table.name, "bytes": len(s.table.content), "sha256": s.table.sha256}
            for s in page.sections
            if s.table
        },
    }
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"), default=plain)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    """Nothing is fetched, and nothing acts but our own style and script."""
    hashes = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    )
    own, acting = (f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; style-src {own}; script-src {acting}; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )


SIZE = "\0"
"""Stands for the page's size until that is known; no text of a page holds it."""


def _with_size(text: str) -> bytes:
    content, length = text.encode(), 0
    while length != (length := len(content) - len(SIZE) + len(_size(length))):
        pass
    return content.replace(SIZE.encode(), _size(length).encode())


def _size(count: int) -> str:
    return f"{max(1, round(count / 1000)):,} kB"
