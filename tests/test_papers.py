"""docs/papers.md: a row for every item of the three papers, with a command or why there is none.

That the commands run is held with those of all documents, in test_docs.py.
"""

import re

import pytest

from conftest import ROOT

PAGE = ROOT / "docs/papers.md"
COUNTS = {
    "go-mHC": {
        "figure": [*map(str, range(1, 10)), *(f"A{k}" for k in range(1, 22))],
        "table": [*map(str, range(1, 10))],
        "equation": [*map(str, range(1, 42))],
        "proposition": ["B.1", "B.3"],
        "lemma": ["B.2"],
        "algorithm": ["1"],
    },
    "sHC": {
        "figure": [*map(str, range(1, 12))],
        "table": [*map(str, range(1, 5))],
        "equation": [*map(str, range(1, 35))],
        "proposition": ["1"],
    },
    "BE-HC": {
        "figure": [*map(str, range(1, 7))],
        "table": [*map(str, range(1, 6))],
        "equation": [*map(str, range(1, 7))],
        "theorem": ["2.1"],
        "definition": ["2.2"],
        "proposition": ["2.3", "2.4", "2.5"],
        "algorithm": ["1"],
    },
}
"""What the papers number, counted in them."""

KIND = re.compile(r"(figure|table|equation|proposition|lemma|theorem|definition|algorithm)s?\s")
LABEL = re.compile(r"\b(A?\d+(?:\.\d+)?|B\.\d+)(?: to (A?\d+))?")


def rows(paper):
    """Cells of every row of a paper's table."""
    text = PAGE.read_text(encoding="utf-8")
    section = next(s for s in text.split("\n## ") if s.startswith(paper))
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def items(cell):
    """Kind and label of everything that a first cell names."""
    for part in cell.split(";"):
        if not (kind := KIND.match(part.strip() + " ")):
            continue
        for first, last in LABEL.findall(part):
            letter = first[:1] if first[:1] == "A" else ""
            ends = int(first.strip("A")) if last else 0, int(last.strip("A")) if last else 0
            yield from (
                [(kind[1], f"{letter}{k}") for k in range(ends[0], ends[1] + 1)]
                if last
                else [(kind[1], first)]
            )


@pytest.mark.parametrize("paper", COUNTS)
def test_every_numbered_item_has_a_row(paper):
    found = [item for row in rows(paper) for item in items(row[0])]
    expected = [(kind, label) for kind, labels in COUNTS[paper].items() for label in labels]
    assert sorted(set(expected) - set(found)) == []
    assert sorted(set(found) - set(expected)) == []


@pytest.mark.parametrize("paper", COUNTS)
def test_every_row_has_a_command_or_says_why_not(paper):
    for item, command, agreement, *_ in rows(paper):
        assert command.startswith("`birkhoff ") or command == "out of scope", item
        assert len(agreement) > 10, f"{item}: nothing is said of it"


def test_nothing_is_left_open():
    text = PAGE.read_text(encoding="utf-8").lower()
    assert "missing" not in text and "todo" not in text
