"""The alarm of a monitor: a verdict that stands for some measured steps in a row."""

from typing import Any, get_args

from birkhoff_cli.analyses.core.discover import unknown
from birkhoff_cli.analyses.core.errors import UsageError
from birkhoff_cli.analyses.sites.verdict import Verdict
from birkhoff_cli.recording.sinks import Sink
from birkhoff_cli.recording.warning import warn


class Alarm:
    """Counts measured steps in a row that have one verdict."""

    def __init__(self, on: str, after: int, call: Sink | None) -> None:
        """Hold that there is such a verdict.

        Raises:
            UsageError: there is none.
        """
        if on not in (known := get_args(Verdict)):
            raise UsageError(unknown(on, known, "verdicts"))
        self._on, self._after, self._call, self._row = on, after, call, 0

    def hear(self, numbers: dict[str, Any]) -> Sink | None:
        """What to call when the verdict has stood so long, once; the numbers then say so."""
        self._row = self._row + 1 if numbers["verdict"] == self._on else 0
        if self._row != self._after:
            return None
        numbers["alarm"] = self._on
        return self._call or _tell


def _tell(numbers: dict[str, Any], step: int) -> None:
    warn(f"birkhoff: at step {step} the verdict is {numbers['alarm']}")
