"""What a report opens with: the field's questions, answered by the analysis that knows.

An analysis may define ``questions(summary)``, which yields them, and ``SITE_COLUMNS``: which
columns of its table, one row for every site, stand in the report's table of sites.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from birkhoff_cli.analyses.core.sentences import short


@dataclass(frozen=True)
class Question:
    """A question that people ask of a model, and what the numbers say.

    Attributes:
        question: as it is asked.
        answer: a sentence.
        verdict: the answer in a word or two; None if there is none.
        good: whether it is what is wanted; None if nothing is, or nobody knows.
        threshold: what the verdict was found by, in words; empty if by none.
    """

    question: str
    answer: str
    verdict: str | None = None
    good: bool | None = None
    threshold: str = ""


@dataclass(frozen=True)
class SiteColumn:
    """A column of a table of sites, and which of its values are conspicuous.

    Attributes:
        name: of the column.
        up_to: key of a number of the summary up to which they are.
        above: key of a number above which they are.
        unlike: the one value that is not.
        means: what a conspicuous value says.
    """

    name: str
    up_to: str | None = None
    above: str | None = None
    unlike: Any = None
    means: str = ""

    def is_conspicuous(self, value: Any, summary: Mapping[str, Any]) -> bool:
        """Whether a value is; one that is not known never is."""
        if value is None:
            return False
        if self.up_to is not None:
            return bool(value <= summary[self.up_to])
        if self.above is not None:
            return bool(value > summary[self.above])
        return self.unlike is not None and bool(value != self.unlike)

    def limit(self, summary: Mapping[str, Any]) -> str:
        """Which values are, in words; empty if none are."""
        if self.up_to is not None:
            condition = f"at most {short(summary[self.up_to])}"
        elif self.above is not None:
            condition = f"more than {short(summary[self.above])}"
        else:
            return self.means
        return f"{condition}: {self.means}"
